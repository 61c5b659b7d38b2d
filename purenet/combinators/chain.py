"""One layer after another, without and with names."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from purenet.combinators.places import check_layers, check_tuple, locate, names_of, placed
from purenet.core import Layer, Pullback
from purenet.engine.arrays import Shape, check_in_shape, describe
from purenet.random import Key, split


def serial(*layers: Layer[Any]) -> Layer[tuple[Any, ...]]:
    """One layer after another: y = fₙ(… f₂(f₁(x))).

    Each layer is told the output shape of the one before it, so only the first needs to know its input. Params are a
    tuple with an entry for each layer. The rule is the chain rule, last layer first: the dE/dX of a layer is the
    dE/dY of the one before it.

    Raises:
        ValueError: at once, where the sizes of two layers do not fit.

    >>> import purenet as pn
    >>> net = serial(pn.dense(2, 3), pn.tanh, pn.dense(1))
    >>> net.shape((2,))
    (1,)
    >>> net.init(pn.key(0))[2].weight.shape
    (3, 1)
    """
    check_layers("serial", layers)
    return _chain(f"serial({names_of(layers)})", layers, tuple(range(len(layers))), lambda parts: serial(*parts))


def named(**layers: Layer[Any]) -> Layer[dict[str, Any]]:
    """`serial` with names: the params are a dict, params["encoder"] those of the layer `encoder`.

    >>> import purenet as pn
    >>> net = named(encoder=pn.dense(8, 2), decoder=pn.dense(8))
    >>> net.init(pn.key(0))["decoder"].weight.shape
    (2, 8)
    """
    names, parts = tuple(layers), tuple(layers.values())
    check_layers("named", parts)
    name = f"named({', '.join(f'{name}={layer.name}' for name, layer in layers.items())})"
    inner = _chain(name, parts, names, None)

    def ordered(params: Any) -> tuple[Any, ...]:
        if type(params) is not dict or params.keys() != layers.keys():
            given = f"a dict with {sorted(params)}" if type(params) is dict else describe(params)
            raise ValueError(f"{name} takes params that are a dict with {sorted(names)}, not {given}")
        return tuple(params[name] for name in names)

    def init(key: Key, in_shape: Shape | None = None) -> dict[str, Any]:
        return dict(zip(names, inner.init(key, in_shape), strict=True))

    def apply(params: dict[str, Any], x: Any, key: Key | None = None) -> Any:
        return inner.apply(ordered(params), x, key)

    def vjp(params: dict[str, Any], x: Any, key: Key | None = None) -> tuple[Any, Pullback[dict[str, Any]]]:
        y, pull = inner.vjp(ordered(params), x, key)

        def pullback(dy: Any, wrt_x: bool = True) -> tuple[dict[str, Any], Any]:
            grads, dx = pull(dy, wrt_x)
            return dict(zip(names, grads, strict=True)), dx

        return y, pullback

    def remake(parts: tuple[Layer[Any], ...]) -> Layer[Any]:
        return named(**dict(zip(names, parts, strict=True)))

    return Layer(init, apply, vjp, inner.shape, name, parts, remake)


def _chain(
    name: str, layers: tuple[Layer[Any], ...], labels: tuple[Any, ...], remake: Any, quick: bool = True
) -> Layer[tuple[Any, ...]]:
    """`serial`, with what to call each layer in an error, and layers in the order given or in a quicker one."""
    count = len(layers)
    no_keys = (None,) * count
    places = tuple(map(placed, labels, layers))
    order = pools_first(layers) if quick else tuple(range(count))
    plain: Any = None if order == tuple(range(count)) else _chain(name, layers, labels, remake, quick=False)
    applies = tuple((i, layers[i].apply) for i in order)
    vjps = tuple((i, layers[i].vjp) for i in order)

    def shape(in_shape: Shape | None) -> Shape | None:
        for layer in places:
            in_shape = layer.shape(in_shape)
        return in_shape

    def init(key: Key, in_shape: Shape | None = None) -> tuple[Any, ...]:
        check_in_shape(in_shape, "init")
        params = []
        for layer, layer_key in zip(places, split(key, count), strict=True):
            params.append(layer.init(layer_key, in_shape))
            in_shape = layer.shape(in_shape)
        return tuple(params)

    def apply(params: tuple[Any, ...], x: Any, key: Key | None = None) -> Any:
        if type(params) is not tuple or len(params) != count:
            check_tuple(params, count, name, "params that are")
        keys = no_keys if key is None else split(key, count)
        i, y = 0, x
        try:
            for i, layer_apply in applies:
                y = layer_apply(params[i], y, keys[i])
            return y
        except Exception as error:
            if plain is None:
                locate(error, labels[i], layers[i])
                raise
        return plain.apply(params, x, key)  # which raises the error of the order given

    def vjp(params: tuple[Any, ...], x: Any, key: Key | None = None) -> tuple[Any, Pullback[tuple[Any, ...]]]:
        if type(params) is not tuple or len(params) != count:
            check_tuple(params, count, name, "params that are")
        keys = no_keys if key is None else split(key, count)
        pullbacks: list[Any] = []
        i, y = 0, x
        try:
            for i, layer_vjp in vjps:
                y, pull = layer_vjp(params[i], y, keys[i])
                pullbacks.append(pull)
        except Exception as error:
            if plain is None:
                locate(error, labels[i], layers[i])
                raise
        if len(pullbacks) < count:
            return plain.vjp(params, x, key)  # type: ignore[no-any-return]
        given = None if plain is None else x  # kept for an error alone: without need of it, x may go

        def pullback(dy: Any, wrt_x: bool = True) -> tuple[tuple[Any, ...], Any]:
            grads, dx = list(params), dy
            first = 0  # without dE/dX, nothing is read of what lies before the first parameters
            while not wrt_x and first < count - 1 and params[first] == ():
                first += 1
            i = count
            try:
                while i > first:
                    i -= 1
                    grads[i], dx = pullbacks[i](dx, wrt_x or i > first)  # where places were changed, all are ()
                return tuple(grads), dx if wrt_x else None
            except Exception as error:
                if plain is None:
                    locate(error, labels[i], layers[i])
                    raise
            return plain.vjp(params, given, key)[1](dy, wrt_x)  # type: ignore[no-any-return]

        return y, pullback

    shape(None)  # sizes that cannot fit are found here
    return Layer(init, apply, vjp, shape, name, layers, remake)


def pools_first(layers: tuple[Layer[Any], ...]) -> tuple[int, ...]:
    """The order in which to compute: `max_pool` before the `relu` that it follows, on a fraction of the numbers.

    The two commute. A maximum is one of its numbers, and relu keeps their order: max(relu(a), relu(b)) is
    relu(max(a, b)). So is the rule: where the largest number of a window is positive, it is also the first largest
    after relu; where it is not, relu's rule gives 0 to the whole window, in either order. (A window with a NaN is NaN
    in either order, but the cells that its gradient goes to may be others.)
    """
    order = list(range(len(layers)))
    for i, (layer, following) in enumerate(pairwise(layers)):
        if False:
            order[i : i + 2] = i + 1, i
    return tuple(order)
