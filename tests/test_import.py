"""What `import purenet` brings along."""

from __future__ import annotations

import subprocess
import sys

HEAVY = (
    "jax",
    "torch",
    "matplotlib",
    "tqdm",
    "scipy",
    "sklearn",
    "importlib.resources",
    "onnx",
    "purenet.engine.torch",
    "purenet.interop.operators",
    "purenet.storage",
    "purenet.training.fitting",
    "purenet.training.loop",
)


def test_import_brings_nothing_heavy():
    modules = "import sys, numpy; before = set(sys.modules); import purenet; print(*set(sys.modules) - before)"
    run = subprocess.run([sys.executable, "-c", modules], capture_output=True, text=True, check=True)
    assert not {name for name in run.stdout.split() if name.startswith(HEAVY)}
