"""The examples do what the README says, run as a user runs them; the rest of the gallery: `oracles/test_gallery.py`."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import purenet as pn
from purenet import examples
from purenet.examples import char_rnn, text, xor


def run(*arguments: str, cwd) -> str:
    command = [sys.executable, "-W", "error", "-m", *arguments]
    return subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True, env=environment()).stdout


def environment():
    import os

    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}


def test_the_list_of_examples(tmp_path):
    listed = dict(line.split(maxsplit=1) for line in run("purenet.examples", cwd=tmp_path).splitlines())
    files, no_scripts = Path(examples.__path__[0]).glob("*.py"), {"__init__", "__main__", "command", "text"}
    assert listed.keys() == {path.stem for path in files} - no_scripts
    assert max(map(len, listed.values())) < 120


def test_a_script_behind_the_list_is_told_how_it_is_called(tmp_path):
    command = [sys.executable, "-m", "purenet.examples", "xor"]
    done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True)
    assert done.returncode == 1
    assert "python -m purenet.examples.xor" in done.stderr


def test_nothing_that_is_held_out_was_trained_on():
    content = text.read()
    train, test = (content.decode(ids).split("\n\n") for ids in (content.train, content.test))
    assert len(train) + len(test) > 1000
    assert not {" ".join(part.split()) for part in train} & {" ".join(part.split()) for part in test}


@pytest.mark.parametrize("order", [0, 1, 2])
def test_the_count_model_gives_probabilities(order):
    train = pn.random.randint(pn.key(0), (40,), 0, 3)  # of four characters one never occurs
    content = text.Text("abcd", train, None)
    for context in np.ndindex(*(4,) * order):
        tests = [content._replace(test=np.array([*context, c])) for c in range(4)]
        P = [1 / text.count_perplexity(one, order) for one in tests]
        assert sum(P) == pytest.approx(1)
        assert min(P) > 0


def test_the_lstm_begins_each_piece_where_the_last_one_ended():
    net, seen = char_rnn.model(4, 8), [None]

    def vjp(params, x, key=None):
        assert x[1] is seen[-1]
        y, pullback = net.vjp(params, x, key)
        seen.append(y[1])
        return y, pullback

    ids, optimizer, params = np.arange(32 * 64 * 3 + 1) % 4, pn.sgd(0.1), net.init(pn.key(0))
    char_rnn.epoch(net._replace(vjp=vjp), optimizer, params, optimizer.init(params), ids, pn.key(1))
    assert len(seen) == 4
    x = np.concatenate([x for x, _ in char_rnn.pieces(ids, 32, 64)], axis=1)
    np.testing.assert_array_equal(x.ravel(), ids[:-1])


def test_xor_as_in_the_video(tmp_path):
    printed = run("purenet.examples.xor", "--gif", "xor.gif", cwd=tmp_path)
    errors = [float(e) for e in re.findall(r"error ([\d.]+)", printed)]
    assert len(errors) == 10
    assert errors[-1] < 1e-3
    outputs = [float(y) for y in re.findall(r"= ([+-][\d.]+)", printed)]
    assert outputs == pytest.approx([0, 1, 1, 0], abs=0.1)
    for picture in ("xor.png", "xor.gif"):
        assert (tmp_path / picture).exists() == pn.plotting.is_available()


@pytest.mark.parametrize("batch", [2, 4])
def test_xor_in_batches_learns(batch):
    _, errors = xor.train(0, batch, epochs=3000, lr=0.5)
    assert errors[-1] < 1e-2 < errors[0]


def test_xor_counts_keys(tmp_path):
    assert "1 of 1 keys end below 0.001" in run("purenet.examples.xor", "--keys", "1", cwd=tmp_path)


def test_digits_reach_97_percent_on_unseen_images(tmp_path):
    printed = run("purenet.examples.digits", cwd=tmp_path)
    accuracy = float(re.search(r"([\d.]+)% of 359 unseen digits are right", printed).group(1))
    assert accuracy >= 97
    counts = [
        int(n) for row in re.findall(r"^ {2}\d(.*)$", printed, flags=re.MULTILINE) for n in re.findall(r"\d+", row)
    ]
    assert sum(counts) == 359
    assert (tmp_path / "digits.png").exists() == pn.plotting.is_available()
