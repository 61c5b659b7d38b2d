"""The oracles: purenet against PyTorch, JAX and properties that must hold.

`python -m pytest tests/oracles` runs them.
"""

from __future__ import annotations

import jax
import pytest

from tests.oracles.agree import RECORD, record

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_num_cpu_devices", 8)  # those of test_sharded; all else computes on the first


def pytest_sessionfinish(session):
    """A worker of pytest-xdist hands its part of the table on."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["record"] = [(*which, *what) for which, what in RECORD.items()]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node, error):
    for name, oracle, dtype, draws, error in getattr(node, "workeroutput", {}).get("record", ()):
        record(name, oracle, dtype, error, draws)


def pytest_terminal_summary(terminalreporter):
    """A table of how many draws each rule was compared in, and the largest error relative to the largest entry."""
    if not RECORD:
        return
    terminalreporter.section("largest relative error")
    for (name, oracle, dtype), (draws, error) in sorted(RECORD.items()):
        terminalreporter.write_line(f"{name:<36} {oracle:<8} {dtype:<8} {draws:>5} draws  {error:.1e}")
