"""Adds to tests/data/torch.npz what PyTorch gives for the layers and losses that have no recorded result yet.

python -m tests.oracles.record

It takes the first small cases of the catalogue and the twins of tests/oracles/twins. Results that are there already are
left as they are: test_twins.py holds that they are the twins' own.
"""

from __future__ import annotations

import re

import numpy as np

import purenet as pn
from tests.catalogue import LAYERS, LOSSES, WITHOUT_TWIN
from tests.oracles.twins.compare import by_torch, has_twin, some_dy
from tests.records import Record, read, write

EACH, LARGEST = 2, 350  # cases of each layer, and numbers in one of them


class Place:
    """The name of an entry of the list x, in code."""

    def __init__(self, i: int) -> None:
        self.i = i

    def __repr__(self) -> str:
        return f"x[{self.i}]"


def form_of(x):
    """The tree as code over the list of its leaves."""
    leaves, structure = pn.tree.flatten(x)
    return repr(pn.tree.unflatten(structure, [Place(i) for i in range(len(leaves))]))


def arrays(tree):
    return [np.asarray(leaf) for leaf in pn.tree.leaves(tree)]


def recorded(layer, params, x, training, y):
    dy = some_dy(np.random.default_rng(2024), y)
    value, dparams, dx = by_torch(layer, params, x, dy, training)
    form = "x" if isinstance(x, list) else form_of(x)
    return Record(repr(layer), form, training, *map(arrays, (params, x, dy, value, dparams, dx)))


def of_catalogue(name):
    """The records of a layer or loss."""
    if name in LOSSES:
        found = [recorded(c.loss, (), (c.y, c.target), False, c.loss.apply(c.y, c.target)) for c in LOSSES[name]]
    else:
        found = [
            recorded(c.layer, c.params, c.x, c.key is not None, c.layer.apply(c.params, c.x, c.key))
            for c in LAYERS[name]
            if has_twin(c)
        ]
    small = [r for r in found if sum(a.size for part in r[3:] for a in part) <= LARGEST]
    return small[:EACH]


def main() -> None:
    records = read()
    have = {name for record in records for name in re.findall(r"[a-z]\w*", record.layer)}
    for name in [*LAYERS, *LOSSES]:
        if name not in have and name not in WITHOUT_TWIN:
            added = of_catalogue(name)
            records += added
            print(f"{name}: {', '.join(record.layer for record in added)}")
    write(records)


if __name__ == "__main__":
    main()
