"""What has been checked for these shapes and dtypes is not checked again.

A layer has a checked way, whose errors say what is wrong, and a bare one, which only computes. The checked way comes
first. If it gave no error, the containers, shapes and dtypes that it was given are remembered, and what looks the same
goes the bare way. What fails there goes the checked way after all, to be told why: both are pure, and give the same
bits.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any, Literal, NamedTuple

from purenet import tree
from purenet.core import Layer, Loss
from purenet.engine import Ops, joined_by
from purenet.engine.arrays import Kind, is_half, kind_of, plain, widened
from purenet.engine.select import quickest
from purenet.random import Key
from purenet.tree.layout import fitting
from purenet.values import known_as, name_in_errors

Bare = Callable[..., Any]
MOST = 64  # shapes of x that are remembered, and losses


class Known:
    """The signatures of arguments that were checked: containers, and of each array that it is NumPy's, its shape and
    its dtype. The first argument is params, the second x. `matrices` says that of a matrix x only matrices of as many
    rows are made."""

    def __init__(self, matrices: bool = False) -> None:
        self.matrices = matrices
        self.seen: dict[Any, tuple[Callable[..., bool], Ops]] = {}

    def ops(self, params: Any, x: Any, *rest: Any) -> Ops | None:
        """The ops for arguments that were checked before; None for others."""
        fits, ops = self.seen.get(getattr(x, "shape", None) or place(x), UNKNOWN)
        return ops if fits(params, x, *rest) else None

    def learn(self, params: Any, x: Any, *rest: Any) -> None:
        """Remember arguments that were checked now."""
        ops = quickest(tree.leaves((params, x, *rest)), x, self.matrices)
        if ops is not None:
            if len(self.seen) >= MOST:
                self.seen.clear()
            self.seen[getattr(x, "shape", None) or place(x)] = fitting(params, x, *rest), ops


UNKNOWN: tuple[Callable[..., bool], Any] = (lambda *arguments: False), None  # of what was not checked yet


def place(x: Any) -> Any:
    """By what the signature of a tuple is found again: how many parts it has, and the shape of the first."""
    return (len(x), getattr(x[0], "shape", None)) if type(x) is tuple and x else None


class Ways(NamedTuple):
    """The checked way, in three parts, each with errors that say what is wrong.

    Fields:
        begin: `begin(params, x, key) -> (ops, params, x, key)`: what the others are given, in one engine.
        rule: `rule(ops, params, x, key) -> (y, pull)`.
        forward: `forward(ops, params, x, key) -> y`.
    """

    begin: Bare
    rule: Bare
    forward: Bare

    def apply(self, params: Any, x: Any, key: Any = None) -> Any:
        return self.forward(*self.begin(params, x, key))

    def vjp(self, params: Any, x: Any, key: Any = None) -> tuple[Any, Callable[..., Any]]:
        ops, params, x, key = self.begin(params, x, key)
        y, pull = self.rule(ops, params, x, key)

        def pullback(dy: Any, wrt_x: bool = True) -> tuple[Any, Any]:
            dy = tree.map(plain, dy)
            # of NumPy's y with a dE/dY of another engine, which may be traced, the rule goes there
            there = joined_by(ops, tree.leaves(dy))
            back = pull if there is ops else self.rule(there, *tree.map(there.take_in, (params, x)), key)[1]
            dparams, dx = back(dy, wrt_x)
            return dparams, dx if wrt_x else None

        return y, known_as("pullback", pullback)


class Guarded:
    """A layer's `apply` and `vjp`, each by the checked way or the bare one.

    `make_bare` gives the bare ones, `rule` and `forward`, when they are first needed. `free` says that the layer has no
    params, `matrices` that of a matrix x it makes only matrices, of as many rows.
    """

    def __init__(
        self,
        checked: Ways,
        make_bare: Callable[[], tuple[Bare, Bare | None]],
        free: bool = False,
        matrices: bool = False,
    ) -> None:
        self.checked, self.make_bare = checked, make_bare
        self.free, self.matrices = free, matrices
        self.known = Known(matrices)
        self.known_by_loss: dict[Any, Known] = {}
        self.went_back = False

    def known_with(self, loss: Any) -> Known:
        """The signatures of (params, x, target) that were checked with a loss: for all gradients of the two."""
        if loss not in self.known_by_loss and len(self.known_by_loss) >= MOST:
            self.known_by_loss.clear()
        return self.known_by_loss.setdefault(loss, Known(self.matrices))

    @cached_property
    def rule(self) -> Bare:
        """`rule(ops, params, x, key) -> (y, pull)`."""
        return self._both[0]

    @cached_property
    def own_forward(self) -> Bare | None:
        """`forward(ops, params, x, key) -> y`, if it is more than the y of the rule."""
        return self._both[1]

    @cached_property
    def forward(self) -> Bare:
        rule = self.rule
        return self.own_forward or (lambda ops, params, x, key: rule(ops, params, x, key)[0])

    @cached_property
    def _both(self) -> tuple[Bare, Bare | None]:
        return self.make_bare()

    def apply(self, params: Any, x: Any, key: Any = None) -> Any:
        fits, ops = self.known.seen.get(getattr(x, "shape", None) or place(x), UNKNOWN)
        is_known = fits(params, x) and (key is None or type(key) is Key)
        if is_known:
            try:
                return self.forward(ops, params, x, key)
            except Exception:
                pass  # the checked way says what is wrong
        y = self.checked.apply(params, x, key)
        if not is_known:
            self.known.learn(params, x)
        return y

    def vjp(self, params: Any, x: Any, key: Any = None) -> tuple[Any, Callable[..., Any]]:
        ops = self.known.ops(params, x) if self.went_back and (key is None or type(key) is Key) else None
        if ops is not None:
            try:
                y, pull = self.rule(ops, params, x, key)
            except Exception:
                pass
            else:
                return y, self.pullback(y, pull, params, x, key)
        y, pullback = self.checked.vjp(params, x, key)
        if ops is None:
            self.known.learn(params, x)
        return y, pullback if self.went_back else self.noted(pullback)

    def noted(self, pullback: Callable[..., Any]) -> Callable[..., Any]:
        """The checked pullback: once it gave no error, it is known that the rule returns what it should."""

        def noted_pullback(dy: Any, wrt_x: bool = True) -> tuple[Any, Any]:
            found: tuple[Any, Any] = pullback(dy, wrt_x)
            self.went_back = True
            return found

        return known_as("pullback", noted_pullback)

    def pullback(self, y: Any, pull: Bare, params: Any, x: Any, key: Any) -> Callable[..., Any]:
        """The pullback of a rule that was run bare: a dE/dY that is built like Y goes straight to it."""
        like = kinds_of(y)

        def pullback(dy: Any, wrt_x: bool = True) -> tuple[Any, Any]:
            if fits(dy, like):
                try:
                    dparams, dx = pull(dy, wrt_x)
                    return dparams, dx if wrt_x else None
                except Exception:
                    pass
            found: tuple[Any, Any] = self.checked.vjp(params, x, key)[1](dy, wrt_x)
            return found

        return known_as("pullback", pullback)


class GuardedLoss:
    """The same of a loss, whose bare way is `rule(ops, y, target) -> (E, pull)`, and pull(dE) is dE/dY.

    `reduction` says whether E is a "mean" or a "sum", None that it is neither, and `costs` of what: of what each of the
    "elements" costs, or each of the "rows"; None if that cannot be told.
    """

    def __init__(
        self,
        check: Callable[[Any, Any], tuple[Ops, Any, Any]],
        rule: Bare,
        reduction: str | None,
        costs: Literal["elements", "rows"] | None = None,
    ) -> None:
        self.check, self.rule, self.reduction, self.costs = check, rule, reduction, costs
        self.known = Known()

    def apply(self, y: Any, target: Any) -> Any:
        return self.vjp(y, target)[0]

    def vjp(self, y: Any, target: Any) -> tuple[Any, Callable[..., Any]]:
        ops = self.known.ops(y, target)
        if ops is None:
            found = self.checked(y, target)
            self.known.learn(y, target)
        else:
            found = self.rule(ops, y, target)
        E, pull = found

        def pullback(dE: Any = 1.0) -> Any:
            return pull(dE)

        pullback.__qualname__ = "pullback"
        return E, pullback

    def checked(self, y: Any, target: Any) -> tuple[Any, Bare]:
        """By the rule, after a check; in float32 where y is of half precision."""
        ops, y, target = self.check(y, target)
        E, pull = self.rule(ops, tree.map(widened, y), target)
        dtypes = [part.dtype for part in tree.leaves(y)]
        if not any(map(is_half, dtypes)):
            return E, pull
        return ops.astype(E, dtypes[0]), lambda dE: tree.map(lambda dy, part: ops.astype(dy, part.dtype), pull(dE), y)


for _kind, _value in (
    (Ways, Layer),
    (Guarded, Layer),
    (GuardedLoss, Loss),
):  # as Python's own errors about arguments name them
    for _field in "apply", "vjp":
        known_as(name_in_errors(_value, _field), getattr(_kind, _field))


def guarded(value: Any) -> Any:
    """The two ways of a layer or a loss, if it has them."""
    owner = getattr(value.vjp, "__self__", None)
    both = isinstance(owner, Guarded | GuardedLoss) and getattr(value.apply, "__self__", None) is owner
    return owner if both else None


def kinds_of(y: Any) -> Any:
    """The kind of an output; of a tuple, the kinds of its parts."""
    return tuple(map(kinds_of, y)) if type(y) is tuple else kind_of(y)


def fits(dy: Any, like: Any) -> bool:
    """Whether a gradient is of this kind. None may stand for a part of a tuple but the first: a gradient of 0."""
    if type(like) is Kind:
        return kind_of(dy) == like
    if type(dy) is not tuple or type(like) is not tuple or not 0 < len(dy) == len(like):
        return False
    return fits(dy[0], like[0]) and all(d is None or fits(d, part) for d, part in zip(dy[1:], like[1:], strict=True))
