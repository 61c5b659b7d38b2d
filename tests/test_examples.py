"""The examples do what the README says, run as a user runs them."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

import purenet as pn
from purenet.examples import xor


def run(*arguments: str, cwd) -> str:
    command = [sys.executable, "-W", "error", "-m", *arguments]
    return subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True, env=environment()).stdout


def environment():
    import os
    from pathlib import Path

    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}


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
