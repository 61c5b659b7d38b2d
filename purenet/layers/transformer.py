"""The transformer block, made of other layers."""

from __future__ import annotations

from typing import Any

from purenet.combinators import residual, serial
from purenet.core import Layer
from purenet.layers.activations import gelu
from purenet.layers.attention import multi_head_attention
from purenet.layers.dense import dense
from purenet.layers.dropout import dropout as drop
from purenet.layers.norm import layer_norm
from purenet.values import called, takes_numbers


@takes_numbers
def transformer_block(
    features: int, heads: int, hidden: int | None = None, *, dropout: float = 0.0, causal: bool = False
) -> Layer[Any]:
    """A pre-norm transformer block: X + attention(norm(X)), and to that the same with two dense layers and a gelu.

    X and Y (batch, time, features). The first dense layer has `hidden` outputs, or 4·features. In training `dropout` is
    the share dropped of what each half adds to X. It is no more than this, and so is its rule; params are nested alike:

        serial(
            residual(serial(layer_norm(features), multi_head_attention(features, heads))),
            residual(serial(layer_norm(features), dense(features, hidden), gelu, dense(hidden, features))),
        )

    A. Vaswani et al., "Attention is all you need", NeurIPS 2017; the norms come first as in R. Xiong et al., "On layer
    normalization in the transformer architecture", ICML 2020, so after the last block one more norm is usual.

    >>> import numpy as np, purenet as pn
    >>> net = pn.serial(pn.transformer_block(8, 2, causal=True), pn.transformer_block(8, 2, causal=True), pn.layer_norm)
    >>> net.apply(net.init(pn.key(0), (5, 8)), np.ones((4, 5, 8), np.float32)).shape
    (4, 5, 8)
    """
    if hidden is None:
        hidden = 4 * features
    sizes = (features, heads, *(() if hidden == 4 * features else (hidden,)))
    name = called("transformer_block", *sizes, dropout=(dropout, 0.0), causal=(causal, False))
    dropped = (drop(dropout),) if dropout else ()
    block = serial(
        residual(serial(layer_norm(features), multi_head_attention(features, heads, causal=causal), *dropped)),
        residual(serial(layer_norm(features), dense(features, hidden), gelu, dense(hidden, features), *dropped)),
    )
    return block._replace(name=name)
