"""Layers and losses of functions of JAX, which differentiates them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

from purenet import random, tree
from purenet.core import Layer, Loss
from purenet.engine import ops_for
from purenet.engine.arrays import Shape, describe, is_integer, likeness, needed, read_in_shape
from purenet.engine.jax import key_of_words, traced
from purenet.engine.moving import mover
from purenet.spec import check_output_gradient
from purenet.values import Call, hinted, known_as, spelled


@hinted
def from_jax(f: Callable[..., Any], params: Any = None, name: str | None = None) -> Any:
    """A loss or a layer whose rule is `jax.vjp` of a function: nothing is derived by hand (extra `jax`).

    Without params it is a loss, of `f(y, target) -> E`, one number. With params it is a layer, of `f(params, x) -> y`,
    or of `f(params, x, key) -> y` if f draws numbers: then the key is one of JAX, and None in inference. `params` says
    how each net begins: a tree of arrays, `()` of a layer that has none, or a function `init(key, in_shape)` that gives
    such a tree, where the key is JAX's too. (`purenet.key(5)` becomes `jax.random.key(5)`.)

    NumPy's arrays go to JAX and back at each call, which takes longer than the rest for small arrays; `jax.jit(f)` is
    quicker than f. JAX's own arrays stay there, inside `jit`, `vmap` and `scan` too. It can be pickled if f can.

    Raises:
        ModuleNotFoundError: JAX is not there.
        TypeError: float64 arrays, where JAX is not set to have them; tensors of PyTorch.

    >>> import jax.numpy as jnp, numpy as np, purenet as pn
    >>> log_cosh = pn.from_jax(lambda y, t: jnp.log(jnp.cosh(y - t)).mean(), name="log_cosh")
    >>> E, pullback = log_cosh.vjp(np.float32([0, 1]), np.float32([0, 0]))
    >>> round(float(E), 4), pullback().round(4)
    (0.2169, array([0.    , 0.3808], dtype=float32))
    >>> sine = pn.from_jax(lambda a, x: jnp.sin(a * x), params=np.ones(3))
    >>> net = pn.serial(sine, pn.dense(3, 1))
    >>> E, grads = pn.value_and_grad(net, pn.mse)(net.init(pn.key(0)), np.ones((5, 3), np.float32), np.ones((5, 1)))
    >>> grads[0].shape
    (3,)
    """
    _jax()
    if not callable(f) or isinstance(f, Layer | Loss):
        raise TypeError(f"from_jax takes a function of JAX, not {describe(f)}")
    takes = _positional(f)
    wanted = (2, 2) if params is None else (2, 3)
    if takes is not None and not wanted[0] <= takes <= wanted[1]:
        forms = "f(y, target)" if params is None else "f(params, x) or f(params, x, key)"
        mend = ": of a layer, say how its params begin, params=..." if params is None else ""
        raise TypeError(f"from_jax takes a function {forms}, but this one takes {takes}{mend}")
    given = {option: value for option, value in (("params", params), ("name", name)) if value is not None}
    called = f"{getattr(f, '__name__', type(f).__name__).strip('<>')}{'' if params is None else ', params=...'}"
    code = spelled(name or f"from_jax({called})", "from_jax", (f,), given)
    return _loss(f, code) if params is None else _layer(f, params, takes == 3, code)


def _jax() -> Any:
    return needed("jax", "from_jax differentiates by JAX: pip install 'purenet[jax]'")


def _positional(f: Callable[..., Any]) -> int | None:
    """How many arguments a function must be given by their places; None if it does not tell."""
    try:
        parameters = inspect.signature(f).parameters.values()
    except (TypeError, ValueError):
        return None
    by_place = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(each.kind in by_place and (each.default is each.empty or each.name == "key") for each in parameters)


def _loss(f: Callable[..., Any], name: Call) -> Loss:
    jax = _jax()

    def vjp(y: Any, target: Any) -> tuple[Any, Callable[..., Any]]:
        there, back = _ways(name, (y, target))
        y = tree.map(there, y)
        target = tree.map(there, tree.cast(target, tree.leaves(y)[0].dtype))
        E, pull = jax.vjp(lambda y: f(y, target), y)
        if getattr(E, "shape", None) != ():
            raise ValueError(f"{name}: its function must give one number, not {describe(E)}: take its mean or its sum")

        def pullback(dE: Any = 1.0) -> Any:
            (dy,) = pull(jax.numpy.asarray(dE, E.dtype))
            return tree.map(back, dy)

        return back(E), known_as("pullback", pullback)

    return Loss(lambda y, target: vjp(y, target)[0], vjp, name)


def _layer(f: Callable[..., Any], begin: Any, draws: bool, name: Call) -> Layer[Any]:
    jax = _jax()

    def init(key: Any, in_shape: Shape | None = None) -> Any:
        made = begin(_key(key), read_in_shape(in_shape, name)) if callable(begin) else begin
        move = mover("numpy" if type(key) is random.Key else "jax")
        return tree.map(move, tree.cast(made, jax.numpy.float32))

    def vjp(params: Any, x: Any, key: Any = None) -> tuple[Any, Callable[..., Any]]:
        there, back = _ways(name, (params, x), key)
        rest = (None if key is None else _key(key),) if draws else ()
        y, pull = jax.vjp(lambda params, x: f(params, x, *rest), *tree.map(there, (params, x)))
        like = likeness(y)

        def pullback(dy: Any, wrt_x: bool = True) -> tuple[Any, Any]:
            check_output_gradient(dy, like, name)
            dparams, dx = pull(tree.map(there, _filled(jax, dy, y)))
            dx = tree.map(lambda part: None if part.dtype == jax.dtypes.float0 else back(part), dx) if wrt_x else None
            return tree.map(back, dparams), dx

        return tree.map(back, y), known_as("pullback", pullback)

    def shape(in_shape: Any) -> Any:
        """Of a batch of two examples, of floats or else of integers."""
        in_shape = read_in_shape(in_shape, name)
        if not _is_known(in_shape):
            return None
        params, rest = init(jax.random.key(0), in_shape), (None,) if draws else ()
        for examples in _examples(jax, in_shape):
            try:
                y = jax.eval_shape(lambda params, x: f(params, x, *rest), params, examples)
            except TypeError:
                continue
            return tree.map(lambda part: part.shape[1:], y)
        return None

    return Layer(init, lambda params, x, key=None: vjp(params, x, key)[0], vjp, shape, name)


def _ways(name: Call, arrays: Any, key: Any = None) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    """The way of an array to JAX, and of a result back to where all these are."""
    leaves = tree.leaves(arrays)
    ops = ops_for(leaves, key)
    there = mover("jax")
    if ops is ops_for([]):
        home = mover("numpy")
        return there, lambda leaf: leaf if traced(leaf) else home(leaf)
    if ops.namespace is not _jax().numpy:
        raise TypeError(f"{name} computes with JAX, on arrays of NumPy and JAX, not on {describe(leaves[0])}")
    return there, there


def _key(key: Any) -> Any:
    """The key as one of JAX."""
    if type(key) is not random.Key:
        return key
    numbers = [key.value >> 32 & 0xFFFFFFFF, key.value & 0xFFFFFFFF]
    return key_of_words(_jax().numpy.asarray(numbers, "uint32"), "threefry2x32")


def _filled(jax: Any, dy: Any, y: Any) -> Any:
    """dE/dY with zeros where None stands for them."""
    if type(dy) is tuple:
        return tuple(_filled(jax, *parts) for parts in zip(dy, y, strict=True))
    return jax.numpy.zeros_like(y) if dy is None else dy


def _is_known(in_shape: Any) -> bool:
    if isinstance(in_shape, tuple):
        return all(is_integer(n) or _is_known(n) for n in in_shape)
    return False


def _examples(jax: Any, in_shape: Any) -> Iterator[Any]:
    """Two examples of this shape, without numbers: in all the dtypes that they may have."""
    if any(isinstance(part, tuple) for part in in_shape):
        yield from product(*(_examples(jax, part) for part in in_shape))
    else:
        yield from (jax.ShapeDtypeStruct((2, *in_shape), dtype) for dtype in ("float32", "int32"))
