"""Many devices end where one does: the example on eight simulated devices, and in two processes of four each.

Beside each comparison stands what must not pass it: gradients or statistics of a device's own share of the batch.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
import types
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import jax
import numpy as np
import pytest

import purenet as pn
from benchmarks import scaling
from purenet.examples import sharded
from purenet.examples.sharded import spread

ROOT = Path(__file__).parents[2]
SOURCE = Path(sharded.__file__).read_text(encoding="utf-8")
MARKED = [line for line in SOURCE.splitlines() if line.endswith("# many")]
# the script for one device, which is the other one without the marked lines
ALONE = "\n".join(line for line in SOURCE.splitlines() if line not in MARKED)
one_device = types.ModuleType("one_device")
exec(compile(ALONE, "one_device.py", "exec"), one_device.__dict__)

WIDE, EPOCHS = 48, 2  # of 11 steps
(X, TARGET), _ = pn.data.digits()
# without a bias before batch norm: its gradient is 0 but for rounding, of which Adam makes steps of full length
NETS = {
    "dense": pn.serial(pn.dense(WIDE), pn.relu, pn.dense(10)),
    "norm and dropout": pn.serial(pn.dense(WIDE, bias=False), pn.batch_norm, pn.relu, pn.dropout(0.2), pn.dense(10)),
    "convolution": pn.serial(
        pn.reshape(8, 8, 1), pn.conv(8, 3, bias=False), pn.batch_norm, pn.relu, pn.flatten, pn.dense(10)
    ),
}
OPTIMIZERS = {"sgd": pn.sgd(0.1, momentum=0.9), "adam": pn.adam(3e-3)}
LAYOUTS = [(net, pieces, np.float64) for net in ("dense", "norm and dropout") for pieces in (1, 2, 8)]
LAYOUTS += [("convolution", 1, np.float64), ("dense", 2, np.float32), ("norm and dropout", 2, np.float32)]


def end(script, net, optimizer, dtype, **layout):
    """The run after two epochs by this script, and the error of the last step."""
    params = pn.tree.cast(net.init(pn.key(0), (64,)), dtype)
    run = script.Run(params, optimizer.init(params), np.zeros((), np.int32))
    *_, (run, E) = script.train(net, optimizer, run, X.astype(dtype), TARGET, EPOCHS, **layout)
    return tuple(run), E


def difference(a, b):
    """The largest difference of two trees, relative to the largest entry of each leaf."""
    pn.tree.check_same(a, b)
    pairs = [
        (np.asarray(p, np.float64), np.asarray(q)) for p, q in zip(pn.tree.leaves(a), pn.tree.leaves(b), strict=True)
    ]
    return max(float(np.abs(p - q).max() / max(np.abs(q).max(), 1e-300)) for p, q in pairs)


def mesh(pieces=1):
    assert jax.device_count() == 8
    return jax.sharding.Mesh(np.array(jax.devices()).reshape(-1, pieces), ("batch", "pieces"))


@pytest.fixture(scope="module")
def alone():
    """Where one device ends, computed once."""
    known = {}

    def found(net, optimizer, dtype):
        if (net, optimizer, dtype) not in known:
            known[net, optimizer, dtype] = end(one_device, NETS[net], OPTIMIZERS[optimizer], dtype)
        return known[net, optimizer, dtype]

    return found


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize(("net", "pieces", "dtype"), LAYOUTS)
def test_the_same_as_on_one_device(net, pieces, optimizer, dtype, alone):
    """Params, the running statistics among them, and the optimizer's state, after 22 steps."""
    run, E = end(sharded, NETS[net], OPTIMIZERS[optimizer], dtype, wide=WIDE, pieces=pieces)
    expected, expected_E = alone(net, optimizer, dtype)
    found = difference(run, expected)
    print(f"{net}, {optimizer}, {pieces} pieces, {dtype.__name__}: {found:.1e}")
    assert found < (5e-6 if dtype is np.float32 else 1e-13)
    assert pytest.approx(expected_E, rel=1e-5 if dtype is np.float32 else 1e-13) == E
    for path, leaf in pn.tree.items(run):
        held = {}
        for shard in leaf.addressable_shards:  # of what several devices hold, each has the same bits
            held.setdefault(str(shard.index), []).append(np.asarray(shard.data).tobytes())
        assert all(len(set(copies)) == 1 for copies in held.values()), path
        assert len(held) == (pieces if WIDE in leaf.shape else 1), f"{path} lies elsewhere than at the beginning"


def test_the_same_as_on_numpy():
    net, optimizer = NETS["convolution"], OPTIMIZERS["sgd"]
    params = pn.tree.cast(net.init(pn.key(0), (64,)), np.float64)
    state = optimizer.init(params)
    for epoch in range(EPOCHS):
        for x, target in pn.data.batches(pn.key(epoch), X.astype(np.float64), TARGET, size=128, drop_last=True):
            _, grads = pn.value_and_grad(net, pn.softmax_cross_entropy)(params, x, target, pn.key(0))
            params, state = optimizer.step(params, grads, state)
    assert difference(end(sharded, net, optimizer, np.float64)[0][0], params) < 1e-12


def on_shares(net, params, x, target, key, mend):
    """Loss and gradient with each device left to its own share, and `mend` of what they find."""

    def share(params, x, target):
        return jax.tree.map(mend, pn.value_and_grad(net, pn.softmax_cross_entropy)(params, x, target, key))

    batch, whole = jax.P("batch"), jax.P()
    options = {"mesh": mesh(), "in_specs": (whole, batch, batch), "out_specs": whole, "check_vma": False}
    return jax.jit(jax.shard_map(share, **options))(params, x, target)


def gradient(name, mend):
    """The gradient of one step: on one device, on eight, and on eight that each see their own share alone."""
    net, key = NETS[name], jax.random.key(3)
    params, x, target = net.init(pn.key(0), (64,)), X[:128].astype(np.float64), TARGET[:128]
    params = pn.tree.cast(params, np.float64)
    value_and_grad = jax.jit(pn.value_and_grad(net, pn.softmax_cross_entropy))
    many = value_and_grad(params, spread(x, mesh(), "batch"), spread(target, mesh(), "batch"), key)
    return value_and_grad(params, x, target, key), many, on_shares(net, params, x, target, key, mend)


mean, own = partial(jax.lax.pmean, axis_name="batch"), lambda leaf: leaf


def test_gradients_are_those_of_the_whole_batch():
    one, many, shares = gradient("dense", mean)
    assert difference(many, one) < 1e-13
    assert difference(shares, one) < 1e-13  # the mean over equal shares is the mean over all
    _, _, shares = gradient("dense", own)
    assert difference(shares, one) > 0.1  # nobody has added them up


def test_statistics_are_those_of_the_whole_batch():
    (_, one), (_, many), (_, shares) = gradient("convolution", mean)
    assert difference(many, one) < 1e-12
    assert difference(many[2].variance, one[2].variance) < 1e-14
    assert difference(shares[2].variance, one[2].variance) > 1e-6  # of the shares, even where they are averaged
    assert difference(shares, one) > 1e-3


def test_dropout_is_that_of_one_device():
    layer, key, ones = pn.dropout(0.5), jax.random.key(7), np.ones((64, 40), np.float32)
    one = layer.apply((), ones, key)
    many = jax.jit(layer.apply)((), spread(ones, mesh(), "batch"), key)
    assert len(many.sharding.device_set) == 8
    assert not many.is_fully_replicated
    assert np.array_equal(many, one)
    batch = jax.P("batch")
    shares = jax.shard_map(lambda x: layer.apply((), x, key), mesh=mesh(), in_specs=batch, out_specs=batch)(ones)
    assert np.array_equal(shares[:8], shares[8:16])  # by itself, each share draws the same
    assert not np.array_equal(shares, one)


def test_a_device_holds_its_share_alone(monkeypatch):
    """Of the batch, of the wide layer, and of what Adam keeps for it: with 2 pieces a quarter, and halves."""
    batches = []

    def watched(a, mesh, *axes):
        array = spread(a, mesh, *axes)
        if axes == ("batch",):
            batches.append((len(a), len(array.addressable_data(0))))
        return array

    monkeypatch.setattr(sharded, "spread", watched)
    run, _ = end(sharded, NETS["dense"], OPTIMIZERS["adam"], np.float32, wide=WIDE, pieces=2)
    assert batches == [(128, 32)] * 44
    sizes = [(leaf.nbytes, leaf.addressable_data(0).nbytes) for leaf in pn.tree.leaves(run) if WIDE in leaf.shape]
    assert len(sizes) == 9
    assert all(whole == 2 * piece for whole, piece in sizes)


def test_the_benchmark_measures_every_number_of_devices(capsys):
    net, points = scaling.measure("small", pn.dense(3), (4,), np.float32, 8)
    assert [point.devices for point in points] == [1, 2, 4, 8]
    assert all(point.throughput > 0 for point in points)
    assert net.gradients == 4 * (4 * 3 + 3)
    scaling.show(net, points, scaling.Link(1e9, 1e-5, 0.0))
    assert len(capsys.readouterr().out.splitlines()) == 3 + 11


def test_ten_lines_are_all_and_the_docstring_shows_them():
    assert 0 < len(MARKED) <= 10
    shown = [line.removeprefix("    ") for line in sharded.__doc__.splitlines() if line.startswith("    ")]
    assert shown == [line.strip().removesuffix("  # many") for line in MARKED]


# several processes

START, SILENCE, LIMIT = 60, 30, 120  # seconds: to begin, to notice that another one is gone, and for everything


@contextmanager
def running(folder, *options, script=SOURCE, processes=2, devices=4):
    """The script in so many processes, as (process, path of what it prints); none of them is left behind."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    folder.mkdir(exist_ok=True)
    (folder / "script.py").write_text(script, encoding="utf-8")
    # a home without MNIST
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PURENET_DATA": "", "HOME": str(folder)}
    environment |= {"XDG_CACHE_HOME": str(folder), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "error", folder / "script.py", "--devices", str(devices), *options]
    command += ["--folder", folder / "run", "--processes", str(processes), "--address", address, "--process"]
    with ExitStack() as stack:
        found = []
        for i in range(processes):
            output = stack.enter_context(open(folder / f"{i}.txt", "w"))
            process = subprocess.Popen([*command, str(i)], env=environment, stdout=output, stderr=output)
            stack.callback(process.wait, 10)
            stack.callback(process.kill)
            found.append((process, folder / f"{i}.txt"))
        yield found


def checksums(found):
    """Of the params that each process ends with."""
    deadline = time.monotonic() + LIMIT
    for process, path in found:
        assert process.wait(max(1, deadline - time.monotonic())) == 0, path.read_text()
    return [re.search(r"checksum of the params (\w+)", path.read_text())[1] for _, path in found]


def steps(folder):
    """Of the checkpoints that are there."""
    return pn.checkpoints(folder / "run").steps()


def last(folder):
    """The newest checkpoint."""
    return pn.load(folder / "run" / f"step-{steps(folder)[-1]:09}.npz")


@pytest.mark.parametrize("pieces", ["1", "8"])
def test_two_processes_end_with_the_same_bits_where_one_device_does(pieces, tmp_path):
    """With pieces, each process holds half of the wide layer."""
    options = ("--epochs", "2", "--pieces", pieces)
    with (
        running(tmp_path / "two", *options) as found,
        running(tmp_path / "one", *options, script=ALONE, processes=1) as one,
    ):
        first, second = checksums(found)
        checksums(one)
    assert first == second
    run, expected = last(tmp_path / "two"), last(tmp_path / "one")
    assert run["step"] == expected["step"] == 22
    found = difference(run, expected)
    print(f"two processes, {pieces} pieces: {found:.1e}")
    assert found < 2e-5


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """The checksum of a run that nobody disturbs, in two processes."""
    folder = tmp_path_factory.mktemp("unbroken")
    with running(folder, "--epochs", "20") as found:
        return checksums(found)[0]


LOST = {"1 killed": (1, signal.SIGKILL), "0 killed": (0, signal.SIGKILL), "1 stopped": (1, signal.SIGSTOP)}


@pytest.mark.parametrize("what", LOST)
def test_a_lost_process_is_an_error_and_the_run_resumes(what, unbroken, tmp_path):
    lost, how = LOST[what]
    with running(tmp_path, "--epochs", "20") as found:
        deadline = time.monotonic() + START
        while max(steps(tmp_path), default=0) < 22:
            assert time.monotonic() < deadline, found[0][1].read_text()
            time.sleep(0.02)
        found[lost][0].send_signal(how)
        began = time.monotonic()
        process, path = found[1 - lost]
        assert process.wait(SILENCE) != 0
        print(f"process {what}: the other one ended with an error after {time.monotonic() - began:.1f} s")
        assert re.search("another task died|closed by peer", path.read_text())
    assert 22 <= steps(tmp_path)[-1] < 220
    if what == "0 killed":  # the one that writes
        with running(tmp_path, "--epochs", "20") as found:
            assert checksums(found) == [unbroken, unbroken]
        assert not re.search(r"^step +11 ", found[0][1].read_text(), flags=re.MULTILINE)  # it did not begin anew
