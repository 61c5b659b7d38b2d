"""The file of results that PyTorch gave, tests/data/torch.npz: read by test_recorded, written by oracles/record.py.

A layer is kept as the code that makes it, the form of its x as code over the list x, and all arrays one after the other
in one array of numbers.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import purenet as pn

FILE = Path(__file__).parent / "data" / "torch.npz"
ARRAYS = ("params", "x", "dy", "y", "dparams", "dx")
PUBLIC = {name: getattr(pn, name) for name in pn.__all__}


class Record(NamedTuple):
    """A layer or loss at a point, and what PyTorch gave there: of each tree its leaves."""

    layer: str
    form: str
    training: bool
    params: list[Any]
    x: list[Any]
    dy: list[Any]
    y: list[Any]
    dparams: list[Any]
    dx: list[Any]

    def point(self) -> tuple[Any, Any, Any]:
        """The layer, or loss, and its params and x as trees."""
        layer, x = eval(self.layer, PUBLIC.copy()), eval(self.form, {"x": self.x})
        if isinstance(layer, pn.Loss):
            return layer, (), x
        return layer, like(layer.init(pn.key(0), pn.tree.map(lambda leaf: leaf.shape[1:], x)), self.params), x


def like(tree: Any, leaves: list[Any]) -> Any:
    return pn.tree.unflatten(pn.tree.flatten(tree)[1], leaves)


def read() -> list[Record]:
    with np.load(FILE) as file:
        kept, numbers, at = json.loads(str(file["recorded"])), file["numbers"], 0
    records = []
    for case in kept:
        for part in ARRAYS:
            arrays = []
            for dtype, shape in case[part]:
                size = int(np.prod(shape))
                arrays.append(numbers[at : at + size].astype(dtype).reshape(shape))
                at += size
            case[part] = arrays
        records.append(Record(**case))
    assert at == len(numbers)
    return records


def write(records: list[Record]) -> None:
    kept = [
        r._asdict() | {part: [(a.dtype.name, a.shape) for a in getattr(r, part)] for part in ARRAYS} for r in records
    ]
    numbers = [a.ravel() for r in records for part in ARRAYS for a in getattr(r, part)]
    np.savez_compressed(FILE, recorded=np.array(json.dumps(kept)), numbers=np.concatenate(numbers))
