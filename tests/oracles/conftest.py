"""The oracles: purenet against PyTorch, JAX and properties that must hold.

`python -m pytest tests/oracles` runs them.
"""

from __future__ import annotations

import os
from pathlib import Path

# what is compiled here runs once or twice: machine code that is made quickly is worth more than code that is quick
# (an XLA that does not know a flag ends the process and says which: leave it out then)
os.environ["XLA_FLAGS"] = (
    f"{os.environ.get('XLA_FLAGS', '')} --xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false"
)
os.environ["SCIPY_ARRAY_API"] = "1"  # without it scikit-learn skips its checks of the array API

import jax
import pytest

from tests.oracles.agree import RECORD, onnx_summary, record

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_num_cpu_devices", 8)  # those of test_sharded; all else computes on the first
PICTURES: list[str] = []


@pytest.fixture
def picture(tmp_path):
    """`picture(name)` is a path to draw to; the run ends with a list of them. They go to the folder that
    PURENET_PICTURES names, or to pytest's own.
    """
    folder = Path(os.environ.get("PURENET_PICTURES") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)

    def place(name):
        PICTURES.append(str(folder / name))
        return folder / name

    return place


def pytest_sessionfinish(session):
    """A worker of pytest-xdist hands its part of the tables on."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["record"] = [(*which, *what) for which, what in RECORD.items()]
        session.config.workeroutput["pictures"] = PICTURES


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node, error):
    output = getattr(node, "workeroutput", {})
    for name, oracle, dtype, draws, error in output.get("record", ()):
        record(name, oracle, dtype, error, draws)
    PICTURES.extend(output.get("pictures", ()))


def pytest_terminal_summary(terminalreporter):
    """A table of how many draws each rule was compared in, and the largest error relative to the largest entry; and
    where the pictures are.
    """
    if RECORD:
        terminalreporter.section("largest relative error")
    for (name, oracle, dtype), (draws, error) in sorted(RECORD.items()):
        if "has no" not in oracle:
            terminalreporter.write_line(f"{name:<36} {oracle:<8} {dtype:<8} {draws:>5} draws  {error:.1e}")
    if any(oracle == "onnxruntime" for _, oracle, _ in RECORD):
        terminalreporter.section("ONNX")
    for line in onnx_summary():
        terminalreporter.write_line(line)
    if PICTURES:
        terminalreporter.section("pictures")
    for path in sorted(PICTURES):
        terminalreporter.write_line(path)
