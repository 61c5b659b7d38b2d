"""Recurrent layers over sequences (batch, time, features): rnn, lstm and gru.

What x holds decides what comes out, so one layer with one set of params serves whole sequences, padded ones, and
sequences that come in pieces:

    x                              y
    sequence                       outputs
    (sequence, lengths)            outputs; those beyond a sequence's length are 0, and its state stands still there
    (sequence, state)              (outputs, final state); the state None begins with zeros
    (sequence, state, lengths)     (outputs, final state)

With `return_state=True` a layer gives (outputs, final state) of all of these. The final state of a padded example is
that of its last real step. So an encoder hands what it has read to a decoder, which writes from there on: of (ids, ids
that were written so far), what to write next.

    encoder = serial(embedding(1000, 16), lstm(16, 32, return_state=True), pick(1))
    serial(parallel(encoder, embedding(1000, 16)), swap, lstm(16, 32), pick(0), dense(32, 1000))

Of several layers in a row each takes the lengths: `keep_rest` hands them on beside the outputs, and `on_first` is for
layers that know nothing of lengths. (The outputs alone would do no harm to what is within the lengths, but the last
state of the next layer, and all of a layer that starts at the end, would come from the zeros beyond them too.)

    serial(on_first(embedding(1000, 16)), keep_rest(lstm(16, 32)), lstm(32, 32, last=True), dense(2))

dx mirrors x, with None for the lengths and for a state of None. In dE/dY, None may stand for the final state's gradient
where that is 0. Truncated back-propagation through time hands the final state of a piece to the next, no gradient back:

    >>> import numpy as np, purenet as pn
    >>> net, optimizer = pn.serial(pn.gru(1, 8), pn.on_first(pn.dense(8, 1))), pn.adam(0.03)
    >>> params = net.init(pn.key(0))
    >>> moments = optimizer.init(params)
    >>> series = np.sin(np.arange(41, dtype=np.float32) / 4)[None, :, None]
    >>> for epoch in range(40):
    ...     state = None
    ...     for t in range(0, 40, 10):  # from each value of a piece the next
    ...         (y, state), pullback = net.vjp(params, (series[:, t : t + 10], state))
    ...         E, pull = pn.mse.vjp(y, series[:, t + 1 : t + 11])
    ...         grads, _ = pullback((pull(), None), wrt_x=False)
    ...         params, moments = optimizer.step(params, grads, moments)
    >>> bool(E < 0.01)
    True

A step is written for one moment of time, `step(z, state) -> (state, pull)`, with its rule `pull(dstate) -> (dz, da,
dstate)` under it: Z = X · W + B is the step's share of one product for all steps, and the step may write over it;
A = H · U = ops.dot(ahead, H) is its recurrent product, and ops.dot(back, dE/dA) the rule of that. Inside, arrays are
(features, batch), so that each gate is a block of rows, one piece of memory. What the steps have in common, and why
there are two of U, is in recurrence.py.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from purenet.core import Layer
from purenet.engine import Ops
from purenet.engine.arrays import Array
from purenet.initializers import Initializer, constant, glorot_uniform, zeros
from purenet.layers.recurrence import ORTHOGONAL, Cell, States, Step, StepPull, recurrent
from purenet.layers.stacked import stacked
from purenet.spec import check_sizes
from purenet.values import takes_numbers


class RNNParams(NamedTuple):
    """weight (in, hidden), recurrent_weight (hidden, hidden); bias (hidden,), or None in a layer without."""

    weight: Array
    recurrent_weight: Array
    bias: Array | None


class LSTMParams(NamedTuple):
    """weight (in, 4·hidden), recurrent_weight (hidden, 4·hidden), bias (4·hidden,) or None; gates i, f, g, o."""

    weight: Array
    recurrent_weight: Array
    bias: Array | None


class GRUParams(NamedTuple):
    """weight (in, 3·hidden), recurrent_weight (hidden, 3·hidden), bias (3·hidden,) or None; gates in order r, z, n.

    recurrent_bias (hidden,), or None, is the one of n: it is multiplied by r. Those of r and z would only add to bias,
    and so would that of n with `reset_after=False`, which has none.
    """

    weight: Array
    recurrent_weight: Array
    bias: Array | None
    recurrent_bias: Array | None


@takes_numbers
def rnn(
    *sizes: int,
    last: bool = False,
    reverse: bool = False,
    return_state: bool = False,
    num_layers: int = 1,
    dropout: float = 0.0,
    bias: bool = True,
    weight_init: Initializer = glorot_uniform,
    recurrent_init: Initializer = ORTHOGONAL,
    bias_init: Initializer = zeros,
) -> Layer[RNNParams]:
    """A recurrent layer: Hₜ = tanh(Xₜ · W + Hₜ₋₁ · U + B). `rnn(in, hidden)`, or `rnn(hidden)` to infer `in`.

    Shapes: X (batch, time, in); the state H (batch, hidden); Y (batch, time, hidden), every Hₜ, or with `last=True`
    only the last, (batch, hidden). `reverse=True` goes from the end to the start; Y stays in the order of X. x may also
    hold a state and lengths: (sequence, state) gives (outputs, final state), see `purenet.layers.recurrent`; with
    `return_state=True` they are given of a sequence alone too. `num_layers` are `stacked`, with `dropout` between them,
    and params and states are tuples of theirs.

    The rule, from the last step to the first, where dE/dHₜ is what comes from Yₜ and from the step after:
        dE/dZₜ = dE/dHₜ ⊙ (1 − Hₜ²)        dE/dHₜ₋₁ = dE/dZₜ · Uᵀ        dE/dXₜ = dE/dZₜ · Wᵀ
        dE/dW = Σ Xₜᵀ · dE/dZₜ        dE/dU = Σ Hₜ₋₁ᵀ · dE/dZₜ        dE/dB = Σ dE/dZₜ

    J. Elman, "Finding structure in time", Cognitive Science, 1990. U begins orthogonal (A. Saxe et al., ICLR 2014).

    Raises:
        ValueError: the axes or sizes of x are not those above; the params are another layer's; dropout of one layer.
        TypeError: x and the params differ in dtype.

    >>> import numpy as np, purenet as pn
    >>> layer = pn.rnn(2, 3)
    >>> params = layer.init(pn.key(0))
    >>> y, pullback = layer.vjp(params, np.ones((4, 5, 2), np.float32))
    >>> dparams, dx = pullback(np.ones_like(y))
    >>> y.shape, dparams.recurrent_weight.shape, dx.shape
    ((4, 5, 3), (3, 3), (4, 5, 2))
    """

    def start(ops: Ops, params: RNNParams, ahead: Array, back: Array) -> tuple[Step, StepPull]:
        def step(z: Array, state: States) -> tuple[States, Any]:
            z += ops.dot(ahead, state[0])
            h = ops.overwrite(ops.tanh, z)
            return (h,), h

        def pull(h: Array, dh: Array) -> tuple[Array, Array | None, States]:
            dz = dh * (1 - h * h)
            return dz, None, (ops.dot(back, dz),)

        return step, pull

    return _layers("rnn", locals(), Cell(RNNParams, (1.0,), 1, start))


@takes_numbers
def lstm(
    *sizes: int,
    last: bool = False,
    reverse: bool = False,
    return_state: bool = False,
    num_layers: int = 1,
    dropout: float = 0.0,
    bias: bool = True,
    forget_bias: float = 1.0,
    weight_init: Initializer = glorot_uniform,
    recurrent_init: Initializer = ORTHOGONAL,
    bias_init: Initializer = zeros,
) -> Layer[LSTMParams]:
    """Long short-term memory. `lstm(in, hidden)`, or `lstm(hidden)` to infer `in`.

    Zₜ = Xₜ · W + Hₜ₋₁ · U + B has four parts, in the order i, f, g, o:
        I = σ(Zi)    F = σ(Zf)    G = tanh(Zg)    O = σ(Zo)        Cₜ = F ⊙ Cₜ₋₁ + I ⊙ G        Hₜ = O ⊙ tanh Cₜ

    Shapes, options and errors are rnn's; for padded sequences x is (sequence, lengths), lengths an integer array
    (batch,); the state is a tuple (H, C) of arrays (batch, hidden). `forget_bias` is the value that the bias of F
    begins with, so that the memory lasts.

    The rule, from the last step to the first, where dE/dHₜ and dE/dCₜ hold what comes from the step after:
        dE/dCₜ += dE/dHₜ ⊙ O ⊙ (1 − tanh² Cₜ)
        dE/dZi = dE/dCₜ ⊙ G ⊙ I(1 − I)        dE/dZf = dE/dCₜ ⊙ Cₜ₋₁ ⊙ F(1 − F)
        dE/dZg = dE/dCₜ ⊙ I ⊙ (1 − G²)        dE/dZo = dE/dHₜ ⊙ tanh Cₜ ⊙ O(1 − O)
        dE/dHₜ₋₁ = dE/dZₜ · Uᵀ        dE/dCₜ₋₁ = dE/dCₜ ⊙ F        the rest as in rnn

    S. Hochreiter, J. Schmidhuber, "Long short-term memory", 1997; F. Gers et al., "Learning to forget", 2000; for the
    forget bias R. Jozefowicz et al., "An empirical exploration of recurrent network architectures", ICML 2015.

    >>> import numpy as np, purenet as pn
    >>> layer = pn.lstm(2, 3, last=True)
    >>> params = layer.init(pn.key(0))
    >>> layer.apply(params, np.ones((4, 5, 2), np.float32)).shape
    (4, 3)
    >>> y, (h, c) = layer.apply(params, (np.ones((4, 5, 2), np.float32), None))
    >>> c.shape
    (4, 3)
    """

    def start(ops: Ops, params: LSTMParams, ahead: Array, back: Array) -> tuple[Step, StepPull]:
        n = ahead.shape[1]

        def step(z: Array, state: States) -> tuple[States, Any]:
            h, c = state
            z += ops.dot(ahead, h)
            t = ops.overwrite(ops.tanh, z)
            gates = t * 0.5
            gates += 0.5
            i, f, g, o = gates[:n, ...], gates[n : 2 * n, ...], t[2 * n : 3 * n, ...], gates[3 * n :, ...]
            new = f * c
            new += i * g
            squashed = ops.tanh(new)
            return (o * squashed, new), (t, gates, c, squashed)

        def pull(saved: Any, dh: Array, dc: Array) -> tuple[Array, Array | None, States]:
            t, gates, c, squashed = saved
            i, f, g, o = gates[:n, ...], gates[n : 2 * n, ...], t[2 * n : 3 * n, ...], gates[3 * n :, ...]
            dnew = o * (1 - squashed * squashed)
            dnew *= dh
            dnew += dc
            dz = ops.concat([dnew * g, dnew * c, dnew * i, dh * squashed])
            dz *= 1 - t * t  # the ¼ of σ' stands in the product after it
            return dz, None, (ops.dot(back, dz), dnew * f)

        return step, pull

    cell = Cell(LSTMParams, (0.5, 0.5, 1.0, 0.5), 2, start, lambda ops, *given: ops.lstm_steps(*given))
    biases = bias_init, constant(forget_bias), bias_init, bias_init
    return _layers("lstm", locals(), cell, biases)


@takes_numbers
def gru(
    *sizes: int,
    last: bool = False,
    reverse: bool = False,
    return_state: bool = False,
    num_layers: int = 1,
    dropout: float = 0.0,
    bias: bool = True,
    reset_after: bool = True,
    weight_init: Initializer = glorot_uniform,
    recurrent_init: Initializer = ORTHOGONAL,
    bias_init: Initializer = zeros,
) -> Layer[GRUParams]:
    """Gated recurrent unit. `gru(in, hidden)`, or `gru(hidden)` to infer `in`.

    Zₜ = Xₜ · W + B and Aₜ = Hₜ₋₁ · U have three parts, in the order r, z, n, and Q = An + Bq has the recurrent bias Bq:
        R = σ(Zr + Ar)    S = σ(Zz + Az)    N = tanh(Zn + R ⊙ Q)        Hₜ = (1 − S) ⊙ N + S ⊙ Hₜ₋₁

    R multiplies the recurrent product and not Hₜ₋₁, as in PyTorch, cuDNN and Keras. With `reset_after=False` it comes
    before the product, as in the paper: Q = (R ⊙ Hₜ₋₁) · Un, and there is no Bq. The rest is as in rnn, its errors too.

    The rule, from the last step to the first, where dE/dHₜ is what comes from Yₜ and from the step after:
        dE/dZn = dE/dHₜ ⊙ (1 − S) ⊙ (1 − N²)        dE/dQ = dE/dAn = dE/dZn ⊙ R
        dE/dZz = dE/dAz = dE/dHₜ ⊙ (Hₜ₋₁ − N) ⊙ S(1 − S)        dE/dZr = dE/dAr = dE/dZn ⊙ Q ⊙ R(1 − R)
        dE/dHₜ₋₁ = dE/dAₜ · Uᵀ + dE/dHₜ ⊙ S        dE/dU = Σ Hₜ₋₁ᵀ · dE/dAₜ        dE/dBq = Σ dE/dQ
        the rest as in rnn
    With reset_after=False, where P = R ⊙ Hₜ₋₁:
        dE/dP = dE/dZn · Unᵀ        dE/dZr = dE/dP ⊙ Hₜ₋₁ ⊙ R(1 − R)        dE/dUn = Σ Pᵀ · dE/dZn
        dE/dHₜ₋₁ = dE/dZrz · Urzᵀ + dE/dP ⊙ R + dE/dHₜ ⊙ S        the rest as above

    K. Cho et al., "Learning phrase representations using RNN encoder-decoder", EMNLP 2014.

    >>> import numpy as np, purenet as pn
    >>> layer = pn.gru(2, 3, reverse=True)
    >>> params = layer.init(pn.key(0))
    >>> y = layer.apply(params, (np.ones((2, 5, 2), np.float32), np.array([5, 1])))
    >>> y.shape, y[1, 1:].any()
    ((2, 5, 3), np.False_)
    """

    def start(ops: Ops, params: GRUParams, ahead: Array, back: Array) -> tuple[Step, StepPull]:
        n, recurrent_bias = ahead.shape[1], params.recurrent_bias

        def step(z: Array, state: States) -> tuple[States, Any]:
            h = state[0]
            a = ops.dot(ahead, h)
            t = a[: 2 * n, ...] + z[: 2 * n, ...]
            t = ops.overwrite(ops.tanh, t)
            gates = t * 0.5
            gates += 0.5
            r, s, q = gates[:n, ...], gates[n:, ...], a[2 * n :, ...]
            if recurrent_bias is not None:
                q = q + recurrent_bias[..., None]
            new = ops.overwrite(ops.tanh, z[2 * n :, ...] + r * q)
            away = h - new
            return (new + s * away,), (t, gates, q, new, away)

        def pull(saved: Any, dh: Array) -> tuple[Array, Array | None, States]:
            t, gates, q, new, away = saved
            r, s = gates[:n, ...], gates[n:, ...]
            dn = dh * (1 - s) * (1 - new * new)
            dgates = ops.concat([dn * q, dh * away])
            dgates *= 1 - t * t  # the ¼ of σ' stands in the product after it
            da = ops.concat([dgates, dn * r])
            dprevious = ops.dot(back, da)
            dprevious += dh * s
            return ops.concat([dgates, dn]), da, (dprevious,)

        return step, pull

    step = start if reset_after else _resetting_first
    return _layers("gru", locals(), Cell(GRUParams, (0.5, 0.5, 1.0), 1, step, reset=not reset_after))


def _resetting_first(ops: Ops, params: GRUParams, ahead: Array, back: Array) -> tuple[Step, StepPull]:
    """The step of a gru whose R multiplies Hₜ₋₁, before the product: An = (R ⊙ Hₜ₋₁) · Un."""
    n = ahead.shape[1]

    def step(z: Array, state: States) -> tuple[States, Any]:
        h = state[0]
        t = ops.overwrite(ops.tanh, z[: 2 * n, ...] + ops.dot(ahead[: 2 * n, ...], h))
        gates = t * 0.5
        gates += 0.5
        r, s = gates[:n, ...], gates[n:, ...]
        reset = r * h
        new = ops.overwrite(ops.tanh, z[2 * n :, ...] + ops.dot(ahead[2 * n :, ...], reset))
        return (new + s * (h - new),), (reset, t, gates, h, new)

    def pull(saved: Any, dh: Array) -> tuple[Array, Array | None, States]:
        _, t, gates, h, new = saved
        r, s = gates[:n, ...], gates[n:, ...]
        dn = dh * (1 - s) * (1 - new * new)
        dreset = ops.dot(back[:, 2 * n :], dn)
        dgates = ops.concat([dreset * h, dh * (h - new)])
        dgates *= 1 - t * t  # the ¼ of σ' stands in the product after it
        dprevious = ops.dot(back[:, : 2 * n], dgates)
        dprevious += dreset * r
        dprevious += dh * s
        return ops.concat([dgates, dn]), None, (dprevious,)

    return step, pull


def _layers(maker: str, given: dict[str, Any], cell: Cell, gates_bias_init: tuple[Initializer, ...] = ()) -> Layer[Any]:
    """A recurrent layer, or so many of them stacked, of the maker's `locals()`."""
    count, dropout, hidden = given["num_layers"], given["dropout"], given["sizes"][-1:]

    def one(**changes: Any) -> Layer[Any]:
        return recurrent(maker, given | {"num_layers": 1, "dropout": 0.0} | changes, cell, gates_bias_init)

    check_sizes(maker, "num_layers", count)
    if count > 1:
        first, between = one(last=False), [one(last=False, sizes=hidden * 2)] * (count - 2)
        return stacked(first, *between, one(sizes=hidden * 2), dropout=dropout)
    if dropout:
        raise ValueError(
            f"{one()}: dropout={dropout} is for what one layer hands to the next, and there is one layer: set "
            f"num_layers, or write serial({one()}, dropout({dropout}))"
        )
    return one()
