"""Gated units: one half of the last axis lets the other half through."""

from __future__ import annotations

from typing import Any

from purenet.core import Layer
from purenet.engine import Ops
from purenet.engine.arrays import Array
from purenet.layers.activations import Elementwise, NoParams, sigmoid_rule, silu_rule
from purenet.layers.hints import equal_parts
from purenet.spec import Pull, Spec, layer
from purenet.spec.presets import preset
from purenet.values import called


def _gated(name: str, gate: Elementwise, gate_first: bool) -> Layer[NoParams]:
    """Y = gate(A) ⊙ B for the halves A and B of the last axis, or A ⊙ gate(B)."""

    def rule(ops: Ops, params: NoParams, x: Array, key: Any) -> tuple[Array, Pull]:
        half = x.shape[-1] // 2
        a, b = x[..., :half], x[..., half:]
        into, other = (a, b) if gate_first else (b, a)
        g, back = gate(ops, into)

        def pull(dy: Array, wrt_x: bool) -> tuple[NoParams, Any]:
            if not wrt_x:
                return (), None
            dinto = dy * back(other)  # not back(dy ⊙ other): that product could overflow where the slope is 0
            dother = dy * g
            return (), ops.concat((dinto, dother) if gate_first else (dother, dinto), axis=-1)

        return g * other, pull

    return layer(Spec(name, x="... features", y="... features/2", fits=equal_parts(2)), rule, wide=True)


@preset
def glu() -> Layer[NoParams]:
    """The gated linear unit: Y = A ⊙ σ(B), for the halves A and B of the last axis of X.

    X (..., 2n) and Y (..., n). Any leading axes; an odd last axis is a ValueError.

    The rule: each entry of Y has one of A and one of B, and σ' = σ(B) ⊙ σ(−B), so by the product rule

        dE/dA = dE/dY ⊙ σ(B)        dE/dB = dE/dY ⊙ A ⊙ σ(B) ⊙ σ(−B)

    and dE/dX is dE/dA, then dE/dB, along the last axis. Y. Dauphin et al., "Language modeling with gated convolutional
    networks", ICML 2017.

    >>> import numpy as np, purenet as pn
    >>> y, pullback = pn.glu.vjp((), np.array([[3.0, 4.0, 0.0, -1000.0]]))
    >>> y, pullback(np.ones((1, 2)))[1]
    (array([[1.5, 0. ]]), array([[0.5 , 0.  , 0.75, 0.  ]]))
    """
    return _gated(called("glu"), sigmoid_rule, gate_first=False)


@preset
def swiglu() -> Layer[NoParams]:
    """The gated linear unit of silu: Y = S ⊙ B with S = A ⊙ σ(A), for the halves A and B of the last axis of X.

    X (..., 2n) and Y (..., n). Any leading axes; an odd last axis is a ValueError.

    The rule: each entry of Y has one of A and one of B, and dS/dA = σ(A) + A ⊙ σ(A) ⊙ σ(−A), so by the product rule

        dE/dA = dE/dY ⊙ B ⊙ σ(A) ⊙ (1 + A ⊙ σ(−A))        dE/dB = dE/dY ⊙ S

    and dE/dX is dE/dA, then dE/dB, along the last axis. The gate is of the first half here, and of the second one
    in `glu`. N. Shazeer, "GLU variants improve transformer", 2020.

    >>> import numpy as np, purenet as pn
    >>> y, pullback = pn.swiglu.vjp((), np.array([[1000.0, 0.0, 2.0, 3.0]]))
    >>> y, pullback(np.ones((1, 2)))[1]
    (array([[2000.,    0.]]), array([[   2. ,    1.5, 1000. ,    0. ]]))
    """
    return _gated(called("swiglu"), silu_rule, gate_first=True)
