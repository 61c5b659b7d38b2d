"""The transformer's blocks, made of other layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from purenet.combinators import on_first, residual, serial
from purenet.combinators.compose import check_tuple, composed
from purenet.core import Layer
from purenet.engine import Ops
from purenet.engine.arrays import are_several, describe, describe_all
from purenet.layers.activations import gelu
from purenet.layers.attention import multi_head_attention
from purenet.layers.dense import dense
from purenet.layers.dropout import dropout as drop
from purenet.layers.norm import layer_norm
from purenet.random import Key, split
from purenet.spec import Pull, Rule, check_sizes
from purenet.values import Call, brief, called, takes_numbers


@takes_numbers
def transformer_block(
    features: int,
    heads: int,
    hidden: int | None = None,
    *,
    causal: bool = False,
    kv_heads: int | None = None,
    rotary: bool | float = False,
    norm: Literal["pre", "post"] = "pre",
    activation: Layer[Any] = gelu,
    dropout: float = 0.0,
    attention_dropout: float = 0.0,
    bias: bool = True,
    eps: float = 1e-5,
) -> Layer[Any]:
    """A transformer's encoder block: attention and two dense layers, each with a way around it and a norm.

    X (batch, time, features), or (X, mask) with the lengths or a mask of `multi_head_attention`, to Y (batch, time,
    features). `keep_rest` hands the mask on to the next block. It is no more than this, and so is its rule; params are
    nested alike:

        serial(
            residual(serial(on_first(layer_norm), multi_head_attention(features, heads))),
            residual(serial(layer_norm, dense(features, hidden), gelu, dense(hidden, features))),
        )

    and with `norm="post"`, where the norm comes behind the sum:

        serial(
            serial(residual(serial(multi_head_attention(features, heads))), layer_norm),
            serial(residual(serial(dense(features, hidden), gelu, dense(hidden, features))), layer_norm),
        )

    The first dense layer has `hidden` outputs, or 4·features; the `activation` may make fewer of them, as `swiglu`
    does. In training `dropout` is the share dropped of what each half adds, and `attention_dropout` of the weights in
    the attention, which has `kv_heads`, `causal` and `rotary` too. Without `bias` no part has one; `eps` is that of the
    norms.

    A causal block takes (X, state) and (X, state, mask) too, and gives (Y, state), as its attention does; what comes
    after that is `on_first`. So blocks that are `stacked` are trained on whole sequences, and sampled place by place.
    `rotary` knows how far the sequence has come:

    >>> import numpy as np, purenet as pn
    >>> blocks = [pn.transformer_block(8, 2, causal=True, rotary=True) for _ in range(3)]
    >>> net = pn.serial(pn.on_first(pn.embedding(10, 8)), pn.stacked(*blocks), pn.on_first(pn.dense(10)))
    >>> params = net.init(pn.key(0), (5,))
    >>> net.apply(params, np.array([[3, 1, 4, 1, 5]])).shape
    (1, 5, 10)
    >>> said, state = [3], None
    >>> while len(said) < 5:
    ...     scores, state = net.apply(params, (np.array([said[-1:]]), state))
    ...     said.append(int(scores[0, -1].argmax()))
    >>> len(said), state[0][0].shape
    (5, (1, 4, 8))

    A. Vaswani et al., "Attention is all you need", NeurIPS 2017, has the norms last; first they are in R. Xiong et al.,
    "On layer normalization in the transformer architecture", ICML 2020, so after the last block one more is usual.

    Raises:
        ValueError: heads do not divide features; a size, a share or the norm is none of the above.
        TypeError: the activation is not a layer.

    >>> import numpy as np, purenet as pn
    >>> net = pn.serial(pn.keep_rest(pn.transformer_block(8, 2)), pn.transformer_block(8, 2), pn.layer_norm)
    >>> padded = np.ones((4, 5, 8), np.float32), np.array([5, 3, 1, 2])
    >>> net.apply(net.init(pn.key(0), ((5, 8), ())), padded).shape
    (4, 5, 8)
    """
    block = _block("transformer_block", locals())
    forward = on_first(block.forward()) if causal else block.forward()
    return serial(block.attention(causal, rotary), forward)._replace(name=block.name)


@takes_numbers
def transformer_decoder_block(
    features: int,
    heads: int,
    hidden: int | None = None,
    *,
    causal: bool = True,
    kv_heads: int | None = None,
    rotary: bool | float = False,
    norm: Literal["pre", "post"] = "pre",
    activation: Layer[Any] = gelu,
    dropout: float = 0.0,
    attention_dropout: float = 0.0,
    bias: bool = True,
    eps: float = 1e-5,
) -> Layer[Any]:
    """A transformer's decoder block: causal attention, attention to a memory, and two dense layers.

    (X, memory) or (X, memory, mask) to Y, with X and Y (batch, t, features) and the memory (batch, s, any), which an
    encoder gives; the mask or the lengths are those of the memory. Padding behind X needs no mask, for no place sees
    what comes later; any other one stands beside X, ((X, mask), memory). Between blocks `keep_rest` hands the memory
    on, or they are `stacked`. The options are those of `transformer_block`, and `rotary` is for the places of X alone.
    It is no more than this:

        serial(
            on_first(residual(serial(on_first(layer_norm), multi_head_attention(features, heads, causal=True)))),
            residual(serial(on_first(layer_norm), multi_head_attention(features, heads))),
            residual(serial(layer_norm, dense(features, hidden), gelu, dense(hidden, features))),
        )

    A causal block writes place by place too, with the state of its causal attention, None at first: (X, state, memory)
    or (X, state, memory, mask) gives (Y, state). The keys and values of the memory are made anew for each piece, in a
    time that does not grow with what was written.

    A. Vaswani et al., "Attention is all you need", NeurIPS 2017.

    Raises:
        As `transformer_block`; ValueError: x is none of these.

    Source words and what was said so far, to the next word:

    >>> import numpy as np, purenet as pn
    >>> words = pn.serial(pn.embedding(10, 8), pn.positional_encoding)
    >>> net = pn.serial(
    ...     pn.parallel(words, pn.serial(words, pn.transformer_block(8, 2))),
    ...     pn.transformer_decoder_block(8, 2),
    ...     pn.dense(10),
    ... )
    >>> so_far, source = np.array([[0, 4, 2]]), np.array([[3, 1, 5, 9]])
    >>> net.apply(net.init(pn.key(0)), (so_far, source)).shape
    (1, 3, 10)

    What was said before stays in the state, so only the last word goes in:

    >>> blocks = pn.stacked(*[pn.transformer_decoder_block(8, 2, rotary=True)] * 2)
    >>> decoder = pn.serial(pn.on_first(pn.embedding(10, 8)), blocks, pn.on_first(pn.dense(10)))
    >>> memory = np.ones((1, 4, 8), np.float32)
    >>> params = decoder.init(pn.key(0), ((3,), (4, 8)))
    >>> said, state = [3], None
    >>> while len(said) < 5:
    ...     scores, state = decoder.apply(params, (np.array([said[-1:]]), state, memory))
    ...     said.append(int(scores[0, -1].argmax()))
    >>> whole = decoder.apply(params, (np.array([said[:-1]]), memory))
    >>> whole.shape, bool(np.allclose(whole[:, -1], scores[:, -1], atol=1e-5))
    ((1, 4, 10), True)
    """
    block = _block("transformer_decoder_block", locals())
    return _decoder(block.name, (on_first(block.attention(causal, rotary)), block.attention(False), block.forward()))


def _decoder(name: Call, parts: tuple[Layer[Any], ...]) -> Layer[Any]:
    """`serial` of the parts, the first of which stands before a memory; a state goes past the others."""
    chain, who = serial(*parts), brief(name)

    def with_state(in_shape: Any) -> bool:
        """Whether in a shape what stands second is a state, of which None may tell nothing, and not the memory."""
        if in_shape is None or len(in_shape) < 3:
            return False
        _, beside, memory, *_ = in_shape
        if beside is None:
            return type(memory) is tuple and len(memory) == 2
        return type(beside) is tuple and are_several(beside)

    def shape(in_shape: Any) -> Any:
        if not with_state(in_shape):
            return chain.shape(in_shape)
        first: Any = parts[0].shape((in_shape[:2], *in_shape[2:]))
        return chain.shape((in_shape[0], *in_shape[2:])), first[0][1]

    def init(key: Key, in_shape: Any = None) -> Any:
        return chain.init(key, (in_shape[0], *in_shape[2:]) if with_state(in_shape) else in_shape)

    def check(params: Any, x: Any) -> None:
        check_tuple(params, len(parts), who, "params that are")
        if type(x) is not tuple or not 2 <= len(x) <= 4:
            forms = "(X, memory); (X, memory, mask); (X, state, memory); (X, state, memory, mask)"
            mend = ": write tuple(x)" if isinstance(x, list) else ""
            raise ValueError(f"{who} takes x as one of: {forms}. It was given {describe_all(x)}{mend}")
        if len(x) == 2 and (x[1] is None or type(x[1]) is tuple):
            raise ValueError(f"{who} takes (X, state, memory), but it was given (X, state) without a memory")
        if type(x[0]) is tuple and (x[1] is None or type(x[1]) is tuple):
            raise ValueError(
                f"{who} takes no mask of X beside a state, but it was given ((X, mask), state, memory): write "
                "(X, state, memory), for no place sees padding behind it"
            )

    def rule(rules: Sequence[Rule], ops: Ops, params: Any, x: Any, key: Key | None) -> tuple[Any, Pull]:
        to_itself, to_memory, forward = rules
        stateful = x[1] is None or type(x[1]) is tuple
        keys = (None,) * 3 if key is None else split(key, 3)
        (y, *memory), pull_itself = to_itself(ops, params[0], (x[:2], *x[2:]) if stateful else x, keys[0])
        y, state = y if stateful else (y, None)
        y, pull_memory = to_memory(ops, params[1], (y, *memory), keys[1])
        y, pull_forward = forward(ops, params[2], y, keys[2])

        def pull(dy: Any, wrt_x: bool) -> tuple[Any, Any]:
            dy, dstate = dy if stateful else (dy, None)
            dforward, dy = pull_forward(dy, True)
            dmemory, (dy, *drest) = pull_memory(dy, True)
            ditself, dx = pull_itself(((dy, dstate) if stateful else dy, *drest), wrt_x)
            return (ditself, dmemory, dforward), (*dx[0], *dx[1:]) if stateful and wrt_x else dx

        return (y, state) if stateful else y, pull

    return composed(name, parts, rule, check, init, shape, lambda parts: _decoder(name, parts))


class _Block(NamedTuple):
    """What a block is made of."""

    name: Call
    features: int
    heads: int
    hidden: int
    kv_heads: int | None
    norm: str
    activation: Layer[Any]
    dropout: float
    attention_dropout: float
    bias: bool
    eps: float

    def half(self, *layers: Layer[Any], stateful: bool = False) -> Layer[Any]:
        """A way around the layers, and a norm; what is `stateful` hands on a state beside Y."""
        norm, beside = layer_norm(self.features, eps=self.eps, bias=self.bias), on_first if stateful else lambda f: f
        dropped = (*layers, beside(drop(self.dropout))) if self.dropout else layers
        if self.norm == "post":
            return serial(residual(serial(*dropped)), beside(norm))
        return residual(serial(on_first(norm), *dropped))

    def attention(self, causal: bool, rotary: bool | float = False) -> Layer[Any]:
        options: dict[str, Any] = {"kv_heads": self.kv_heads, "dropout": self.attention_dropout, "bias": self.bias}
        layer = multi_head_attention(self.features, self.heads, causal=causal, rotary=rotary, **options)
        return self.half(layer, stateful=causal)

    def forward(self) -> Layer[Any]:
        first = dense(self.features, self.hidden, bias=self.bias)
        active = (self.activation.shape((self.hidden,)) or (self.hidden,))[-1]
        return self.half(first, self.activation, dense(active, self.features, bias=self.bias))


def _block(maker: str, given: dict[str, Any]) -> _Block:
    """The parts of a block, of the maker's `locals()`, after a check of what its parts do not check."""
    features, hidden, norm, activation = (given[each] for each in ("features", "hidden", "norm", "activation"))
    check_sizes(maker, "features, heads and hidden", features, given["heads"], *(() if hidden is None else (hidden,)))
    if norm not in ("pre", "post"):
        raise ValueError(f'{maker} takes norm="pre" or "post", not {norm!r}')
    if not isinstance(activation, Layer):
        raise TypeError(f"{maker} takes a layer as activation, such as gelu or relu, not {describe(activation)}")
    usual = 4 * features
    name = called(maker, given | {"hidden": None if hidden == usual else hidden}, 3)
    own = {field: given[field] for field in _Block._fields if field in given}
    return _Block(**own | {"name": name, "hidden": hidden or usual})
