"""All parameters in one vector, for nets so small that a call of NumPy costs more than its arithmetic."""

from __future__ import annotations

from typing import Any

import numpy as np

from purenet import tree
from purenet.core import Optimizer
from purenet.engine import engine_of
from purenet.engine.arrays import Array, native, pieces
from purenet.optimizers.transforms import Transform, makes_transform, transform
from purenet.optimizers.update import Params, apart, next_buffers, without_buffers
from purenet.values import call


@makes_transform
def joined() -> Transform:
    """The optimizer sees all parameters as one vector, and gives them back in their shapes.

    The numbers are the same to the last bit. A net of few parameters trains faster, since an optimizer such as `adam`
    makes a dozen calls of NumPy for each array that it is given; of more than about 100,000 numbers, the copies cost
    more than that. The slots of the state are vectors too.

    Raises:
        ValueError: the optimizer treats parameters differently, or as a whole, as `lamb` does by its norms.

    >>> import numpy as np, purenet as pn
    >>> opt = pn.chain(pn.clip_by_global_norm(1.0), pn.joined(), pn.adam(0.1))
    >>> params = (np.ones((2, 2)), np.zeros(3))
    >>> params, state = opt.step(params, params, opt.init(params))
    >>> params[0].shape, state.slots["sum"].shape
    ((2, 2), (7,))
    """

    def wrap(inner: Optimizer[Any, Any], name: str) -> Optimizer[Any, Any]:
        if not inner.elementwise:
            raise ValueError(
                f"joined() takes an optimizer that treats each number by itself, such as adam(), but {inner.name} "
                "chooses between parameters, looks at each as a whole, or has transforms of its own: "
                "write other transforms before joined(), as in chain(weight_decay(1e-4), joined(), adam())"
            )

        def init(params: Params) -> Any:
            return inner.init(_join(tree.leaves(without_buffers(params))))

        def step(params: Params, grads: Params, state: Any = None) -> tuple[Params, Any]:
            layout, ps, gs, held = apart(params, grads)
            vector, state = inner.step(_join(ps), _join(gs), state)
            _check_dtypes(ps, vector.dtype)
            parts = pieces(vector, [p.shape for p in ps])
            return layout.fill(parts, next_buffers(layout, params, grads, held)), state

        return Optimizer(init, step, name)

    return transform(call("joined"), wrap)


def _join(leaves: list[Array]) -> Any:
    return engine_of(leaves[0], "joined()").concat(leaves, axis=None) if leaves else np.zeros(0, np.float32)


def _check_dtypes(ps: list[Array], dtype: Any) -> None:
    for p in ps:
        if p.dtype is not dtype and native(p.dtype) != dtype:
            raise TypeError(f"joined() takes params of one dtype, but these are {p.dtype} and {dtype}: see tree.cast")
