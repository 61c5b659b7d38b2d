"""The measuring instrument: order, medians, ratios, agreement before timing, missing peers, goals, growth."""

from __future__ import annotations

import itertools
import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks import against, goals, mutations, report, rows, scale, works
from benchmarks import peers as registry
from benchmarks.__main__ import benchmarks
from benchmarks.child import FailedError, environment, run
from benchmarks.contest import DisagreementError, Entry, Pace, agree, check, compete, ratios, spread, turns
from benchmarks.peers import by_hand, class_style
from benchmarks.rows import EVERY, GROUPS, Options, measured, rows_of

ROOT = Path(__file__).parents[1]
QUICK = Options(pace=Pace(1, 0.0, 0.0), quick=True)


@pytest.fixture
def alone(monkeypatch):
    """As if nothing but NumPy were installed."""
    monkeypatch.setattr(registry, "find_spec", lambda name: None)


# in turns


def test_each_contender_has_every_place_and_several_predecessors():
    names = ["a", "b", "c", "d"]
    orders = [turns(names, round_) for round_ in range(8)]
    assert all(sorted(order) == names for order in orders)
    for name in names:
        assert {order.index(name) for order in orders} == {0, 1, 2, 3}
        assert len({order[order.index(name) - 1] for order in orders if order[0] != name}) > 1


def test_all_contenders_run_in_each_round_in_its_order():
    called = []
    runs = {name: lambda name=name: called.append(name) for name in "abc"}
    times = compete(runs, Pace(3, 0.0, 0.0))
    assert {name: len(found) for name, found in times.items()} == {"a": 3, "b": 3, "c": 3}
    rounds = called[-18:]  # of three rounds, each contender running once to warm up and once for the clock
    assert [name for name, _ in itertools.groupby(rounds)] == [
        name for name, _ in itertools.groupby(name for round_ in range(3) for name in turns("abc", round_))
    ]


def test_a_turn_takes_as_long_as_it_must():
    count = itertools.count()
    compete({"quick": lambda: next(count)}, Pace(2, 0.01, 0.0))
    assert next(count) > 100


def test_the_median_the_quartiles_and_the_ratio():
    assert spread([5, 1, 3, 2, 4]) == (3, 2, 4)
    assert spread([7.0]) == (7, 7, 7)
    assert ratios([1, 2, 4], [2, 4, 2]) == [2, 2, 0.5]
    row = measured("g", "s", "t", 1, "s a step", {"purenet": [1.0, 2, 4], "peer": [3.0, 4, 4]}, {})
    assert row["contenders"]["peer"]["ratio"]["median"] == 2  # of 3, 2 and 1: round by round
    assert row["contenders"]["peer"]["value"]["median"] == 4


# agreement


def test_losses_that_agree_pass():
    agree({"purenet": (1.0, 0.5), "peer": (1.0001, 0.4999)}, 1e-3)
    agree({"purenet": (1.0, 0.99), "peer": (1.0, 0.990005)}, 1e-3)


@pytest.mark.parametrize("theirs", [(1.0, 0.501), (1.01, 0.5), (1.0, math.nan)])
def test_losses_that_differ_fail_and_name_who(theirs):
    with pytest.raises(DisagreementError, match="in peer, but"):
        agree({"purenet": (1.0, 0.5), "peer": theirs}, 1e-3)


@pytest.mark.parametrize("after", [1.0, 0.9995, math.nan])
def test_an_epoch_that_changes_nothing_proves_nothing(after):
    with pytest.raises(DisagreementError, match="too little"):
        agree({"purenet": (1.0, after), "peer": (1.0, after)}, 1e-3)


def test_losses_are_taken_before_and_after_one_epoch():
    def entry(factor):
        weight = [1.0]
        return Entry(lambda: weight.append(weight[-1] * factor), lambda: weight[-1])

    entries = {"purenet": entry(0.5), "peer": entry(0.5), "products": Entry(lambda: None, None)}
    assert check(entries, 1e-3) == {"purenet": (1.0, 0.5), "peer": (1.0, 0.5)}
    with pytest.raises(DisagreementError):
        check({"purenet": entry(0.5), "peer": entry(0.6)}, 1e-3)


@pytest.mark.usefixtures("alone")
def test_a_contender_with_another_arithmetic_is_found_before_any_timing(monkeypatch):
    def forgets_the_two(target, output):
        return (output - target) / np.size(target)

    monkeypatch.setattr(class_style, "mse_derivative", forgets_the_two)
    monkeypatch.setattr(rows, "compete", lambda *_: pytest.fail("it was timed"))
    with pytest.raises(DisagreementError, match="class style"):
        list(rows_of("xor", QUICK))


@pytest.mark.usefixtures("alone")
def test_a_wrong_adam_is_found(monkeypatch):
    monkeypatch.setattr(by_hand, "adam", lambda lr, made=by_hand.adam: made(lr, beta1=0.8))
    with pytest.raises(DisagreementError, match="by hand"):
        list(rows_of("limits", QUICK))


# what runs without any peer


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("group", ["xor", "limits", "lenet", "conv3x3", "fullbatch", "lstm", "transformer", "predict"])
def test_rows_run_alone_and_name_whom_they_lack(group):
    for row in rows_of(group, QUICK):
        json.dumps(row)
        assert "purenet" in row["contenders"]
        assert group == "limits" or row["missing"]["PyTorch"] == ["torch"]
        shown = report.table(row)
        for name in row["missing"]:
            assert f"{name} " in shown
            assert f"{name} did not take part" in report.absent([row])
        assert shown.count("missing:") == len(row["missing"])


def test_exponentials_of_matrices_are_their_series():
    matrices = works.normal(0, 20, 4)
    matrices[0], matrices[1] = [1, 0, 0, 1], [0, 2, 0, 0]
    for given, found in zip(matrices.astype(np.float64), works.exponential(matrices), strict=True):
        term = total = np.eye(2)
        for n in range(1, 60):
            term = term @ given.reshape(2, 2) / n
            total = total + term
        np.testing.assert_allclose(found.reshape(2, 2), total, rtol=1e-5, atol=1e-6)


def test_threads_are_set_for_every_library():
    held = environment(1)
    assert held["OMP_NUM_THREADS"] == held["OPENBLAS_NUM_THREADS"] == "1"
    assert "multi_thread_eigen=false" in held["XLA_FLAGS"]
    assert environment(2)["OMP_NUM_THREADS"] == "2"


def test_a_child_that_fails_is_no_end_of_rows():
    with pytest.raises(FailedError):
        list(run(["nonsense"], QUICK))


def test_the_command_line(tmp_path):
    command = [sys.executable, "-m", "benchmarks", "xor", "--quick", "--threads", "1", "--json", tmp_path / "x.json"]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    written = json.loads((tmp_path / "x.json").read_text(encoding="utf-8"))
    assert [row["group"] for row in written["rows"]] == ["xor"]
    assert written["machine"]["versions"]["numpy"] == np.__version__
    wrong = subprocess.run([*command[:3], "speed", "nonsense"], cwd=ROOT, capture_output=True, text=True)
    assert wrong.returncode == 2
    assert "nonsense" in wrong.stderr


# goals


def test_every_goal_is_measured():
    from benchmarks import layers, memory, native, predict, startup

    found = {
        (work.size, name) for group in rows.TRAINING for work in getattr(works, group)(False) for name in work.peers
    }
    found |= {
        (size, peer) for size in ("native", "native conv", "compile") for pair in native.WAYS.values() for peer in pair
    }
    found |= {("predict 64-128-10", peer) for peer in predict.PEERS} | {
        ("layers", name) for name in (layers.ON_TORCH, layers.COMPILED, layers.TORCH_COMPILED, "PyTorch")
    }
    found |= {("trained XOR", name) for name in startup.IMPORTS}
    found |= {(f"memory {size}", peer) for size, peers in memory.PEERS.items() for peer in peers}
    for goal in goals.GOALS:
        named = {goal.peer, goal.ours} - {"purenet", goals.ANY}
        assert {(size, name) for size in goal.sizes for name in named} <= found, goal
    ways = {way for peers in goals.PEERS.values() for way in peers}
    assert ways <= {name for _, name in found}


def test_a_goal_is_met_or_missed():
    def row(threads, theirs):
        values = {"purenet": [1.0], "class style": [theirs]}
        return measured("xor", "xor", "XOR", threads, "s a step", values, {"PyTorch": ["torch"]})

    given = [row(2, 1.5), row(1, 0.9)]
    assert [each.met for each in goals.judge(given)] == [True, False]
    shown = report.summary(given)
    assert "the video's XOR, on NumPy: purenet ≥ 1 of class style: 1 of 2" in shown
    assert "✗ 0.90  XOR (1 thread), by purenet" in shown
    assert "1 of 2 met" in shown


def test_the_best_engine_is_held_against_the_quickest_way_of_a_peer():
    values = {
        "purenet": [4.0, 4.0, 4.0],
        "purenet on PyTorch": [2.0, 2.0, 2.0],
        "PyTorch": [3.0, 3.0, 3.0],
        "PyTorch, compiled": [1.8, 1.6, 2.0],
    }
    row = measured("lstm", "lstm", "LSTM", 2, "s a step", values, {})
    (judged,) = goals.judge([row])
    assert (judged.goal.ours, judged.by, judged.ratio, judged.met) == (goals.ANY, "purenet on PyTorch", 0.9, False)


def test_the_best_engine_stands_beside_the_best_peer():
    values = {
        "purenet": [2.0],
        "purenet on PyTorch": [1.0],
        "PyTorch": [1.25],
        "by hand": [3.0],
        "bare products": [0.5],
    }
    row = measured("dense", "dense", "a row", 2, "s a step", values, {})
    assert report.best(row) == ("purenet on PyTorch", "PyTorch", 1.25)
    assert "a row (2 threads): purenet on PyTorch, 1.25 of PyTorch" in report.best_of_all([row])
    alone = measured("dense", "dense", "a row", 2, "s a step", {"purenet": [2.0], "PyTorch": [1.0]}, {})
    assert report.best(alone) is None
    assert report.best_of_all([alone]) == ""


def test_a_goal_is_out_of_reach_where_the_products_alone_would_miss_it():
    def row(bare):
        values = {"purenet": [1.0], "by hand": [0.8], "bare products": [bare]}
        return measured("dense", "784-128-10", f"{bare} for the products", 1, "s a step", values, {})

    given = [row(0.9), row(0.4)]  # by hand takes 0.89 and 2 times as long as they: the goal is 0.95
    assert [each.mark for each in goals.judge(given)] == ["⊘", "✗"]
    assert "⊘ 0.80" in report.summary(given)


def test_the_table_in_markdown():
    values = {"purenet": [2e-3], "purenet on PyTorch": [1e-3], "PyTorch": [1.25e-3]}
    given = [
        measured("dense", "dense", "a row", 2, "s a step", values, {}),
        measured("dense", "dense", "another", 2, "s a step", {"purenet": [1e-3], "by hand": [2e-3]}, {}),
    ]
    assert report.markdown(given).splitlines() == [
        "| work | on NumPy | on tensors | PyTorch | by hand | best engine over best peer |",
        "| --- | --- | --- | --- | --- | --- |",
        "| a row | 2.00 ms | 0.50 | 0.62 |  | on tensors: 1.25 of PyTorch |",
        "| another | 1.00 ms |  |  | 2.00 |  |",
    ]


def test_every_group_is_described_and_runs_by_default_once():
    assert {*EVERY, "limits", "crossover"} == {*GROUPS}
    assert len(EVERY) == len({*EVERY})


# growth


def test_what_grows_faster_than_the_arithmetic_is_found():
    sizes = [1, 10, 100, 1000, 10_000]
    assert scale.judge(sizes, [1e-6 * n for n in sizes], sizes)["passed"]
    assert scale.judge(sizes, [1e-3 + 1e-6 * n for n in sizes], sizes)["passed"]
    late = [1e-3 + 1e-8 * n**2 for n in sizes]  # flat at first: over all sizes its exponent is below 1
    assert scale.exponent(sizes, late) < 1
    assert not scale.judge(sizes, late, sizes)["passed"]


def test_multiplications_are_counted_for_forward_and_back():
    assert scale.multiplications(2, 3, 4) == 2 * 6 + 3 * 12


# against another revision


def test_a_bound_is_missed_above_it_and_not_at_it():
    def row(group, name, *pairs):
        return against.Compared(name, "s", against.bound_of(group, name), pairs)

    before = 1.0, 2.0, 4.0
    for group, name, most in [
        ("xor", "XOR, 2-3-1 tanh", 1.05),
        ("dense", "2-3-2 tanh, batch 4, Adam, joined", 1.05),
        ("dense", "64-128-10 tanh, batch 32, SGD", 1.05),
        ("dense", "784-128-10 relu, batch 32, SGD", 1.03),
        ("lstm", "LSTM", 1.03),
        ("predict", "one prediction, 64-128-10 tanh", 1.10),
    ]:
        at, above = (row(group, name, *((a, a * ratio) for a in before)) for ratio in (most - 1e-9, most + 1e-3))
        assert (at.missed, above.missed) == (False, True), name
        assert f"{most:.2f}" in str(at)
        assert ("✗" in str(at), "✗" in str(above)) == (False, True)
    assert row("xor", "XOR", (1.0, 1.0), (1.0, 9.0), (5.0, 5.2)).change.median == 1.04  # one bad turn is outvoted
    assert row("xor", "XOR", (1.0, math.nan)).missed
    slower = row("import", "import purenet", (0.020, 0.024), (0.120, 0.124))
    assert not slower.missed
    assert "+4.0 ms" in str(slower)
    assert row("import", "import purenet", (0.020, 0.0251)).missed


def test_neighbours_are_of_one_turn_and_both_begin_in_turn():
    asked = []

    def figure(version):
        asked.append(version)
        return len(asked)

    pairs = against.neighbours({"REV": "a", "here": "b"}, Pace(4, 0.0, 0.0), figure)
    assert "".join(asked) == "abab" + "baba" + "baba" + "abab"
    assert [{*pair} for pair in pairs] == [{i, i + 1} for i in range(1, 17, 2)]


def test_rows_are_chosen_by_parts_of_their_names():
    every = {"XOR, SGD": "xor", "LeNet-5, batch 64, Adam": "lenet", "one prediction, LeNet-5": "predict"}
    assert against.chosen(every, []) == every
    assert [*against.chosen(every, ["lenet"])] == [*every][1:]
    with pytest.raises(ValueError, match=r"no row has 'gru' in its name. The rows are:\n  XOR, SGD"):
        against.chosen(every, ["xor", "gru"])


def test_versions_that_compute_different_numbers_are_not_timed():
    against.check("xor", {"REV": [1.0, 0.5], "here": [1.0, 0.5]})
    with pytest.raises(DisagreementError, match="REV"):
        against.check("xor", {"REV": [1.0, 0.6], "here": [1.0, 0.5]})
    with pytest.raises(DisagreementError, match="REV"):
        against.check("predict", {"REV": [1.0, 0.6], "here": [1.0, 0.5]})


IN_GIT = pytest.mark.skipif(not (ROOT / ".git").exists(), reason="there is no other revision without git")


def against_head(folder, *options):
    """The command, which puts its worktree into this folder."""
    command = [sys.executable, "-m", "benchmarks", "against", "HEAD", *options, "--threads", "1"]
    environment = {**os.environ, "TMPDIR": str(folder)}
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@IN_GIT
def test_against_head(tmp_path):
    process = against_head(tmp_path, "xor", "one prediction, 64", "--quick")
    printed, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert re.search(r"^XOR.* [\d.]+ µs +[\d.]+ µs +[\d.]+  .*1\.05", printed, flags=re.MULTILINE)
    assert re.search(r"^one prediction, 64-128-10 tanh .*1\.10", printed, flags=re.MULTILINE)
    assert not [*tmp_path.iterdir()]
    listed = subprocess.run(["git", "worktree", "list"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert str(tmp_path) not in listed


@IN_GIT
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_the_worktree_is_removed_when_it_is_interrupted(how, tmp_path):
    process = against_head(tmp_path, "xor", "--rounds", "10000")
    deadline = time.monotonic() + 60
    while not [*tmp_path.glob("*/rev/purenet/__pycache__")]:  # by now both versions run
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(how)
    process.communicate(timeout=60)
    assert process.returncode not in (None, 0)
    assert not [*tmp_path.iterdir()]
    listed = subprocess.run(["git", "worktree", "list"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert str(tmp_path) not in listed


def test_an_unknown_revision_is_named():
    command = [sys.executable, "-m", "benchmarks", "against", "no-such-revision"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert "'no-such-revision' is no revision" in done.stderr


def test_the_readme_of_benchmarks_lists_every_command():
    named = re.findall(r"`(\w+)", (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8"))
    assert {*benchmarks(), *GROUPS} <= {*named}


# mutations


def test_every_file_of_rules_has_tests_and_they_are_there():
    files = [path for pattern in mutations.RULES for path in ROOT.glob(pattern) if mutations.mutants(path)]
    assert {file.stem for file in files} >= {
        "dense",
        "single",
        "adaptive",
        "chain",
        "numpy",
        "jax",
        "guard",
        "patterns",
        "layout",
    }
    for file in files:
        chosen = mutations.tests_of(file)
        assert chosen, file
        for test in chosen:
            path, _, function = test.partition("::")
            assert f"def {function}" in (ROOT / path).read_text(encoding="utf-8"), test
    places = {file.relative_to(ROOT / "purenet").with_suffix("") for file in files}
    places |= {place.parent for place in places}
    assert {place.as_posix() for place in places} >= mutations.TESTS.keys()


def test_what_is_changed_and_what_is_left_alone(tmp_path):
    file = tmp_path / "rules.py"
    file.write_text(
        "SIZE = 1 + 1\n"
        "@overload\n"
        "def rule(x, w, times=1): ...\n"
        "def rule(x, w):\n"
        "    if x < 0:\n"
        "        raise ValueError('x is at least 0')\n"
        "    return dot(x, w) + 3\n"
        "def check_it(x):\n"
        "    return x * 2\n"
    )
    changes = [mutant.change for mutant in mutations.mutants(file)]
    assert sorted(changes) == [
        "3  ->  4",
        "dot(x, w)  ->  -dot(x, w)",
        "dot(x, w)  ->  dot(w, x)",
        "dot(x, w) + 3  ->  dot(x, w) - 3",
    ]
    names = {"dot": lambda a, b: 10 * a + b, "overload": lambda f: f}
    for i in range(len(changes)):
        exec(mutations.mutants(file)[i].code(), names)
        assert names["rule"](2, 1) != 24, changes[i]
