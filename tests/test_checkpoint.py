"""What is saved comes back bit for bit, and nothing else comes back."""

from __future__ import annotations

import contextlib
import csv
import logging
import math
import os
import re
import stat
import subprocess
import sys
import zipfile
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import pytest

import purenet as pn


class Pair(NamedTuple):
    left: object
    right: object


def everything():
    return {
        "pair": Pair(np.arange(6, dtype=np.float32).reshape(2, 3), None),
        "list": [1, 2.5, True, ()],
        "keys": (pn.key(2**127 + 5), pn.key(0)),
        "buffer": pn.Buffer(np.array([1.0, -0.0, np.inf, np.nan])),
        3: {"0-d": np.array(7, np.int8), "empty": np.zeros((0, 4), np.float16), "flags": np.array([True, False])},
        "ordered": OrderedDict(z=np.uint64(2**64 - 1), y=np.complex64(1j)),
        "columns": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "big endian": np.arange(3, dtype=">i4"),
        "strided": np.arange(10.0)[::3],
        "a/b é": -(2**63),
    }


SORTABLE = {str(key): value for key, value in everything().items()}
SUFFIXES = [".npz", *([".safetensors"] if __import__("importlib.util").util.find_spec("safetensors") else [])]


def same(a, b):
    """Equal structure, and equal leaves down to the bits and the types."""
    assert pn.tree.parting(a, b, "tree") is None
    for (path, p), q in zip(pn.tree.items(a), pn.tree.leaves(b), strict=True):
        assert type(p) is type(q), path
        if isinstance(p, np.ndarray | np.generic):
            native = p.astype(p.dtype.newbyteorder("="))
            assert (native.dtype, native.shape, native.tobytes()) == (q.dtype, q.shape, q.tobytes()), path
        else:
            assert repr(p) == repr(q), path
    return True


def small():
    return Pair({"w": np.array([[1.5, 2.5]], np.float32)}, (pn.key(9), 4))


def test_everything_comes_back(tmp_path):
    pn.save(tmp_path / "a.npz", SORTABLE)
    assert same(SORTABLE, pn.load(tmp_path / "a.npz", like=SORTABLE))


def test_loaded_arrays_are_read_only(tmp_path):
    pn.save(tmp_path / "a.npz", SORTABLE)
    for like in (None, SORTABLE):
        arrays = [leaf for leaf in pn.tree.leaves(pn.load(tmp_path / "a.npz", like)) if isinstance(leaf, np.ndarray)]
        assert len(arrays) >= 8
        assert not any(leaf.flags.writeable for leaf in arrays)


def test_without_like_only_the_classes_are_lost(tmp_path):
    tree = {"pair": Pair(1, None), "list": [(), True, {}], "key": (pn.key(3), {5: 2.0}), "none": None}
    pn.save(tmp_path / "a.npz", tree)
    assert pn.load(tmp_path / "a.npz") == {**tree, "pair": {"left": 1, "right": None}}


@pytest.mark.parametrize("leaf", [3, True, 2.5, pn.key(1), np.ones(2), np.zeros(())], ids=repr)
def test_a_tree_of_one_leaf(leaf, tmp_path):
    pn.save(tmp_path / "a.npz", leaf)
    assert same(leaf, pn.load(tmp_path / "a.npz"))
    assert same(leaf, pn.load(tmp_path / "a.npz", like=leaf))


@pytest.mark.parametrize("tree", [None, (), {}, [None, ()]], ids=repr)
def test_a_tree_without_leaves(tree, tmp_path):
    pn.save(tmp_path / "a.npz", tree)
    assert pn.load(tmp_path / "a.npz") == tree
    assert pn.load(tmp_path / "a.npz", like=tree) == tree


def test_memory_layout_is_kept(tmp_path):
    pn.save(tmp_path / "a.npz", SORTABLE)
    assert pn.load(tmp_path / "a.npz")["columns"].flags.f_contiguous


def test_numpy_reads_the_file(tmp_path):
    params = pn.dense(2, 3).init(pn.key(0))
    pn.save(tmp_path / "a.npz", params)
    with np.load(tmp_path / "a.npz") as file:
        assert np.array_equal(file[".weight"], params.weight)


def test_a_file_of_numpy_is_read(tmp_path):
    np.savez(tmp_path / "a.npz", w=np.ones(2), b=np.zeros(1))
    assert {name: leaf.tolist() for name, leaf in pn.load(tmp_path / "a.npz").items()} == {"w": [1, 1], "b": [0]}


def test_equal_trees_give_equal_files(tmp_path):
    pn.save(tmp_path / "a.npz", SORTABLE)
    pn.save(tmp_path / "b.npz", SORTABLE)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_plain_dicts_by_path():
    params = pn.serial(pn.dense(2, 3), pn.tanh).init(pn.key(0))
    arrays = pn.to_dict(params)
    assert list(arrays) == ["[0].weight", "[0].bias"]
    mine = {name: array.copy() for name, array in arrays.items()}
    back = pn.from_dict(mine, like=params)
    mine["[0].weight"][:] = 0
    assert same(params, back)
    assert not back[0].weight.flags.writeable


# --- what does not fit


@pytest.mark.parametrize(
    ("like", "message"),
    [
        (Pair({"w": np.ones((1, 2), np.float32), "b": 1}, (pn.key(0), 0)), r"lacks \.left\['b'\], which like has"),
        (Pair({}, (pn.key(0), 0)), r"has \.left\['w'\], which like lacks"),
        (Pair({"w": np.ones((2, 2), np.float32)}, (pn.key(0), 0)), r"\(1, 2\), but in like .*\(2, 2\)"),
        (Pair({"w": np.ones((1, 2))}, (pn.key(0), 0)), "float32 .*but in like a float64"),
        (Pair({"w": np.ones((1, 2), np.float32)}, (0, 0)), r"\.right\[0\] is an uint64"),
        (Pair({"w": np.ones((1, 2), np.float32)}, (pn.key(0), 0.5)), r"\.right\[1\] is an int64 .*float64"),
    ],
)
def test_a_tree_that_is_not_like(like, message, tmp_path):
    pn.save(tmp_path / "a.npz", small())
    with pytest.raises(ValueError, match=message):
        pn.load(tmp_path / "a.npz", like=like)


@pytest.mark.parametrize(
    ("tree", "error", "message"),
    [
        (["text"], TypeError, r"\[0\] is a str"),
        ([np.array(["text"])], TypeError, r"\[0\] is a <U4 array"),
        ([np.array([None])], TypeError, r"\[0\] is an object array"),
        ([2**63], ValueError, "more than 64 bits"),
        ({2.5: 1}, TypeError, "use strings or integers"),
        ({"x/../../y": 1}, ValueError, "leads to another place"),
        ({"C\\x": 1}, ValueError, "leads to another place"),
    ],
)
def test_what_cannot_be_kept_leaves_the_old_file(tree, error, message, tmp_path):
    pn.save(tmp_path / "a.npz", small())
    with pytest.raises(error, match=message):
        pn.save(tmp_path / "a.npz", tree)
    assert same(small(), pn.load(tmp_path / "a.npz", small()))
    assert os.listdir(tmp_path) == ["a.npz"]


def test_other_suffixes(tmp_path):
    for action in (lambda: pn.save(tmp_path / "a.pkl", small()), lambda: pn.load(tmp_path / "a.pkl")):
        with pytest.raises(ValueError, match=r"should end in \.npz or \.safetensors"):
            action()


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        pn.load(tmp_path / "a.npz")


# --- files that were damaged or made to harm


def loads_or_says_why(path, tree):
    """Whether the file still gives the same tree; if not, the error must name the file."""
    with contextlib.suppress(ValueError):
        return same(tree, pn.load(path, like=tree))
    with pytest.raises(ValueError, match=re.escape(str(path))):
        pn.load(path, like=tree)
    return False


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_truncation_is_found(suffix, tmp_path):
    path = tmp_path / f"a{suffix}"
    pn.save(path, small())
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert not loads_or_says_why(path, small()), length


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("mask", [0x01, 0xFF])
def test_every_changed_byte_is_found_or_harmless(suffix, mask, tmp_path):
    path = tmp_path / f"a{suffix}"
    pn.save(path, small())
    whole = path.read_bytes()
    found = 0
    for place in range(len(whole)):
        changed = bytearray(whole)
        changed[place] ^= mask
        path.write_bytes(changed)
        found += not loads_or_says_why(path, small())
    assert found > len(whole) / 2  # the others are dates, versions and rights, which nobody reads


def npy(header: dict | str, data: bytes = b"") -> bytes:
    text = (header if isinstance(header, str) else repr(header)).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + data


def write(path, members, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members:
            archive.writestr(name, content)


HUGE = {"descr": "<f4", "fortran_order": False, "shape": (2**60,)}
FINE = npy({"descr": "<f4", "fortran_order": False, "shape": (1,)}, b"\0\0\0\0")
HARMFUL = {
    "claims 2^60 entries": ([("w.npy", npy(HUGE))], "w claims 4611686018427387904 bytes, but has 0"),
    "claims a product that overflows": ([("w.npy", npy({**HUGE, "shape": (2**32, 2**32)}))], "w claims .* bytes"),
    "negative size": ([("w.npy", npy({**HUGE, "shape": (-1,)}))], "no array of numbers"),
    "pickled objects": ([("w.npy", npy({**HUGE, "descr": "|O", "shape": (1,)}, b"cos\nsystem\n."))], "no array of"),
    "structured dtype": ([("w.npy", npy({**HUGE, "descr": [("a", "<f4")], "shape": (1,)}))], "no array of numbers"),
    "code for a header": ([("w.npy", npy("__import__('os').abort()"))], "malformed node"),
    "no header": ([("w.npy", b"\0" * 100)], "magic string"),
    "surplus bytes": ([("w.npy", FINE + b"\0")], "w claims 4 bytes, but has 5"),
    "path upwards": ([("../../w.npy", FINE)], "leads to another place"),
    "absolute path": ([("/etc/w.npy", FINE)], "leads to another place"),
    "path of Windows": ([("C:\\w.npy", FINE)], "leads to another place"),
    "another file": ([("w.pkl", FINE)], r"w\.pkl has no place in it"),
    "no JSON": ([("purenet.json", b"{"), ("w.npy", FINE)], "Expecting property name"),
    "senseless description": ([("purenet.json", b'{"tree": {"set": []}}'), ("leaf.npy", FINE)], "makes no sense"),
    "unknown kind of leaf": ([("purenet.json", b'{"tree": "code"}'), ("leaf.npy", FINE)], "code"),
    "description of a missing leaf": (
        [("purenet.json", b'{"tree": {"tuple": ["array", "array"]}}'), ("[0].npy", FINE)], r"\[1\]"),
    "leaf that is not described": (
        [("purenet.json",  b'{"tree": null}'), ("leaf.npy", FINE)], "leaf is not in its description"),
    "very deep description": ([("purenet.json", b"[" * 100_000 + b"]" * 100_000)], "recursion|too deep"),
}  # fmt: skip


@pytest.mark.parametrize("case", HARMFUL)
def test_harmful_files(case, tmp_path):
    members, message = HARMFUL[case]
    write(tmp_path / "a.npz", members)
    with pytest.raises(ValueError, match=rf"a\.npz is damaged: (.|\n)*({message})"):
        pn.load(tmp_path / "a.npz")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_twice(tmp_path):
    write(tmp_path / "a.npz", [("w.npy", FINE), ("w.npy", FINE)])
    with pytest.raises(ValueError, match="has it twice"):
        pn.load(tmp_path / "a.npz")


def bomb(path):
    """256 MB of zeros in a quarter of a MB."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("w.npy", "w") as member:
        member.write(npy({**HUGE, "shape": (2**26,)}))
        for _ in range(2**8):
            member.write(bytes(2**20))


def test_a_zip_bomb_is_not_unpacked(tmp_path):
    bomb(tmp_path / "a.npz")
    assert (tmp_path / "a.npz").stat().st_size < 2**20
    with pytest.raises(ValueError, match="claims more bytes than"):
        pn.load(tmp_path / "a.npz")


def test_compressed_arrays_are_refused_by_name(tmp_path):
    write(tmp_path / "a.npz", [("w.npy", npy({**HUGE, "shape": (250,)}, os.urandom(1000)))], zipfile.ZIP_DEFLATED)
    with pytest.raises(ValueError, match=r"w\.npy is compressed, which only np\.load reads"):
        pn.load(tmp_path / "a.npz")


def liar(path):
    """The sizes in the zip's own directory are too large, not only those in an array's header."""
    write(path, [("w.npy", npy({**HUGE, "shape": (2**28,)}, bytes(64)))])
    content = bytearray(path.read_bytes())
    directory = content.index(b"PK\x01\x02")
    for field in (20, 24):
        content[directory + field : directory + field + 4] = (2**30 + 2**29).to_bytes(4, "little")
    path.write_bytes(content)


def test_a_directory_that_claims_too_much(tmp_path):
    liar(tmp_path / "a.npz")
    with pytest.raises(ValueError, match="claims more bytes than"):
        pn.load(tmp_path / "a.npz")


def test_harmful_files_take_no_memory(tmp_path):
    """All of them once more, in a process that may have 64 MB for its data: a MemoryError would not be a ValueError."""
    for i, (members, _) in enumerate(HARMFUL.values()):
        write(tmp_path / f"{i}.npz", members)
    bomb(tmp_path / "bomb.npz")
    liar(tmp_path / "liar.npz")
    code = (
        "import resource, pathlib, sys, numpy as np, purenet as pn\n"
        "resource.setrlimit(resource.RLIMIT_DATA, (2**26, 2**26))\n"
        "for path in sorted(pathlib.Path(sys.argv[1]).glob('*.npz')):\n"
        "    try: pn.load(path)\n"
        "    except ValueError: print('refused')\n"
        "try: np.ones(2**25)\n"
        "except MemoryError: print('limited')"
    )
    assert python(code, tmp_path).split() == ["refused"] * (len(HARMFUL) + 2) + ["limited"]


def python(code, *arguments):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60, env=environment).stdout


# --- writing


def test_a_full_disk_leaves_the_old_file(tmp_path):
    pn.save(tmp_path / "a.npz", small())
    code = (
        "import resource, signal, sys, numpy as np, purenet as pn\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))\n"
        "try: pn.save(sys.argv[1], np.ones(100_000))\n"
        "except OSError: print('refused')"
    )
    assert python(code, tmp_path / "a.npz") == "refused\n"
    assert same(small(), pn.load(tmp_path / "a.npz", small()))
    assert os.listdir(tmp_path) == ["a.npz"]


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "link.npz").symlink_to(tmp_path / "real.npz")
    pn.save(tmp_path / "link.npz", small())
    assert (tmp_path / "link.npz").is_symlink()
    assert same(small(), pn.load(tmp_path / "real.npz", small()))


# --- checkpoints of a run


class Run(NamedTuple):
    step: int
    w: object


def at(step):
    return Run(step, np.full(3, step, np.float32))


def test_every_so_many_steps_and_the_last_few(tmp_path):
    run = pn.checkpoints(tmp_path / "run", every=10, keep=2)
    assert run.load(at(0)) is None
    saved = [step for step in range(1, 36) if run.save(at(step))]
    assert saved == [10, 20, 30]
    assert run.steps() == [20, 30]
    assert same(at(30), run.load(at(0)))


def test_at_the_ends_of_epochs_that_meet_no_multiple(tmp_path):
    net, x = pn.dense(1, 1), np.ones((7, 1), np.float32)
    params, run = net.init(pn.key(0)), pn.checkpoints(tmp_path, every=10, keep=9)
    options = {"key": pn.key(1), "batch_size": 1, "callbacks": [run.save]}
    found = pn.fit(net, pn.mse, pn.sgd(), params, (x, x), epochs=4, **options)
    assert found.stopped == "epochs"
    assert run.steps() == [14, 21]
    again = pn.checkpoints(tmp_path, every=10, keep=9)
    state = again.load(pn.start(pn.sgd(), params, pn.key(1)))
    options["callbacks"] = [again.save]
    pn.fit(net, pn.mse, pn.sgd(), params, (x, x), epochs=6, resume=state, **options)
    assert again.steps() == [14, 21, 35, 42]


def test_params_of_a_file_that_holds_a_run(tmp_path):
    net, x = pn.dense(1, 1), np.ones((7, 1), np.float32)
    params = net.init(pn.key(0))
    found = pn.fit(net, pn.mse, pn.sgd(), params, (x, x), key=None, epochs=1)
    for held, name in ((found, "Fit"), (found.state, "State")):
        pn.save(tmp_path / "run.npz", held)
        with pytest.raises(
            ValueError, match=rf"holds a {name}: write load\(path, like=start\(optimizer, params, key\)\)"
        ):
            pn.load(tmp_path / "run.npz", like=params)


def test_the_newest_whole_one(tmp_path):
    run = pn.checkpoints(tmp_path, every=10)
    for step in (10, 20, 30):
        run.save(at(step))
    (tmp_path / "step-000000030.npz").write_bytes(b"PK")
    (tmp_path / "step-000000040.npz.1-abc.tmp").write_bytes(b"PK")
    with pytest.warns(UserWarning, match=r"step-000000030\.npz is damaged.* put aside"):
        assert same(at(20), run.load(at(0)))
    assert run.steps() == [10, 20]
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".damaged", ".npz", ".npz"]
    assert run.save(at(30))


def test_none_whole_is_an_error(tmp_path):
    run = pn.checkpoints(tmp_path, every=1)
    (tmp_path / "step-000000030.npz").write_bytes(b"PK")
    with pytest.warns(UserWarning, match="put aside"), pytest.raises(ValueError, match=r"no checkpoint in .* is whole"):
        run.load(at(0))


def test_another_net_is_an_error_and_not_a_damage(tmp_path):
    run = pn.checkpoints(tmp_path, every=1)
    run.save(at(1))
    with pytest.raises(ValueError, match=r"\.w is a float32 array of shape \(3,\), but in like"):
        run.load(Run(0, np.zeros(4, np.float32)))
    assert run.steps() == [1]


def test_a_run_does_not_mix_with_another(tmp_path):
    run = pn.checkpoints(tmp_path, every=1)
    run.save(at(5))
    with pytest.raises(ValueError, match="has a checkpoint of step 5, later than this one of step 3"):
        run.save(at(3))


def test_checkpoints_of_nonsense(tmp_path):
    with pytest.raises(ValueError, match="takes every, a positive integer, not 0"):
        pn.checkpoints(tmp_path, every=0)


@pytest.mark.skipif(os.name != "posix", reason="rights are those of POSIX")
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_keeps_its_rights(suffix, tmp_path):
    path, link = tmp_path / f"a{suffix}", tmp_path / f"link{suffix}"
    link.symlink_to(path)
    for umask in (0o022, 0o077, 0o000):
        before = os.umask(umask)
        try:
            for rights in (0o600, 0o640, 0o664, 0o666, 0o444):
                path.write_bytes(b"old")
                path.chmod(rights)
                for place in (path, link):
                    pn.save(place, small())
                    assert stat.S_IMODE(path.stat().st_mode) == rights
                path.unlink()
            pn.save(path, small())
            assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask
            path.unlink()
        finally:
            os.umask(before)


@pytest.mark.skipif(getattr(os, "geteuid", lambda: 1)() != 0, reason="only root gives files away")
def test_a_file_keeps_its_owner(tmp_path):
    path = tmp_path / "a.npz"
    pn.save(path, small())
    os.chown(path, 1234, 2345)
    path.chmod(0o640)
    pn.save(path, small())
    assert (path.stat().st_uid, path.stat().st_gid, stat.S_IMODE(path.stat().st_mode)) == (1234, 2345, 0o640)


@pytest.mark.skipif(os.name != "posix", reason="rights are those of POSIX")
def test_what_is_being_written_is_as_private_as_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.npz"
    pn.save(path, small())
    path.chmod(0o600)
    seen = []
    monkeypatch.setattr(os, "fsync", lambda file: seen.append([p.stat().st_mode & 0o777 for p in tmp_path.iterdir()]))
    pn.save(path, small())
    assert seen[0] == [0o600, 0o600]


@pytest.mark.parametrize("name", ["a" * 245, "a" * 251, "é" * 125, "🙂" * 62])
def test_long_names(name, tmp_path):
    assert len(os.fsencode(name)) in range(245, 252)
    pn.save(tmp_path / f"{name}.npz", small())
    assert same(small(), pn.load(tmp_path / f"{name}.npz", small()))
    assert os.listdir(tmp_path) == [f"{name}.npz"]


def test_writers_of_one_file_do_not_disturb_each_other(tmp_path):
    path = tmp_path / "a.npz"
    trees = [np.full(2000, i, np.float32) for i in range(4)]
    pn.save(path, trees[0])

    def write(i):
        for _ in range(20):
            pn.save(path, trees[i])
            assert len(set(pn.load(path).tolist())) == 1

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    assert os.listdir(tmp_path) == ["a.npz"]


STRAY = ["step-5.npz", "step-0000000005.npz", "step-٠٠٠٠٠٠٠٠٥.npz", "stop-000000005.npz", "step-abc.npz", "notes.txt"]


def test_other_files_in_the_folder_of_a_run_are_left_alone(tmp_path):
    for name in STRAY:
        (tmp_path / name).write_bytes(b"of somebody else")
    (tmp_path / "step-000000007.npz").mkdir()
    (tmp_path / "step-folder.tmp").mkdir()
    run = pn.checkpoints(tmp_path, every=1, keep=1)
    assert run.steps() == []
    assert run.load(at(0)) is None
    assert [bool(run.save(at(step))) for step in (1, 2, 3)] == [True] * 3
    assert run.steps() == [3]
    assert same(at(3), run.load(at(0)))
    names = {*STRAY, "step-000000007.npz", "step-folder.tmp", "step-000000003.npz"}
    assert {*os.listdir(tmp_path)} == names


@pytest.mark.skipif(os.name != "posix", reason="there are no such marks")
def test_what_a_living_process_writes_is_not_swept_away(tmp_path):
    run = pn.checkpoints(tmp_path, every=1)
    (tmp_path / "step-000000004.npz.1-abc.tmp").write_bytes(b"of a process that was killed")
    code = (
        "import sys, purenet.storage.files as files\n"
        "def write(file):\n"
        "    print('begun', flush=True)\n"
        "    sys.stdin.readline()\n"
        "    file.write(b'whole')\n"
        "files.replace(sys.argv[1], write)"
    )
    place = str(tmp_path / "step-000000009.npz")
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", code, place], **pipes) as process:
        assert process.stdout.readline() == "begun\n"
        assert run.load(at(0)) is None
        assert len(os.listdir(tmp_path)) == 1
        process.communicate("go on\n", timeout=30)
    assert os.listdir(tmp_path) == ["step-000000009.npz"]


RIVAL = """
import sys, numpy as np, purenet as pn
from typing import NamedTuple
class Run(NamedTuple):
    step: int
    w: object
def at(step):
    return Run(step, np.full(5000, step, np.float32))
run = pn.checkpoints(sys.argv[1], every=1, keep=2)
for step in range(1, 30):
    try:
        run.save(at(step))
    except ValueError as error:
        assert "later than this one" in str(error)
    found = run.load(at(0))
    assert (found.w == found.step).all()
"""


@pytest.mark.skipif(os.name != "posix", reason="there are no such marks")
def test_runs_in_one_folder_do_not_disturb_each_other(tmp_path):
    rivals = [subprocess.Popen([sys.executable, "-W", "error", "-c", RIVAL, str(tmp_path)]) for _ in range(3)]
    assert [rival.wait(120) for rival in rivals] == [0, 0, 0]
    assert sorted(os.listdir(tmp_path)) == ["step-000000028.npz", "step-000000029.npz"]


def test_a_rival_that_replaces_all_files_after_the_listing_does_not_hide_them(tmp_path, monkeypatch):
    run = pn.checkpoints(tmp_path, every=1, keep=1)
    run.save(at(1))
    listing, rivals = os.scandir, iter([at(2)])

    def then_a_rival(folder):
        entries = [*listing(folder)]
        for state in rivals:
            pn.save(tmp_path / f"step-{state.step:09}.npz", state)
            os.remove(tmp_path / "step-000000001.npz")
        return entries

    monkeypatch.setattr(os, "scandir", then_a_rival)
    assert run.load(at(0)).step == 2


# --- what fit gave

X = pn.random.normal(pn.key(1), (8, 2))
NET = pn.dense(2, 1)
PARAMS = NET.init(pn.key(0))


def fitted(epochs, **options):
    measured = {"range": lambda y, t: np.array([y.min(), y.max()])}
    return pn.fit(NET, pn.mse, pn.adam(0.1), PARAMS, (X, X[:, :1]), key=pn.key(2), epochs=epochs, batch_size=4,
                  validation=(X, X[:, :1]), metrics=measured, **options)  # fmt: skip


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("patience", [None, 3])
def test_a_whole_fit_comes_back_and_goes_on(patience, suffix, tmp_path):
    half, whole = fitted(3, patience=patience), fitted(6, patience=patience)
    pn.save(tmp_path / f"fit{suffix}", half)
    for like in (half, whole, pn.start(pn.adam(), PARAMS, pn.key(9)), half.state):
        back = pn.load(tmp_path / f"fit{suffix}", like=like)
        assert type(back) is pn.Fit
        assert repr(back) == repr(half)
        assert pn.tree.parting(back._replace(stopped=0, best=0), half._replace(stopped=0, best=0), "fit") is None
        assert (back.stopped, back.best[:3]) == (half.stopped, half.best[:3])
        assert same((back.params, back.state, back.history), (half.params, half.state, half.history))
        rest = fitted(6, patience=patience, resume=back)
        assert same((rest.params, rest.state, rest.history), (whole.params, whole.state, whole.history))
    plain = pn.load(tmp_path / f"fit{suffix}")
    assert (plain["stopped"], plain["best"]["monitor"]) == ("epochs", "validation_loss")


def test_a_fit_without_a_complete_epoch(tmp_path):
    nothing = fitted(1)._replace(history={}, best=None, stopped="interrupted")
    pn.save(tmp_path / "fit.npz", nothing)
    back = pn.load(tmp_path / "fit.npz", like=nothing.state)
    assert (back.history, back.best, back.stopped) == ({}, None, "interrupted")


def test_a_fit_among_the_checkpoints_of_its_run(tmp_path):
    run = pn.checkpoints(tmp_path, every=4)
    half = fitted(3, callbacks=[lambda state, record: run.save(state)])
    assert (half.stopped, half.state.epoch) == ("epochs", 3)  # nor did the first save stop it
    assert run.steps() == [4]
    assert run.save(half)
    assert run.steps() == [4, 6]
    back = run.load(pn.start(pn.adam(), PARAMS, pn.key(9)))
    assert type(back) is pn.Fit
    assert same(fitted(6, resume=back).history, fitted(6).history)
    (tmp_path / "step-000000006.npz").unlink()
    assert type(run.load(half)) is type(half.state)


def test_a_log_of_each_epoch(tmp_path):
    path = tmp_path / "log.csv"
    for _ in range(2):  # the second run begins the file anew
        half = fitted(3, callbacks=pn.csv_log(path))
    whole = fitted(5, callbacks=[pn.csv_log(path)], resume=half)
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    assert [*rows[0]] == ["epoch", "step", "loss", "range", "validation_loss", "validation_range", "learning_rate"]
    assert [int(row["epoch"]) for row in rows] == [1, 2, 3, 4, 5]
    assert [int(row["step"]) for row in rows] == [2, 4, 6, 8, 10]
    assert [float(row["loss"]) for row in rows] == whole.history["loss"].tolist()
    assert whole.stopped == "epochs"
    with pytest.raises(TypeError, match="not int"):
        pn.csv_log(3)


def test_trackers_are_handed_the_numbers_of_each_epoch():
    class Tracker:
        def __init__(self, way):
            self.told = []
            setattr(self, way, lambda numbers, step: self.told.append((step, numbers)))

    def adds(state, record):
        record |= {"text": "no number", "several": np.ones(2), "none": None, "flag": np.True_}

    for way in ("log", "log_metrics"):
        tracker = Tracker(way)
        found = fitted(3, callbacks=[adds, pn.log_to(tracker)])
        assert [step for step, _ in tracker.told] == [1, 2, 3]
        assert [*tracker.told[0][1]] == ["loss", "validation_loss", "learning_rate", "flag"]  # range gives arrays
        assert [numbers["loss"] for _, numbers in tracker.told] == found.history["loss"].tolist()
        assert {type(value) for _, numbers in tracker.told for value in numbers.values()} == {float}


@pytest.mark.parametrize("tracker", [3, "runs", None, logging.getLogger("purenet")])
def test_what_is_no_tracker(tracker):
    with pytest.raises(TypeError, match=r"log_to takes a tracker with log\(numbers, step=\).*, not "):
        pn.log_to(tracker)


def test_the_best_epoch_of_an_accuracy_is_the_highest(tmp_path):
    state, path = pn.start(pn.adam(), PARAMS, None), tmp_path / "best.npz"
    keep = pn.checkpoint_best(path, "accuracy")
    for value in (0.1, 0.9, 0.5):
        keep(state._replace(params=np.full(1, value)), {"accuracy": value})
    assert pn.load(path, like=np.ones(1)).tolist() == [0.9]


@pytest.mark.parametrize("best", ["lowest", "highest"])
def test_the_best_epoch_is_kept(best, tmp_path):
    path, numbers, seen = tmp_path / "best.npz", iter([math.nan, 3.0, 2.0, 5.0, 4.0]), []
    options = {"validation": (X, X[:, :1]), "metrics": {"m": lambda y, t: next(numbers)}, "key": pn.key(2), "epochs": 5}
    kept = pn.checkpoint_best(path, "validation_m", best)
    pn.fit(NET, pn.mse, pn.adam(0.1), PARAMS, lambda key: [(X, X[:, :1])], **options,
           callbacks=[kept, lambda state, record: seen.append((state.params, path.exists()))])  # fmt: skip
    assert not seen[0][1]
    assert same(pn.load(path, like=PARAMS), seen[2 if best == "lowest" else 3][0])


def test_the_best_epoch_by_default_and_of_a_number_that_is_not_there(tmp_path):
    found = fitted(4, callbacks=pn.checkpoint_best(tmp_path / "best.npz"))
    assert found.best.monitor == "validation_loss"
    assert same(pn.load(tmp_path / "best.npz", like=PARAMS), found.best.params)
    with pytest.raises(ValueError, match=r"can monitor loss, .*, learning_rate, not 'los'"):
        fitted(1, callbacks=pn.checkpoint_best(tmp_path / "best.npz", "los"))
    with pytest.raises(ValueError, match="takes best 'lowest' or 'highest', not 'most'"):
        pn.checkpoint_best(tmp_path / "best.npz", best="most")


def test_a_fit_of_another_net(tmp_path):
    pn.save(tmp_path / "fit.npz", fitted(1))
    other = pn.dense(3, 1).init(pn.key(0))
    with pytest.raises(ValueError, match=r"fit.npz, in \.best\.params: \.weight is .*\(2, 1\), but in like .*\(3, 1\)"):
        pn.load(tmp_path / "fit.npz", like=pn.start(pn.adam(), other, pn.key(0)))
    with pytest.raises(ValueError, match=r"lacks \.weight"):
        pn.load(tmp_path / "fit.npz", like=PARAMS)
