"""One table: every layer and every loss of the library, with inputs that it accepts. The invariants run over it.

A file holds the rows of a family, and says nothing else. A public layer or loss that has no row fails the suite
(`test_invariants.test_catalogue_is_complete`), and so does one whose twin in PyTorch and JAX is not named
(`tests/oracles/twins`) or that has no recorded result.
"""

from __future__ import annotations

import purenet as pn
from tests.cases import Case, LossCase
from tests.catalogue import (
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

LAYERS: dict[str, list[Case]] = {
    **dense.ROWS,
    **activations.ROWS,
    **gates.ROWS,
    **windows.ROWS,
    **norms.ROWS,
    **noise.ROWS,
    **embeddings.ROWS,
    **recurrent.ROWS,
    **attention.ROWS,
    **transformer.ROWS,
    **merges.ROWS,
    **combinators.ROWS,
}
LOSSES: dict[str, list[LossCase]] = losses.ROWS

WITHOUT_TWIN = {  # no twin in tests/oracles/twins, and so no recorded result
    "activation": "of the user's own function",
}

LAYER_CASES = [(name, case) for name, cases in LAYERS.items() for case in cases]
LOSS_CASES = [(name, case) for name, cases in LOSSES.items() for case in cases]


def layer_id(case: tuple[str, Case]) -> str:
    return f"{case[1].layer.name}-{pn.tree.map(lambda leaf: leaf.shape, case[1].x)}"


def loss_id(case: tuple[str, LossCase]) -> str:
    return f"{case[1].loss.name}-{pn.tree.map(lambda leaf: leaf.shape, case[1].y)}"
