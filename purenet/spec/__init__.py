"""A layer is a spec in words and one bare rule: `layer(spec, rule)`.

The spec says what the arrays are; `init`, `shape`, the checks of `apply` and `vjp`, and their messages follow from it.
The rule computes, and goes back. It is handed arrays that fit, in one engine, and that engine's `ops`:

    rule(ops, params, x, key) -> (y, pull)        pull(dy, wrt_x) -> (dparams, dx)

A rule works on every engine if all that it calls is an operator or of `ops`: `ops.exp(x)`, not `np.exp(x)`. `ops` has
the functions of the array API standard by their names (https://data-apis.org/array-api/2024.12), and more: those of
`purenet.engine.ops.Ops`. A mask is `ops.keep(x, mask)`, not a product, which is NaN where 0 meets an infinity.

`words.py` has `Spec`, and `rules.py` has `layer`: begin there. `forms.py` finds which of several forms x has,
`shapes.py` makes `init` and `shape` of a spec, and `checks.py` says what is wrong with the arguments of a layer.
"""

from purenet.spec.checks import (
    check_output_gradient,
    check_pair,
    check_pulled,
    check_shape,
    check_sizes,
    in_and_out,
    pulled_by,
)
from purenet.spec.forms import check_array
from purenet.spec.rules import Pull, Rule, layer
from purenet.spec.words import Maybe, Spec

__all__ = [
    "Maybe",
    "Pull",
    "Rule",
    "Spec",
    "check_array",
    "check_output_gradient",
    "check_pair",
    "check_pulled",
    "check_shape",
    "check_sizes",
    "in_and_out",
    "layer",
    "pulled_by",
]
