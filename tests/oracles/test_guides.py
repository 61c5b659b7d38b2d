"""What the guides say of other libraries: their programs run, and each name is there."""

from __future__ import annotations

import os
import re
from importlib import import_module

import pytest

from purenet.names import elsewhere

os.environ.setdefault("KERAS_BACKEND", "jax")


def named(name: str):
    """What a name with dots stands for, of the module before it, or of one that is imported for it."""
    first, *rest = name.split(".")
    path = {"nnx": "flax.nnx"}.get(first, first)
    found = import_module(path)
    for part in rest:
        path += f".{part}"
        found = getattr(found, part) if hasattr(found, part) else import_module(path)
    return found


@pytest.mark.parametrize(
    "name",
    [
        f"{prefix}{name}".partition("(")[0]
        for library, prefix in elsewhere.LIBRARIES.items()
        for row in elsewhere.rows()
        for name in row.names[library]
    ],
)
def test_a_name_of_another_library_is_there(name):
    assert named(name) is not None


@pytest.mark.parametrize("library", elsewhere.LIBRARIES)
@pytest.mark.filterwarnings("default")  # what the other library warns of is not ours
def test_the_program_of_a_guide_runs(library):
    guide = import_module(f"purenet.guide.from_{library.lower()}")
    (program,) = re.findall(r"```python\n(.*?)```", guide.__doc__, flags=re.DOTALL)
    names: dict[str, object] = {}
    exec(program, names)
    if library == "Keras":
        assert names["history"].history["val_accuracy"][-1] > 0.8
    else:
        assert names["loss" if library == "PyTorch" else "E"].item() < 0.05
