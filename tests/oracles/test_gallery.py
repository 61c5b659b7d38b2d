"""The scripts of the gallery in their quick modes, with all extras that they need, run as a user runs them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from purenet import examples
from tests.test_examples import run

QUICK = {  # what each prints with --quick, and between which numbers that lies
    "adding_problem": {r"lstm: error ([\d.]+)": (0, 0.01), r"gru: error ([\d.]+)": (0, 0.01)},
    "autoencoder": {r"unseen digits: ([\d.]+)": (0, 0.0095), r"16 components ([\d.]+)": (0.011, 0.012)},
    "batch_sizes": {r"matrices: the spikes fall with the power ([-\d.]+)": (-0.55, -0.45)},
    "binary_net": {r"signs is ([-\d.]+) points behind": (-3, 3), r"and ([\d.]+) times smaller": (15, 32)},
    "boundary": {rf"{name} .* ([\d.]+)% of 400": (99, 100) for name in ("xor", "circles", "moons")},
    "char_rnn": {r"after 3 characters: perplexity ([\d.]+)": (3.5, 5), r"LSTM: perplexity ([\d.]+)": (3, 11)},
    "denoiser": {r"noisy: ([\d.]+)": (10.3, 10.6), r"epoch  10 .*cleaned: ([\d.]+)": (15, 20)},
    "gan": {r"epoch  50 .* sure to ([\d.]+)%": (90, 100), r"epoch  50 .* as asked ([\d.]+)%": (90, 100)},
    "late_update": {
        r"rate 0.0010: dE/dX is off by +([\d.]+)%": (0.1, 0.5),
        r"right, learning rate 0.30: ([\d.]+)%": (85, 100),
        r"late , learning rate 0.30: ([\d.]+)%": (0, 20),
    },
    "mnist": {r"as in the video: ([\d.]+)%": (80, 100), r"all images: ([\d.]+)%": (95, 100)},
    "mnist_conv": {r"0 or 1: ([\d.]+)%": (95, 100), r"LeNet-5: ([\d.]+)%": (95, 100)},
    "own_layer": {r"([\d.]+)% of 400 unseen points": (99, 100)},
    "physics": {r"exact solution by at most ([\d.e-]+)": (0, 0.2)},
    "policy_gradient": {r"a mean return of ([\d.]+)": (60, 500)},
    "q_learning": {r"a mean return of ([\d.]+)": (100, 500)},
    "seq2seq": {r"step +60 .* exact ([\d.]+)%": (0, 60), r"([\d.]+)% of 200 fresh sequences": (95, 100)},
    "tabular": {
        r"purenet: balanced accuracy ([\d.]+)": (0.8, 1),
        r"purenet: .* R² of the days ([\d.]+)": (0.7, 1),
    },
    "transformer": {r"transformer: perplexity ([\d.]+)": (3, 11)},  # who sees what comes next has less than 3
    "vae": {r"epoch  15 .*unseen digits +([-\d.]+)": (-26.5, -24)},
}


@pytest.mark.parametrize("name", QUICK)
def test_the_quick_mode_of_the_gallery(name, tmp_path):
    printed = run(f"purenet.examples.{name}", "--quick", cwd=tmp_path)
    for pattern, (low, high) in QUICK[name].items():
        assert low <= float(re.search(pattern, printed).group(1)) <= high, pattern
    assert (tmp_path / f"{name}.png").exists()


def test_the_quick_mode_of_each_script_of_the_gallery_is_tested():
    quick = {
        path.stem for path in Path(examples.__path__[0]).glob("*.py") if "options.quick" in path.read_text("utf-8")
    }
    assert quick == QUICK.keys()
