"""E and its gradient for every parameter, by the rules of a net and of a loss.

Losses over several nets
------------------------

What `value_and_grad` does for one net is three lines, and with several nets there are more of them: forward by each
`vjp`, and back by the pullbacks in the reverse order. A pullback's dx is the dy of the net before it; where a value
goes two ways, or params are used twice, the gradients add.

A variational autoencoder: Z = M + exp(S) ⊙ e, E = MSE + KL with KL = Σ (exp(2S) + M² − 1 − 2S) / 2·batch, so that
dKL/dM = M / batch and dKL/dS = (exp(2S) − 1) / batch (D. Kingma, M. Welling, 2014, appendix B).

>>> import numpy as np, purenet as pn
>>> encoder, decoder = pn.fan_out(pn.dense(4, 2), pn.dense(4, 2)), pn.dense(2, 4)
>>> def vae(params, x, e):
...     (m, s), encode = encoder.vjp(params[0], x)
...     y, decode = decoder.vjp(params[1], m + np.exp(s) * e)
...     E, pull = pn.mse.vjp(y, x)
...     E = E + ((np.exp(2 * s) + m * m - 1) / 2 - s).sum() / len(x)
...     ddecoder, dz = decode(pull())
...     dm, ds = dz + m / len(x), dz * np.exp(s) * e + (np.exp(2 * s) - 1) / len(x)
...     dencoder, _ = encode((dm, ds), wrt_x=False)
...     return E, (dencoder, ddecoder)

Two nets against each other (I. Goodfellow et al., 2014): each loss has its own gradients, from the same forward pass.

>>> generator, judge = pn.dense(2, 4), pn.serial(pn.dense(4, 8), pn.tanh, pn.dense(8, 1))
>>> bce = pn.binary_cross_entropy_with_logits
>>> def gan(params, x, noise):
...     made, make = generator.vjp(params[0], noise)
...     of_made, judge_made = judge.vjp(params[1], made)
...     of_real, judge_real = judge.vjp(params[1], x)
...     E_real, pull_real = bce.vjp(of_real, np.ones_like(of_real))
...     E_made, pull_made = bce.vjp(of_made, np.zeros_like(of_made))
...     E_fooled, pull_fooled = bce.vjp(of_made, np.ones_like(of_made))
...     uses = judge_real(pull_real(), wrt_x=False)[0], judge_made(pull_made(), wrt_x=False)[0]
...     djudge = pn.tree.map(np.add, *uses)
...     dgenerator, _ = make(judge_made(pull_fooled())[1], wrt_x=False)
...     return (E_fooled, E_real + E_made), (dgenerator, djudge)

A contrastive loss: of each row's view A, the view B of the same row is to be told from all others (T. Chen et al.,
2020). With L = A·Bᵀ, dA = dL·B and dB = dLᵀ·A, and one net embeds both views.

>>> net = pn.serial(pn.dense(4, 8), pn.tanh, pn.dense(8, 3))
>>> def contrastive(params, one, other):
...     (a, pull_a), (b, pull_b) = net.vjp(params, one), net.vjp(params, other)
...     E, pull = pn.softmax_cross_entropy.vjp(a @ b.T, np.arange(len(a)))
...     dlogits = pull()
...     uses = pull_a(dlogits @ b, wrt_x=False)[0], pull_b(dlogits.T @ a, wrt_x=False)[0]
...     return E, pn.tree.map(np.add, *uses)

Each is trained by an optimizer's steps, of one tree of params or of several:

>>> x = pn.random.normal(pn.key(0), (16, 4))
>>> params, adam = net.init(pn.key(1)), pn.adam(0.05)
>>> state = adam.init(params)
>>> for key in pn.split(pn.key(2), 100):
...     E, grads = contrastive(params, x, x + 0.1 * pn.random.normal(key, x.shape))
...     params, state = adam.step(params, grads, state)
>>> bool(E < 1)  # by chance it would be log 16 = 2.8
True
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, TypeVar, overload

from purenet.core import Layer, Loss
from purenet.engine.arrays import describe, is_number
from purenet.introspection import first_not_finite
from purenet.losses import reduction_of
from purenet.random import Key
from purenet.spec import check_pair, check_pulled, pulled_by
from purenet.spec.guard import UNKNOWN, guarded, place
from purenet.training.penalties import Penalty
from purenet.values import brief, hinted, known_as

P = TypeVar("P")
Evaluate = Callable[..., tuple[Any, P]]


class NotFiniteError(ValueError):
    """A loss turned NaN or infinite in training; `state` is the last one before."""

    def __init__(self, message: str, state: Any) -> None:
        super().__init__(message)
        self.state = state


@overload
def value_and_grad(
    net: Layer[P], loss: Loss, *penalties: Penalty, check_finite: bool = False, wrt: Literal["params"] = "params"
) -> Evaluate[P]: ...
@overload
def value_and_grad(
    net: Layer[P], loss: Loss, *penalties: Penalty, check_finite: bool = False, wrt: Literal["x"]
) -> Evaluate[Any]: ...
@overload
def value_and_grad(
    net: Layer[P], loss: Loss, *penalties: Penalty, check_finite: bool = False, wrt: Literal["both"]
) -> Evaluate[tuple[P, Any]]: ...
@hinted
def value_and_grad(
    net: Layer[Any],
    loss: Loss,
    *penalties: Penalty,
    check_finite: bool = False,
    wrt: Literal["params", "x", "both"] = "params",
) -> Evaluate[Any]:
    """The function `(params, x, target, key=None) -> (E, grads)`: a loss and its gradient for every parameter.

    With `wrt="x"` it is (E, dx), the gradient for the input, as for an adversarial example or a net in front of this
    one; with `wrt="both"`, (E, (grads, dx)). dx is built like x, with None where that holds integers or booleans.

    Penalties are further terms of E: `value_and_grad(net, mse, l2(1e-4))`. Without a key the layers work as in
    inference: dropout drops nothing, and batch norm's running statistics stay as they are.

    With `check_finite=True` it raises ValueError when E is NaN or infinite, and names what was so first: the input,
    the target, a parameter or the output of a layer.

    >>> import numpy as np, purenet as pn
    >>> net = pn.dense(2, 1)
    >>> params = net.init(pn.key(0))
    >>> x, target = np.ones((4, 2), np.float32), np.zeros((4, 1), np.float32)
    >>> E, grads = pn.value_and_grad(net, pn.mse)(params, x, target)
    >>> grads.weight.shape
    (2, 1)
    >>> E, dx = pn.value_and_grad(net, pn.mse, wrt="x")(params, x, target)
    >>> dx.shape
    (4, 2)
    """
    if wrt not in WHICH:
        raise ValueError(f'value_and_grad takes wrt="params", "x" or "both", not {wrt!r}')
    check_net_and_loss(net, loss, "value_and_grad")
    for penalty in penalties:
        if not isinstance(penalty, Penalty):
            given = describe(penalty)
            raise TypeError(
                f"value_and_grad takes penalties after the loss, one by one, not {given}: write l2(1e-4), or "
                "Penalty(add, name) of your own, where add(params, grads) is (R, grads with dR/dparams added)"
            )
    evaluate = _straight(net, loss, _checked(net, loss, check_finite, wrt), check_finite, wrt)
    return put_together(Terms(net, loss, evaluate, penalties, wrt))


def check_net_and_loss(net: Any, loss: Any, who: str) -> None:
    """Check that a net and a loss are what they should be, and that the loss is one number."""
    if not isinstance(net, Layer) or not isinstance(loss, Loss):
        mend = ""
        if isinstance(net, Loss) and isinstance(loss, Layer):
            mend = f": they are swapped, write {who}({brief(loss.name)}, {brief(net.name)}, ...)"
        elif isinstance(loss, str):
            mend = ": write pn.mse, a value, and no text"
        elif callable(loss) and not isinstance(loss, Layer | Loss):
            mend = (
                ": make one of it, pn.loss(f, df) with its derivative by y, or pn.from_jax(f) if it is written in JAX"
            )
        raise TypeError(f"{who} takes a layer and a loss, not {describe(net)} and {describe(loss)}{mend}")
    check_one_number(loss, who)


def check_one_number(loss: Loss, who: str) -> None:
    """Check that a loss adds up what it costs."""
    if reduction_of(loss) == "none":
        raise ValueError(
            f'{who} takes a loss that is one number, not {loss.name}: write reduction="mean" or "sum", or go back '
            "by hand: y, pullback = net.vjp(params, x, key); E, loss_pullback = loss.vjp(y, target); "
            "dparams, dx = pullback(loss_pullback(dE))"
        )


# of what a pullback gives, (dparams, dx), which: a place, or all
WHICH: dict[str, Any] = {"params": 0, "x": 1, "both": slice(None)}


def _checked(net: Layer[P], loss: Loss, check_finite: bool, wrt: str) -> Evaluate[P]:
    """By the layers' and the loss's own vjp, which check what they are given and say what is wrong."""

    returns = f"{brief(net.name)}: its vjp must return (y, pullback)"
    pulls = f"{brief(net.name)}: its pullback must return (dparams, dx)"
    wrt_x, which = wrt != "params", WHICH[wrt]

    def evaluate(params: P, x: Any, target: Any, key: Key | None = None) -> tuple[Any, P]:
        y, pullback = check_pulled(net.vjp(params, x, key), returns)
        E, loss_pullback = pulled_by(loss, y, target)
        if not is_number(E):
            raise ValueError(f"{loss.name} gives {describe(E)}, but a loss is one number: take its mean or its sum")
        if check_finite and not math.isfinite(E):
            raise ValueError(f"{loss.name} is {E}: {first_not_finite(net, params, x, target, key)}")
        dy = loss_pullback()
        try:
            found = check_pair(pullback(dy, wrt_x), pulls)
        except (TypeError, ValueError) as error:
            if hasattr(y, "shape") and (getattr(dy, "shape", None), getattr(dy, "dtype", None)) != (y.shape, y.dtype):
                wanted = f"for a Y of shape {tuple(y.shape)} and dtype {y.dtype}"
                raise type(error)(f"the pullback of {loss.name} gives {describe(dy)} {wanted}") from None
            raise
        return E, found[which]

    return evaluate


def _straight(net: Layer[P], loss: Loss, checked: Evaluate[P], check_finite: bool, wrt: str) -> Evaluate[P]:
    """`checked`, and by the bare rules where just such arguments were checked before."""
    of_net, of_loss = guarded(net), guarded(loss)
    if of_net is None or of_loss is None:
        return checked
    known = of_net.known_with(of_loss)
    seen, loss_rule, wrt_x, which = known.seen, of_loss.rule, wrt != "params", WHICH[wrt]

    def evaluate(params: P, x: Any, target: Any, key: Key | None = None) -> tuple[Any, P]:
        fits, ops = seen.get(getattr(x, "shape", None) or place(x), UNKNOWN)
        is_known = fits(params, x, target) and (key is None or type(key) is Key)
        if is_known:
            try:
                y, pull = of_net.rule(ops, params, x, key)
                E, pull_loss = loss_rule(ops, y, target)
                if not check_finite or math.isfinite(E):
                    return E, pull(pull_loss(1.0), wrt_x)[which]
            except Exception:
                pass  # the checked way says what is wrong
        found = checked(params, x, target, key)
        if not is_known:
            known.learn(params, x, target)
        return found

    return evaluate


class Terms(NamedTuple):
    """What the function of `value_and_grad` is made of, as its `terms` tell: `evaluate` is that of the loss alone."""

    net: Layer[Any]
    loss: Loss
    evaluate: Evaluate[Any]
    penalties: tuple[Penalty, ...]
    wrt: str


def put_together(terms: Terms) -> Evaluate[Any]:
    """The function of these terms."""
    evaluate, penalties, wrt = terms.evaluate, terms.penalties, terms.wrt

    def penalized(params: P, x: Any, target: Any, key: Key | None = None) -> tuple[Any, Any]:
        E, found = evaluate(params, x, target, key)
        if wrt == "params":
            grads, dx = found, None
        elif wrt == "both":
            grads, dx = found
        else:  # a penalty is a term of E, but its gradient for x is 0
            grads, dx = params, found
        for penalty in penalties:
            more, grads = penalty.add(params, grads)
            E = E + more
        return E, (grads, dx)[WHICH[wrt]]

    whole = known_as("value_and_grad(net, loss)", penalized if penalties else evaluate)
    vars(whole)["terms"] = terms
    return whole
