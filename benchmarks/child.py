"""The process in which contenders run: held to its number of threads, it prints each row as a line of JSON.

The threads are set before anything is imported: by environment variables for OpenBLAS, OpenMP (PyTorch) and MKL, and by
binding the process to as many cores, which XLA goes by.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
PACKAGES = ("numpy", "torch", "jax", "scikit-learn", "autograd", "onnxruntime")


class FailedError(Exception):
    """A child ended with an error, which it has printed."""


def environment(threads: int) -> dict[str, str]:
    """The environment of a process with so many threads."""
    held = dict.fromkeys(VARIABLES, str(threads))
    if threads == 1:
        held["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_multi_thread_eigen=false".strip()
    return {**os.environ, **held, "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)}


def bind(threads: int) -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def run(groups: Sequence[str], options: Any) -> Iterator[dict[str, Any]]:
    """The rows of a child process, as it finishes them."""
    request = json.dumps({"groups": groups, **options._asdict(), "pace": options.pace._asdict()})
    command = [sys.executable, "-m", "benchmarks.child", request]
    child = subprocess.Popen(
        command, env=environment(options.threads), cwd=ROOT, stdout=subprocess.PIPE, text=True, encoding="utf-8"
    )
    assert child.stdout
    with child, child.stdout:
        for line in child.stdout:
            yield json.loads(line)
    if child.returncode:
        raise FailedError(f"the measurement with {options.threads} thread(s) has failed: see above")


def machine() -> dict[str, Any]:
    """Where this runs, and with what."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        found = [
            line.partition(":")[2].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        name = found[0] if found else name
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "missing"
    return {"cpu": name, "cores": os.cpu_count(), "system": platform.platform(), "versions": versions}


def serve(request: str) -> None:
    wanted = json.loads(request)
    bind(wanted["threads"])
    from benchmarks.contest import DisagreementError, Pace
    from benchmarks.rows import Options, rows_of

    options = Options(wanted["threads"], Pace(**wanted["pace"]), wanted["quick"])
    try:
        for group in wanted["groups"]:
            for row in rows_of(group, options):
                print(json.dumps(row), flush=True)
    except DisagreementError as error:
        sys.exit(f"{group}: {error}")


if __name__ == "__main__":
    serve(sys.argv[1])
