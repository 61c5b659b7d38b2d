"""The layer that a spec and a rule make."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from purenet import tree
from purenet.core import Layer
from purenet.engine import Ops
from purenet.engine.arrays import is_half, likeness, widened
from purenet.spec.checks import check, check_output, check_output_gradient, check_pair, check_pulled
from purenet.spec.guard import Guarded, Ways
from purenet.spec.shapes import init, out_shape
from purenet.spec.words import Spec, check_spec
from purenet.values import Call, hinted, spelled

Pull = Callable[[Any, bool], tuple[Any, Any]]
Rule = Callable[[Ops, Any, Any, Any], tuple[Any, Pull]]


@hinted
def layer(
    spec: Spec,
    rule: Rule,
    forward: Callable[[Ops, Any, Any, Any], Any] | None = None,
    *,
    of_matrices: bool = False,
    wide: bool = False,
) -> Layer[Any]:
    """The layer of a spec and a rule: `rule(ops, params, x, key) -> (y, pull)`, and `pull(dy, wrt_x) -> (dparams, dx)`.

    The rule is called with arrays that fit the spec, all of one engine, and may call that engine's `ops`: the functions
    of the array API standard by their names, and those of `purenet.engine.ops.Ops`. It must not write to what it is
    given. With wrt_x=False nobody reads dx, and it may be None.

    `forward(ops, params, x, key) -> y` is y alone, to the same bits, where that is worth saving the rest of the rule.
    `of_matrices` promises that of a matrix x the rule hands the ops only matrices of as many rows, and gives such a Y:
    then few and small rows get ops that do not look at sizes. `wide` says that half precision is too narrow for what
    the rule does, such as sums and powers: it is then handed float32, and what it gives is made half again.

    >>> import numpy as np, purenet as pn
    >>> def scale(features):  # y = a·x, dE/da = Σ dE/dY ⊙ X, dE/dX = a·dE/dY
    ...     def rule(ops, a, x, key):
    ...         return a * x, lambda dy, wrt_x: (ops.sum_rows(dy * x), a * dy)
    ...     return pn.layer(pn.Spec(f"scale({features})", x="... n", y="... n", sizes={"n": features},
    ...                             params="n", init=pn.initializers.ones), rule)
    >>> scale(2).apply(np.array([1.0, 10.0]), np.ones((1, 2)))
    array([[ 1., 10.]])
    >>> scale(2).apply(np.array([1.0, 10.0]), np.ones((1, 3)))
    Traceback (most recent call last):
    ValueError: scale(2) takes x of shape (..., 2), but x has shape (1, 3)
    """
    name = spec.name
    if not isinstance(name, Call):
        name = spelled(name, "layer", (spec, rule, forward), {"of_matrices": True} if of_matrices else {})
    if name is not spec.name or spec.params != ():  # the tests check those of presets: an import has no time for it
        check_spec(spec)
    _keep_read_only(spec.params)
    run = _looking_first(spec, rule)
    run_forward = _looking_first(spec, forward) if forward else None
    run_checked = _in_float32(run) if wide else run
    returns, pulls = f"{spec.name}: its rule must return (y, pull)", f"{spec.name}: its pull must return (dparams, dx)"

    def checked(ops: Ops, params: Any, x: Any, key: Any) -> tuple[Any, Pull]:
        """The rule, with a check of what it gives, and of what its pull is given and gives."""
        y, pull = check_pulled(run_checked(ops, params, x, key), returns)
        like = likeness(check_output(y, returns))

        def pull_checked(dy: Any, wrt_x: bool) -> tuple[Any, Any]:
            check_output_gradient(dy, like, spec.name)
            found: tuple[Any, Any] = check_pair(pull(tree.map(ops.take_in, dy), wrt_x), pulls)
            return found

        return y, pull_checked

    def checked_forward(*given: Any) -> Any:
        return check_output(run_forward(*given), returns) if run_forward else checked(*given)[0]

    both = Guarded(
        Ways(partial(check, spec), checked, checked_forward),
        lambda: (run, run_forward),
        free=spec.params == (),
        matrices=of_matrices,
    )
    return Layer(
        lambda key, in_shape=None: init(spec, key, in_shape),
        both.apply,
        both.vjp,
        lambda in_shape: out_shape(spec, in_shape),
        name,
    )


def _keep_read_only(params: Any) -> None:
    """Have copies of such params read-only too: the containers of a user's layer cannot know."""
    if isinstance(params, tuple):
        for part in params:
            _keep_read_only(part)
        if hasattr(params, "_fields"):
            tree.read_only_copies(type(params))


def _in_float32(rule: Rule) -> Rule:
    """The rule, in float32 where x is of half precision."""

    def run(ops: Ops, params: Any, x: Any, key: Any) -> tuple[Any, Pull]:
        dtype = tree.leaves(x)[0].dtype
        if not is_half(dtype):
            return rule(ops, params, x, key)

        def narrowed(found: Any) -> Any:
            return tree.map(lambda leaf: ops.astype(leaf, dtype), found)

        y, pull = rule(ops, *tree.map(widened, (params, x)), key)
        return narrowed(y), lambda dy, wrt_x: narrowed(pull(widened(dy), wrt_x))

    return run


def _looking_first(spec: Spec, rule: Callable[..., Any]) -> Callable[..., Any]:
    """The rule, or a forward, with a look at the numbers first, if the spec asks for one."""
    look = spec.values
    if look is None:
        return rule

    def looking_first(ops: Ops, params: Any, x: Any, key: Any) -> Any:
        ops.look(look, x)
        return rule(ops, params, x, key)

    return looking_first
