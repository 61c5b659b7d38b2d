"""Convolution, pooling and resizing against PyTorch, and convolution against JAX, on random layers."""

from __future__ import annotations

import array_api_strict
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import purenet as pn
from tests.oracles import windows_draws as draws
from tests.oracles.agree import record

jax.config.update("jax_enable_x64", True)
TOLERANCE = {np.float64: 1e-10, np.float32: 1e-5}
each_dtype = pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["float64", "float32"])


def agree(ours, theirs, dtype, of, oracle="PyTorch"):
    worst = 0.0
    for name, a, b in zip(("y", "dweight", "dbias", "dx"), ours, theirs, strict=True):
        if b is None:
            assert a is None
            continue
        assert a.shape == b.shape, (of, name)
        error = np.abs(a - b).max(initial=0) / max(np.abs(b).max(initial=0), 1e-3)
        assert error <= TOLERANCE[dtype], f"{of}: {name} is off by {error:.2g}"
        worst = max(worst, error)
    record(str(of).partition("(")[0], oracle, dtype, worst)


def ours_of(layer, params, x, dy_of):
    y, pullback = layer.vjp(params, x)
    dparams, dx = pullback(dy_of(y))
    return y, *(dparams or (None, None)), dx


def setup(seed, dtype, draw):
    rng = draws.rng_of(seed)
    layer, x, *rest = draw(rng)
    params = pn.tree.cast(draws.params_for(rng, layer), dtype)
    state = rng.integers(1 << 30)
    return layer, x.astype(dtype), params, lambda y: draws.rng_of(state).normal(size=y.shape).astype(dtype), rest


@each_dtype
@pytest.mark.parametrize("seed", range(100))
def test_conv_is_pytorchs(seed, dtype):
    layer, x, params, dy_of, (ends, options) = setup(seed, dtype, draws.draw_conv)
    theirs = draws.conv_by_torch(params, x, dy_of, ends, options)
    agree(ours_of(layer, params, x, dy_of), theirs, dtype, layer)


@pytest.mark.parametrize("seed", range(100, 200))
def test_conv_is_jaxs(seed):
    layer, x, params, dy_of, (_, options) = setup(seed, np.float64, draws.draw_conv)
    padding = eval(layer.name, {"conv": lambda *_, padding="valid", **__: padding})  # as it was asked for
    dims = x.ndim - 2
    if padding in ("same", "valid"):
        padding = padding.upper()
    else:
        padding = draws.ends_of(padding, None, params.weight.shape[:-2], None, None)
    axes = "DHW"[-dims:]

    def theirs(weight, bias, x):
        y = jax.lax.conv_general_dilated(
            x,
            weight,
            options["stride"],
            padding,
            rhs_dilation=options["dilation"],
            dimension_numbers=(f"N{axes}C", f"{axes}IO", f"N{axes}C"),
            feature_group_count=options["groups"],
        )
        return y if bias is None else y + bias

    y, pull = jax.vjp(theirs, *params, x)
    expected = (y, *pull(jnp.asarray(dy_of(y))))
    agree(ours_of(layer, params, x, dy_of), expected, np.float64, layer, "JAX")


@each_dtype
@pytest.mark.parametrize("seed", range(100))
def test_conv_transpose_is_pytorchs(seed, dtype):
    layer, x, params, dy_of, (options,) = setup(seed, dtype, draws.draw_conv_transpose)
    theirs = draws.conv_transpose_by_torch(params, x, dy_of, options)
    agree(ours_of(layer, params, x, dy_of), theirs, dtype, layer)


@pytest.mark.parametrize("seed", range(50))
def test_conv_transpose_same_is_jaxs(seed):
    rng = draws.rng_of(seed)
    dims = int(rng.integers(1, 3))
    kernel, stride = (tuple(int(n) for n in rng.integers(1, 5, dims)) for _ in range(2))
    layer = pn.conv_transpose(2, 3, kernel, stride=stride, padding="same", bias=False)
    params, x = draws.params_for(rng, layer), rng.normal(size=(2, *rng.integers(1, 5, dims), 2))
    axes = "HW"[-dims:]
    numbers = (f"N{axes}C", f"{axes}IO", f"N{axes}C")
    weight = jnp.swapaxes(params.weight, -1, -2)  # transpose_kernel takes the kernel of the convolution it transposes
    theirs = jax.lax.conv_transpose(x, weight, stride, "SAME", dimension_numbers=numbers, transpose_kernel=True)
    np.testing.assert_allclose(layer.apply(params, x), theirs, rtol=1e-10, atol=1e-10)


@each_dtype
@pytest.mark.parametrize("kind", ["max", "ties", "avg"])
@pytest.mark.parametrize("seed", range(50))
def test_pool_is_pytorchs(seed, kind, dtype):
    make = pn.avg_pool if kind == "avg" else pn.max_pool
    draw = lambda rng: draws.draw_pool(rng, make, kind == "ties")  # noqa: E731
    layer, x, params, dy_of, where = setup(seed, dtype, draw)
    y, dx = draws.pool_by_torch("avg" if kind == "avg" else "max", x, dy_of, *where)
    agree(ours_of(layer, params, x, dy_of), (y, None, None, dx), dtype, layer)


@each_dtype
@pytest.mark.parametrize("method", ["nearest", "bilinear"])
@pytest.mark.parametrize("seed", range(50))
def test_upsample_is_pytorchs(seed, method, dtype):
    layer, x, params, dy_of, (scale,) = setup(seed, dtype, lambda rng: draws.draw_upsample(rng, method))
    y, dx = draws.upsample_by_torch(method, x, dy_of, scale)
    agree(ours_of(layer, params, x, dy_of), (y, None, None, dx), dtype, layer)


@each_dtype
@pytest.mark.parametrize("kind", ["max", "avg"])
@pytest.mark.parametrize("seed", range(50))
def test_global_pool_is_pytorchs_adaptive_pool(seed, kind, dtype):
    rng = draws.rng_of(seed)
    dims = int(rng.integers(1, 4))
    x = rng.integers(0, 4, (2, *rng.integers(1, 6, dims), 3)).astype(dtype)  # whole numbers: ties
    layer = pn.global_max_pool if kind == "max" else pn.global_avg_pool
    given = draws.first(x)
    y = getattr(draws.F, f"adaptive_{kind}_pool{dims}d")(given, 1).flatten(1)
    dy = rng.normal(size=y.shape).astype(dtype)
    y.backward(draws.torch.from_numpy(dy))
    theirs = (y.detach().numpy(), None, None, draws.last(given.grad))
    agree(ours_of(layer, (), x, lambda y: dy), theirs, dtype, layer)


DRAWS = {
    "conv": draws.draw_conv,
    "conv_transpose": draws.draw_conv_transpose,
    "max": lambda rng: draws.draw_pool(rng, pn.max_pool, True),
    "avg": lambda rng: draws.draw_pool(rng, pn.avg_pool, False),
    "nearest": lambda rng: draws.draw_upsample(rng, "nearest"),
    "bilinear": lambda rng: draws.draw_upsample(rng, "bilinear"),
    "global_max": lambda rng: (pn.global_max_pool, rng.integers(0, 4, (2, 3, 4, 2)).astype(float)),
    "global_avg": lambda rng: (pn.global_avg_pool, rng.normal(size=(2, 3, 4, 2))),
    "pad": lambda rng: (pn.pad(draws.tuples(draws.numbers(rng, 0, 3, 2), 2)), rng.normal(size=(2, 3, 4, 2))),
}


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("kind", DRAWS)
def test_array_api_code_and_numpy_agree(seed, kind):
    """The strict implementation allows nothing beyond the standard, so what runs there runs on any engine."""
    layer, x, params, dy_of, *_ = setup(seed, np.float64, DRAWS[kind])
    ours = ours_of(layer, params, x, dy_of)
    strict = pn.tree.map(array_api_strict.asarray, params) if params else ()
    y, pullback = layer.vjp(strict, array_api_strict.asarray(x))
    dparams, dx = pullback(array_api_strict.asarray(dy_of(ours[0])))
    theirs = [None if leaf is None else np.asarray(leaf) for leaf in (y, *(dparams or (None, None)), dx)]
    agree(ours, theirs, np.float64, layer, "strict")


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("kind", DRAWS)
def test_layers_run_under_jit_as_on_numpy(seed, kind):
    images = lambda rng: next(drawn for drawn in iter(lambda: DRAWS[kind](rng), None) if drawn[1].ndim < 5)  # noqa: E731
    layer, x, params, dy_of, *_ = setup(seed, np.float64, images)
    ours = ours_of(layer, params, x, dy_of)
    on_jax = jax.jit(lambda p, x, dy: (lambda y, pull: (y, pull(dy)))(*layer.vjp(p, x)))
    y, (dparams, dx) = on_jax(pn.tree.map(jnp.asarray, params), jnp.asarray(x), jnp.asarray(dy_of(ours[0])))
    agree((y, *(dparams or (None, None)), dx), ours, np.float64, layer, "jit")
