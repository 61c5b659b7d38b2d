"""The table of twins: each layer and loss of the catalogue, as PyTorch and JAX have it, and how it is drawn.

A file holds a family, as in `tests/catalogue`, and `TWINS`, whose rows are named as the catalogue's are.
"""

from __future__ import annotations

from tests.oracles.twins import (
    activations,
    attention,
    combinators,
    dense,
    embeddings,
    gates,
    losses,
    merges,
    noise,
    norms,
    recurrent,
    transformer,
    windows,
)
from tests.oracles.twins.twin import Twin

FAMILIES = (
    dense,
    activations,
    gates,
    windows,
    norms,
    noise,
    embeddings,
    recurrent,
    attention,
    transformer,
    merges,
    combinators,
    losses,
)
TWINS: dict[str, Twin] = {name: twin for family in FAMILIES for name, twin in family.TWINS.items()}
