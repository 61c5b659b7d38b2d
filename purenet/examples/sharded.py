"""Many devices: a net for handwritten digits with its batch, its wide layer or both cut over devices and processes.

Layers, rules and optimizers are pure functions over arrays, so what JAX can do with such functions it can do with
these: train a net on eight simulated devices, or on the GPUs or TPUs that there are, and in several processes. It takes
JAX from 0.8 on: pip install 'purenet[jax]'.

python -m purenet.examples.sharded                                         one device, or all that JAX finds
python -m purenet.examples.sharded --devices 8                             the batch cut over eight simulated ones
python -m purenet.examples.sharded --devices 8 --pieces 8 --hidden 4096    the wide layer cut over them
python -m purenet.examples.sharded --devices 4 --processes 2 --folder run  two processes, with checkpoints

Beyond the script for one device, that takes the lines marked `# many`. Without them, the rest is that script:

    from jax.experimental import multihost_utils
    def spread(a: Any, mesh: Any, *axes: Any) -> Any:
    return jax.make_array_from_callback(a.shape, jax.NamedSharding(mesh, jax.P(*axes)), lambda part: a[part])
    mesh = jax.sharding.Mesh(np.array(jax.devices()).reshape(-1, pieces), ("batch", "pieces"))
    run = jax.tree.map(lambda a: spread(a, mesh, *("pieces" if n == wide else None for n in a.shape)), run)
    batch = tuple(spread(a, mesh, "batch") for a in batch)
    jax.distributed.initialize(*which, heartbeat_timeout_seconds=10)
    folder = folder if jax.process_index() == 0 else None
    run = multihost_utils.broadcast_one_to_all(run)
    run = multihost_utils.process_allgather(run, tiled=True)

`spread` lays an array out over the devices, and each process reads only what its own ones hold: of a batch their rows,
of the net all of it, or their pieces of what is wide. `jax.jit` compiles the step for all of them, and XLA's
partitioner adds the communication (Y. Xu et al., "GSPMD", 2021). A wide layer is cut by columns and the next one by
rows (M. Shoeybi et al., "Megatron-LM", 2019), so what is wide never travels.

`python -m pytest tests/oracles/test_sharded.py` shows that the params end where one device's do, to rounding, in every
process with the same bits; that batch norm's statistics are those of the whole batch, and a dropout mask that of one
device; that a process which is lost ends the others with an error within seconds; and that started again they go on
from the last checkpoint, which the first process writes, and end with the same bits as if nothing had happened.

`python -m benchmarks scaling` plans past these machines: from the time of a step, measured here, and a stated
interconnect it predicts throughput and efficiency on 1 to 1,024 devices, and prints what it assumes.
"""

import argparse
import socket
import subprocess
import sys
import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

import purenet as pn

try:
    import jax
    from jax.experimental import multihost_utils  # many
except ModuleNotFoundError:
    raise ModuleNotFoundError("this example needs JAX: pip install 'purenet[jax]'") from None


class Run(NamedTuple):
    """All that is needed to go on from here."""

    params: Any
    optimizer_state: Any
    step: Any


def spread(a: Any, mesh: Any, *axes: Any) -> Any:  # many
    return jax.make_array_from_callback(a.shape, jax.NamedSharding(mesh, jax.P(*axes)), lambda part: a[part])  # many


def train(
    net: Any, optimizer: Any, run: Run, x: Any, target: Any, epochs: int, wide: int = 0, pieces: int = 1
) -> Iterator[tuple[Run, float]]:
    """The run after each epoch, and the error of its last batch. Axes of length `wide` are cut into pieces."""
    value_and_grad = pn.value_and_grad(net, pn.softmax_cross_entropy)

    @jax.jit
    def step(run: Run, x: Any, target: Any) -> tuple[Run, Any]:
        key = jax.random.fold_in(jax.random.key(0), run.step)
        E, grads = value_and_grad(run.params, x, target, key)
        params, optimizer_state = optimizer.step(run.params, grads, run.optimizer_state)
        return Run(params, optimizer_state, run.step + 1), E

    first = int(run.step) // (len(x) // 128)
    mesh = jax.sharding.Mesh(np.array(jax.devices()).reshape(-1, pieces), ("batch", "pieces"))  # many
    run = jax.tree.map(lambda a: spread(a, mesh, *("pieces" if n == wide else None for n in a.shape)), run)  # many
    for epoch in range(first, epochs):
        for batch in pn.data.batches(pn.key(epoch), x, target, size=128, drop_last=True):
            batch = tuple(spread(a, mesh, "batch") for a in batch)  # many
            run, E = step(run, *batch)
        yield run, float(E)


def simulate(options: argparse.Namespace) -> None:
    """Devices where there are none, and processes that find each other; all end soon after one of them is lost."""
    if options.devices:
        jax.config.update("jax_platforms", "cpu")
        jax.config.update("jax_num_cpu_devices", options.devices)
    if options.processes > 1 and options.process is None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            address = f"127.0.0.1:{server.getsockname()[1]}"
        command = [sys.executable, "-m", "purenet.examples.sharded", *sys.argv[1:], "--address", address, "--process"]
        processes = [subprocess.Popen([*command, str(i)]) for i in range(options.processes)]
        sys.exit(max(abs(process.wait()) for process in processes))
    if options.processes > 1:
        which = (options.address, options.processes, options.process)
        jax.distributed.initialize(*which, heartbeat_timeout_seconds=10)  # many


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, help="simulate so many on the CPU, in each process")
    parser.add_argument("--pieces", type=int, default=1, help="how many devices share a copy of the net")
    parser.add_argument("--hidden", type=int, default=128, help="the width of the net")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--folder", help="where to keep checkpoints, and to go on from")
    parser.add_argument("--processes", type=int, default=1, help="so many, which are started here; or elsewhere, with")
    parser.add_argument("--process", type=int, help="which of them this is, and")
    parser.add_argument("--address", help="where the first one listens, such as 127.0.0.1:1234")
    options = parser.parse_args()
    simulate(options)

    try:
        (x, target), (x_test, target_test) = pn.data.mnist(mirrors=())
    except OSError:  # it was never downloaded
        (x, target), (x_test, target_test) = pn.data.digits()
    net = pn.serial(pn.dense(options.hidden), pn.relu, pn.dropout(0.2), pn.dense(10))
    optimizer = pn.adam(lr=3e-3)
    params = net.init(pn.key(0), x.shape[1:])
    run = Run(params, optimizer.init(params), np.zeros((), np.int32))
    folder = options.folder
    folder = folder if jax.process_index() == 0 else None  # many
    if folder:
        run = pn.checkpoints(folder).load(run) or run
    run = multihost_utils.broadcast_one_to_all(run)  # many
    wide = options.hidden if options.pieces > 1 else 0
    runs = train(net, optimizer, run, x, target, options.epochs, wide, options.pieces)
    for run, E in runs:
        run = multihost_utils.process_allgather(run, tiled=True)  # many
        if folder:
            pn.checkpoints(folder, every=1).save(run)
        accuracy = (np.asarray(net.apply(run.params, x_test)).argmax(axis=1) == target_test).mean()
        print(f"step {int(run.step):4}   error of the last batch {E:.4f}   accuracy on unseen digits {accuracy:6.2%}")
    bits = b"".join(np.asarray(leaf).tobytes() for leaf in pn.tree.leaves(run.params))
    devices = f"{jax.device_count()} devices ({jax.default_backend()})"
    print(f"{devices}, process {jax.process_index()}: checksum of the params {zlib.crc32(bits):08x}")


if __name__ == "__main__":
    main()
