"""Planning past this machine: what data-parallel training would give on 1 to 1,024 devices, from one measured here.

A step of b examples on one device takes t(b) = fixed + each·b, a line through the times of a quarter of a batch, one
and four. On n devices each takes its share of the batch, and then all add up their gradients, G bytes, in a ring: in
2(n − 1) rounds each sends G/n bytes to the next one (P. Patarasuk, X. Yuan, "Bandwidth optimal all-reduce algorithms
for clusters of workstations", JPDC 2009). With a bandwidth B, and a latency L in each round, a step takes

    T(n) = t(b) + max(0, A(n) − overlap·t(b)),    A(n) = 2(n − 1)·(G/n/B + L)

where `overlap` is the share of the computation behind which the sum can hide; it is within the backward pass, about two
thirds of a step, as the last layers' gradients are ready first. Weak scaling keeps the batch of each device, strong
scaling the batch of all. Efficiency is throughput over n times the throughput of one device.

Not in the model: reading data, devices that wait for the slowest one, links that several rings share, and switches.
The simulated devices share this machine's cores, all of which one device alone may use: their throughput shows what it
costs to cut a step, not what devices of their own would gain.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import purenet as pn

DEVICES = [2**k for k in range(11)]
SIMULATED = [1, 2, 4, 8]


class Link(NamedTuple):
    """What devices are connected by: bytes a second, seconds a message, and how much of a step it can hide behind."""

    bandwidth: float
    latency: float
    overlap: float


class Net(NamedTuple):
    """What is known of a net: seconds of a step, in all and for each example; bytes of its gradients; batches."""

    name: str
    fixed: float
    each: float
    gradients: int
    batch: int  # of one device, in weak scaling
    whole: int  # of all, in strong scaling


class Point(NamedTuple):
    devices: int
    throughput: float  # examples a second
    efficiency: float


def all_reduce(n: int, size: float, link: Link) -> float:
    """Seconds in which n devices in a ring add up arrays of this many bytes, so that each has the sum."""
    return 2 * (n - 1) * (size / n / link.bandwidth + link.latency)


def step(net: Net, n: int, batch: float, link: Link) -> float:
    """Seconds of a step on n devices, with so many examples on each."""
    computing = net.fixed + net.each * batch
    return computing + max(0.0, all_reduce(n, net.gradients, link) - link.overlap * computing)


def predict(net: Net, n: int, link: Link, strong: bool) -> Point | None:
    """What n devices give; nothing where there is less than an example for each."""
    batch = net.whole / n if strong else net.batch
    if batch < 1:
        return None
    throughput, alone = n * batch / step(net, n, batch, link), (net.whole if strong else net.batch)
    return Point(n, throughput, throughput / (n * alone / step(net, 1, alone, link)))


def line(batches: list[int], seconds: list[float]) -> tuple[float, float]:
    """fixed and each of the line through measured times, in which each counts relative to itself; none below 0."""
    b, t = np.array(batches, float), np.array(seconds)
    fixed, each = np.linalg.lstsq(np.stack([1 / t, b / t], axis=1), np.ones(len(t)), rcond=None)[0]
    if fixed < 0:
        return 0.0, float(np.mean(t / b))
    return (float(fixed), float(each)) if each > 0 else (float(np.mean(t)), 0.0)


def nets() -> list[tuple[str, Any, tuple[int, ...], Any, int]]:
    """(name, net, shape of an example, its dtype, batch of one device)."""
    dense = pn.serial(pn.dense(128), pn.relu, pn.dense(10))
    lenet = (pn.conv(6, 5, padding="same"), pn.tanh, pn.avg_pool(2), pn.conv(16, 5), pn.tanh, pn.avg_pool(2))
    lenet += (pn.flatten, pn.dense(120), pn.tanh, pn.dense(84), pn.tanh, pn.dense(10))
    blocks = [pn.transformer_block(128, 4, causal=True) for _ in range(2)]
    transformer = pn.serial(pn.embedding(256, 128), pn.positional_encoding, *blocks, pn.layer_norm, pn.dense(256))
    return [
        ("784-128-10", dense, (784,), np.float32, 128),
        ("LeNet-5", pn.serial(*lenet), (28, 28, 1), np.float32, 128),
        ("transformer, 2 blocks of 128, 64 tokens", transformer, (64,), np.int32, 16),
    ]


def stepper(net: Any, in_shape: tuple[int, ...], dtype: Any, n: int) -> Callable[[int], float]:
    """The function that measures a step of training, with Adam, of so many examples on n devices."""
    import jax

    from purenet.examples.sharded import spread

    optimizer, value_and_grad = pn.adam(), pn.value_and_grad(net, pn.softmax_cross_entropy)
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:n]), ("batch",))

    @jax.jit
    def train(params: Any, state: Any, x: Any, target: Any) -> Any:
        E, grads = value_and_grad(params, x, target)
        return *optimizer.step(params, grads, state), E

    def measure(batch: int) -> float:
        params = net.init(pn.key(0), in_shape)
        params, state = jax.tree.map(lambda a: spread(a, mesh), (params, optimizer.init(params)))
        x = pn.random.uniform(pn.key(1), (batch, *in_shape), 0, 10).astype(dtype)
        target = np.zeros((batch, *(in_shape if dtype is np.int32 else ())), np.int32)
        x, target = spread(x, mesh, "batch"), spread(target, mesh, "batch")
        times: list[float] = []
        while len(times) < 10 or (sum(times[1:]) < 1 and len(times) < 300):
            start = time.perf_counter()
            params, state, _ = jax.block_until_ready(train(params, state, x, target))
            times.append(time.perf_counter() - start)
        return min(times)  # what else runs here can only add to it

    return measure


def measure(name: str, net: Any, in_shape: tuple[int, ...], dtype: Any, batch: int) -> tuple[Net, list[Point]]:
    """A net's numbers from one device, and what the simulation gives with the batch of each device fixed."""
    import jax

    alone, batches = stepper(net, in_shape, dtype, 1), [batch // 4, batch, 4 * batch]
    seconds = [alone(b) for b in batches]
    gradients = sum(leaf.nbytes for leaf in pn.tree.leaves(net.init(pn.key(0), in_shape)))
    known = Net(name, *line(batches, seconds), gradients, batch, 32 * batch)
    points = [Point(1, batch / seconds[1], 1.0)]
    for n in (n for n in SIMULATED[1:] if n <= jax.device_count()):
        throughput = n * batch / stepper(net, in_shape, dtype, n)(n * batch)
        points.append(Point(n, throughput, throughput / n / points[0].throughput))
    return known, points


def show(net: Net, measured: list[Point], link: Link) -> None:
    print(
        f"\n{net.name}: a step takes {1e3 * net.fixed:.3g} ms + {1e3 * net.each:.3g} ms for each example; "
        f"{net.gradients / 1e6:.3g} MB of gradients\n{'devices':>9}{f'{net.batch} on each':>20}{'efficiency':>12}"
        f"{f'{net.whole} on all':>20}{'efficiency':>12}{'simulated':>20}{'efficiency':>12}"
    )
    points = {point.devices: point for point in measured}
    for n in DEVICES:
        columns = [predict(net, n, link, strong=False), predict(net, n, link, strong=True), points.get(n)]
        cells = [f"{p.throughput:16,.0f} /s {p.efficiency:11.1%}" if p else f"{'–':>16}{'':15}" for p in columns]
        print(f"{n:9,} " + " ".join(cells).rstrip(" –"))


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks scaling", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bandwidth", type=float, default=12.5, help="of each link, in GB/s (12.5: 100 Gbit/s)")
    parser.add_argument("--latency", type=float, default=10.0, help="of each message, in µs (10)")
    parser.add_argument("--overlap", type=float, default=0.0, help="share of a step that can hide the sum (0)")
    parser.add_argument("--faster", type=float, default=1.0, help="how much faster than this one the devices are (1)")
    parser.add_argument("--json", help="a file to write everything to")
    options = parser.parse_args(arguments)
    link = Link(1e9 * options.bandwidth, 1e-6 * options.latency, options.overlap)

    import jax

    jax.config.update("jax_num_cpu_devices", max(SIMULATED))
    kind = jax.devices()[0].device_kind
    print(__doc__[__doc__.index("A step of") :])
    print(f"Measured on {kind} with {os.cpu_count()} cores; devices {options.faster:g} times as fast are assumed.")
    print(f"B = {options.bandwidth:g} GB/s, L = {options.latency:g} µs, overlap = {link.overlap:g}; Adam, float32.")
    found = []
    for each in nets():
        net, points = measure(*each)
        net = net._replace(fixed=net.fixed / options.faster, each=net.each / options.faster)
        show(net, points, link)
        predicted = {
            name: [p._asdict() for n in DEVICES if (p := predict(net, n, link, name == "strong"))]
            for name in ("weak", "strong")
        }
        found.append({**net._asdict(), "predicted": predicted, "simulated": [p._asdict() for p in points]})
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"device": kind, "faster": options.faster, "link": link._asdict(), "nets": found}, file, indent=1)
        print(f"\nwrote {options.json}")
