"""Layers over (batch, *space, channels): convolution, pooling, resizing."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from jax import lax

import purenet as pn
from tests.oracles.twins.draw import coin, sizes, with_params
from tests.oracles.twins.norms import first, last
from tests.oracles.twins.twin import Drawn, Twin, of_x


def numbers(rng, low, high, dims):
    """Sizes for each axis, and half of the time the same for all, as one int."""
    sizes = tuple(int(n) for n in rng.integers(low, high + 1, dims))
    return sizes[0] if rng.random() < 0.5 else sizes


def tuples(given, dims):
    return (given,) * dims if isinstance(given, int) else tuple(given)


def space_for(rng, reach, ends, most=4):
    """Sizes of an input into which the windows fit."""
    return tuple(int(max(1, r - a - b) + rng.integers(0, most + 1)) for r, (a, b) in zip(reach, ends, strict=True))


def draw_padding(rng, dims, low=0, high=3):
    """("valid" | "same" | int | ints | pairs)."""
    kind = rng.integers(5)
    if kind == 0:
        return "valid"
    if kind == 1:
        return "same"
    if kind == 2:
        return int(rng.integers(low, high + 1))
    if kind == 3:
        return tuple(int(n) for n in rng.integers(low, high + 1, dims))
    return tuple((int(a), int(b)) for a, b in rng.integers(low, high + 1, (dims, 2)))


def ends_of(padding, space, kernel, stride, dilation):
    """(low, high) for each axis; for "same" as TensorFlow's documentation has it."""
    dims = len(kernel)
    if padding == "valid":
        return ((0, 0),) * dims
    if padding == "same":
        ends = []
        for n, k, s, d in zip(space, kernel, stride, dilation, strict=True):
            rest = n % s or s
            total = max((k - 1) * d + 1 - rest, 0)
            ends.append((total // 2, total - total // 2))
        return tuple(ends)
    return tuple((p, p) if isinstance(p, int) else p for p in tuples(padding, dims))


def padded(x, ends, value=0.0):
    """A tensor (batch, channels, *space); a negative end cuts off."""
    return F.pad(x, [n for pair in reversed(ends) for n in pair], value=value)


def around(ends):
    """The same ends for lax: none at the batch and at the channels."""
    return ((0, 0), *ends, (0, 0))


# convolution


def geometry(params, x, stride, dilation):
    """The kernel, stride and dilation of each axis."""
    kernel = tuple(params.weight.shape[:-2])
    return kernel, tuples(stride, len(kernel)), tuples(dilation, len(kernel))


def conv_in_torch(params, x, *sizes, stride=1, padding="valid", dilation=1, groups=1, bias=True):
    kernel, stride, dilation = geometry(params, x, stride, dilation)
    ends = ends_of(padding, x.shape[1:-1], kernel, stride, dilation)
    weight = params.weight.movedim((-1, -2), (0, 1)).contiguous()
    f = getattr(F, f"conv{len(kernel)}d")
    return last(f(padded(first(x), ends), weight, params.bias, stride=stride, dilation=dilation, groups=groups))


def channels_last(dims):
    axes = "DHW"[-dims:]
    return f"N{axes}C", f"{axes}IO", f"N{axes}C"


def conv_in_jax(params, x, *sizes, stride=1, padding="valid", dilation=1, groups=1, bias=True):
    kernel, stride, dilation = geometry(params, x, stride, dilation)
    padding = padding.upper() if isinstance(padding, str) else ends_of(padding, None, kernel, None, None)
    options = {"dimension_numbers": channels_last(len(kernel)), "feature_group_count": groups}
    y = lax.conv_general_dilated(x, params.weight, stride, padding, rhs_dilation=dilation, **options)
    return y + params.bias if bias else y


def cut_off(padding, kernel, stride, dilation, added):
    """What is cut off at each end of the whole transposed convolution; where it is negative, zeros come to it."""
    if padding != "same":
        ends = ends_of(padding, None, kernel, None, None)
        return tuple((low, high - more) for (low, high), more in zip(ends, added, strict=True))
    beyond = [(k - 1) * d + 1 - s for k, d, s in zip(kernel, dilation, stride, strict=True)]
    return tuple((max(0, n) // 2, n - max(0, n) // 2) for n in beyond)


def conv_transpose_in_torch(
    params, x, *sizes, stride=1, padding="valid", output_padding=0, dilation=1, groups=1, bias=True
):
    """PyTorch's weight is (in, out // groups, *kernel); ours (*kernel, in // groups, out)."""
    kernel, stride, dilation = geometry(params, x, stride, dilation)
    added = tuples(output_padding, len(kernel))
    ends = cut_off(padding, kernel, stride, dilation, added)
    weight = torch.cat([block.movedim((-2, -1), (0, 1)) for block in params.weight.chunk(groups, dim=-1)])
    f, options = getattr(F, f"conv_transpose{len(kernel)}d"), {"stride": stride, "dilation": dilation, "groups": groups}
    if all(low == high + more and low >= 0 for (low, high), more in zip(ends, added, strict=True)):
        low = tuple(low for low, _ in ends)  # what PyTorch can say by itself
        return last(f(first(x), weight, params.bias, padding=low, output_padding=added, **options))
    y = last(padded(f(first(x), weight, **options), tuple((-low, -high) for low, high in ends)))
    return y + params.bias if bias else y


def conv_transpose_in_jax(
    params, x, *sizes, stride=1, padding="valid", output_padding=0, dilation=1, groups=1, bias=True
):
    """A convolution of x spread out, with the kernel turned round."""
    kernel, stride, dilation = geometry(params, x, stride, dilation)
    ends = cut_off(padding, kernel, stride, dilation, tuples(output_padding, len(kernel)))
    reach = [(k - 1) * d for k, d in zip(kernel, dilation, strict=True)]
    y = lax.conv_general_dilated(
        x,
        jnp.flip(params.weight, range(len(kernel))),
        (1,) * len(kernel),
        [(r - low, r - high) for r, (low, high) in zip(reach, ends, strict=True)],
        lhs_dilation=stride,
        rhs_dilation=dilation,
        dimension_numbers=channels_last(len(kernel)),
        feature_group_count=groups,
    )
    return y + params.bias if bias else y


def draw_conv(rng):
    dims = int(rng.integers(1, 4))
    kernel = tuple(sizes(rng, dims, 1, 4 if dims < 3 else 3))
    stride, dilation = numbers(rng, 1, 4, dims), numbers(rng, 1, 3, dims)
    groups = int(rng.choice([1, 1, 2, 3]))
    ins, outs = (groups * n for n in sizes(rng, 2, 1, 3))
    padding, bias = draw_padding(rng, dims), bool(rng.integers(2))
    reach = tuple((k - 1) * d + 1 for k, d in zip(kernel, tuples(dilation, dims), strict=True))
    ends = ((0, 0),) * dims if padding == "same" else ends_of(padding, None, kernel, None, None)
    x = rng.normal(size=(*sizes(rng, 1, 1, 3), *space_for(rng, reach, ends), ins))
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups, "bias": bias}
    return with_params(rng, pn.conv(ins, outs, kernel, **options), x, 1)


def draw_conv_transpose(rng):
    while True:
        dims = int(rng.integers(1, 4))
        kernel = tuple(sizes(rng, dims, 1, 4 if dims < 3 else 3))
        stride, dilation = tuples(numbers(rng, 1, 3, dims), dims), tuples(numbers(rng, 1, 3, dims), dims)
        groups = int(rng.choice([1, 1, 2, 3]))
        ins, outs = (groups * n for n in sizes(rng, 2, 1, 3))
        padding, bias = tuples(numbers(rng, 0, 2, dims), dims), bool(rng.integers(2))
        added = tuple(int(rng.integers(0, max(s, d))) for s, d in zip(stride, dilation, strict=True))
        space = tuple(sizes(rng, dims, 1, 4))
        axes = zip(space, stride, padding, dilation, kernel, added, strict=True)
        if min((n - 1) * s - 2 * p + d * (k - 1) + a + 1 for n, s, p, d, k, a in axes) < 1:
            continue
        options = {"stride": stride, "padding": padding, "dilation": dilation, "output_padding": added}
        layer = pn.conv_transpose(ins, outs, kernel, **options, groups=groups, bias=bias)
        return with_params(rng, layer, rng.normal(size=(*sizes(rng, 1, 1, 3), *space, ins)), 1)


# pooling


def sliding(x, window, stride, padding, dilation=1):
    """The size of the window, its stride, its dilation and the padding, of each axis."""
    size = tuples(window, 2) if isinstance(window, int) else tuple(window)
    stride, dilation = size if stride is None else tuples(stride, len(size)), tuples(dilation, len(size))
    return size, stride, dilation, ends_of(padding, x.shape[1:-1], size, stride, dilation)


def reaches(size, dilation):
    return tuple((k - 1) * d + 1 for k, d in zip(size, dilation, strict=True))


def has_alone(ends, size):
    """Whether PyTorch's pools have such a padding: the same at both ends, and at most half of the window's size."""
    return all(low == high <= n // 2 for (low, high), n in zip(ends, size, strict=True))


def max_pool_in_torch(params, x, window, stride=None, padding="valid", dilation=1, ceil_mode=False):
    """PyTorch's own padding where it has it; with any other, the last window may start in what is added here."""
    size, stride, dilation, ends = sliding(x, window, stride, padding, dilation)
    pool = getattr(F, f"max_pool{len(size)}d")
    x = first(x)
    if has_alone(ends, size):
        return last(pool(x, size, stride, tuple(low for low, _ in ends), dilation, ceil_mode))
    ends = beyond(x.shape[2:], size, stride, dilation, ends) if ceil_mode else ends
    return last(pool(padded(x, ends, -np.inf), size, stride, 0, dilation))


def avg_pool_in_torch(params, x, window, stride=None, padding="valid", ceil_mode=False, count_include_pad=None):
    """PyTorch's own padding where it has it; of any other the cells are counted here."""
    size, stride, dilation, ends = sliding(x, window, stride, padding)
    include = padding != "same" if count_include_pad is None else count_include_pad
    pool = getattr(F, f"avg_pool{len(size)}d")
    x = first(x)
    small = len(size) == 3 and any(n < k for n, k in zip(x.shape[2:], size, strict=True))  # which avg_pool3d refuses
    if has_alone(ends, size) and not small:
        return last(pool(x, size, stride, tuple(low for low, _ in ends), ceil_mode, include))
    all_ends = beyond(x.shape[2:], size, stride, dilation, ends) if ceil_mode else ends
    ones = torch.ones_like(x)
    rest = [(a - low, b - high) for (a, b), (low, high) in zip(all_ends, ends, strict=True)]
    cells = padded(padded(ones, ends, 1.0), rest) if include else padded(ones, all_ends)
    return last(pool(padded(x, all_ends), size, stride) / pool(cells, size, stride))


def beyond(space, size, stride, dilation, ends):
    """The padding with which all windows fit that begin inside the input or its low padding, and reach no farther than
    they must to cover it."""
    found = []
    for n, k, s, d, (low, high) in zip(space, size, stride, dilation, ends, strict=True):
        starts = [0]
        while starts[-1] + (k - 1) * d + 1 < low + n + high and starts[-1] + s < low + n:
            starts.append(starts[-1] + s)
        found.append((low, max(high, starts[-1] + (k - 1) * d + 1 - low - n)))
    return found


def max_pool_in_jax(params, x, window, stride=None, padding="valid", dilation=1, ceil_mode=False):
    size, stride, dilation, ends = sliding(x, window, stride, padding, dilation)
    ends = beyond(x.shape[1:-1], size, stride, dilation, ends) if ceil_mode else ends
    if np.max(dilation) == 1:
        return lax.reduce_window(x, -jnp.inf, lax.max, (1, *size, 1), (1, *stride, 1), around(ends))
    x = jnp.pad(x, around(ends), constant_values=-np.inf)  # as JAX has no gradient of dilated windows
    axes = list(zip(x.shape[1:-1], reaches(size, dilation), stride, dilation, strict=True))
    each = [
        x[:, *(slice(t * d, t * d + n - r + 1, s) for t, (n, r, s, d) in zip(cell, axes, strict=True))]
        for cell in np.ndindex(*size)
    ]
    return lax.reduce_window(
        jnp.stack(each), -jnp.inf, lax.max, (len(each), *(1,) * x.ndim), (1,) * (x.ndim + 1), "VALID"
    )[0]


def avg_pool_in_jax(params, x, window, stride=None, padding="valid", ceil_mode=False, count_include_pad=None):
    size, stride, dilation, ends = sliding(x, window, stride, padding)
    include = padding != "same" if count_include_pad is None else count_include_pad
    all_ends = beyond(x.shape[1:-1], size, stride, dilation, ends) if ceil_mode else ends

    def summed(x, ends):
        return lax.reduce_window(x, 0.0, lax.add, (1, *size, 1), (1, *stride, 1), around(ends))

    cells = jnp.ones(x.shape)
    if not include:
        return summed(x, all_ends) / summed(cells, all_ends)
    rest = [(0, b - high) for (_, b), (_, high) in zip(all_ends, ends, strict=True)]
    return summed(x, all_ends) / summed(jnp.pad(cells, around(ends), constant_values=1.0), rest)


def draw_pool(make, ties):
    """Of whole numbers where ties are wanted, half of the time."""

    def draw(rng):
        while True:
            dims = int(rng.integers(1, 4))
            size = tuples(numbers(rng, 1, 4 if dims < 3 else 3, dims), dims)
            stride = numbers(rng, 1, 5, dims) if rng.random() < 0.7 else None
            padding = draw_padding(rng, dims, 0, 2)
            dilation = numbers(rng, 1, 3, dims) if ties and coin(rng) else 1
            ends = ((0, 0),) * dims if padding == "same" else ends_of(padding, None, size, None, None)
            reach = reaches(size, tuples(dilation, dims))
            shape = (*sizes(rng, 1, 1, 3), *space_for(rng, reach, ends, 6), *sizes(rng, 1, 1, 3))
            if any(max(pair) >= n for pair, n in zip(ends, reach, strict=True)):
                continue
            if np.max(dilation) > min(shape[1:-1]):  # some window may hold padding alone
                continue
            options = {"dilation": dilation} if ties else {"count_include_pad": (None, True, False)[rng.integers(3)]}
            whole = ties and bool(rng.integers(2))
            x = rng.integers(0, 3, shape).astype(float) if whole else rng.normal(size=shape)
            return Drawn(make(size, stride, padding, ceil_mode=coin(rng), **options), x)

    return draw


def global_pool_in_torch(kind):
    def of_all(x):
        return getattr(F, f"adaptive_{kind}_pool{x.ndim - 2}d")(first(x), 1).flatten(1)

    def run(params, x):
        if not isinstance(x, tuple):
            return of_all(x)
        each = [of_all(one[None]) if len(one) else x[0].new_zeros(1, x[0].shape[-1]) for one in map(real, *x)]
        return torch.cat(each) + 0 * x[0].sum()

    return run


def real(sequence, beside):
    """The steps of a sequence that count: its first ones, of a length, or those that a mask has."""
    return sequence[:beside] if beside.ndim == 0 else sequence[np.flatnonzero(np.asarray(beside))]


def of_each_part(of_all):
    """Of padded sequences, each by itself."""

    def run(params, x):
        if not isinstance(x, tuple):
            return of_all(params, x)
        sequences, beside = x
        parts = [real(*pair) for pair in zip(sequences, np.asarray(beside), strict=True)]
        each = [of_all(params, one[None]) if len(one) else jnp.zeros((1, one.shape[-1])) for one in parts]
        return jnp.concatenate(each)

    return run


@of_each_part
def global_avg_pool_in_jax(params, x):
    return x.mean(axis=range(1, x.ndim - 1))


@of_each_part
def global_max_pool_in_jax(params, x):
    """As a window, for which JAX takes the first of equals; in jnp.max they share the gradient."""
    window = (1, *x.shape[1:-1], 1)
    return lax.reduce_window(x, -jnp.inf, lax.max, window, window, "VALID").reshape(len(x), -1)


def adaptive_pool_in_torch(kind):
    def run(params, x, size):
        dims = x.ndim - 2
        size = x.shape[1] if dims == 1 and size == (None,) else size  # which the others fill in themselves
        return last(getattr(F, f"adaptive_{kind}_pool{dims}d")(first(x), tuples(size, dims)))

    return run


def adaptive_pool_in_jax(of_all):
    """Each window by itself."""

    def run(params, x, size):
        space = x.shape[1:-1]
        wanted = tuple(n if m is None else m for m, n in zip(tuples(size, len(space)), space, strict=True))

        def window(cell):
            each = zip(cell, space, wanted, strict=True)
            return tuple(slice(int(np.floor(i * n / m)), int(np.ceil((i + 1) * n / m))) for i, n, m in each)

        each = [of_all(params, x[:, *window(cell)]) for cell in np.ndindex(*wanted)]
        return jnp.stack(each, axis=1).reshape(len(x), *wanted, -1)

    return run


def draw_adaptive_pool(make):
    """Whole numbers, for ties; also more windows than cells, and sizes that divide."""

    def draw(rng):
        dims = int(rng.integers(1, 4))
        size = tuple(sizes(rng, dims, 1, 5 if dims < 3 else 3))
        space = [m * int(rng.integers(1, 4)) for m in size] if coin(rng, 0.3) else sizes(rng, dims, 1, 8)
        x = rng.integers(0, 4, (2, *space, 3)).astype(float)
        size = tuple(None if coin(rng, 0.2) else m for m in size)
        return Drawn(make(size), x if coin(rng) else rng.normal(size=x.shape))

    return draw


def last_step_in_torch(params, x):
    if not isinstance(x, tuple):
        return x[:, -1]
    return torch.stack([one[n - 1] if n else 0 * one[0] for one, n in zip(*x, strict=True)])


def draw_last_step(rng):
    return Drawn(pn.last_step, rng.normal(size=sizes(rng, 3, 1, 6)))


def draw_global_pool(layer):
    def draw(rng):
        dims = int(rng.integers(1, 4))
        return Drawn(layer, rng.integers(0, 4, (2, *sizes(rng, dims, 1, 5), 3)).astype(float))  # whole numbers: ties

    return draw


# resizing


def upsample_in_torch(params, x, scale=None, method="nearest", size=None):
    dims = x.ndim - 2
    mode = method if method == "nearest" else {1: "linear", 2: "bilinear", 3: "trilinear"}[dims]
    if size is not None:
        return last(F.interpolate(first(x), tuples(size, dims), mode=mode))
    return last(F.interpolate(first(x), scale_factor=[float(s) for s in tuples(scale, dims)], mode=mode))


def upsample_in_jax(params, x, scale=None, method="nearest", size=None):
    """JAX's nearest cell is that of the centre of an output, so here of its first end."""
    dims = x.ndim - 2
    space = [n * s for n, s in zip(x.shape[1:-1], tuples(scale or 1, dims), strict=True)]
    space = space if size is None else tuples(size, dims)
    if method == "bilinear":
        return jax.image.resize(x, (len(x), *space, x.shape[-1]), method, antialias=False)
    for axis, m in enumerate(space, start=1):
        x = jnp.take(x, np.arange(m) * x.shape[axis] // m, axis=axis)
    return x


def draw_upsample(rng):
    dims = int(rng.integers(1, 4))
    method = str(rng.choice(["nearest", "bilinear"]))
    x = rng.normal(size=(*sizes(rng, 1, 1, 3), *sizes(rng, dims, 1, 5), *sizes(rng, 1, 1, 3)))
    if coin(rng):
        return Drawn(pn.upsample(size=tuple(sizes(rng, dims, 1, 9)), method=method), x)
    return Drawn(pn.upsample(tuples(numbers(rng, 1, 4, dims), dims), method), x)


def pixel_shuffle_in_torch(params, x, scale):
    """PyTorch has it of images with one scale; of others the same written out, channels first."""
    dims = x.ndim - 2
    if isinstance(scale, int) and dims == 2:
        return last(F.pixel_shuffle(first(x), scale))
    scales, (batch, *space, _) = tuples(scale, dims), x.shape
    apart = first(x).reshape(batch, -1, *scales, *space)
    order = [0, 1, *(axis for i in range(dims) for axis in (2 + dims + i, 2 + i))]
    sizes = [n * s for n, s in zip(space, scales, strict=True)]
    return last(apart.permute(order).reshape(batch, -1, *sizes))


def pixel_shuffle_in_jax(params, x, scale):
    """Each cell of a window is every so manieth channel."""
    dims = x.ndim - 2
    scales = tuples(scale, dims)
    y = jnp.zeros(
        (len(x), *(n * s for n, s in zip(x.shape[1:-1], scales, strict=True)), x.shape[-1] // np.prod(scales))
    )
    for i, cell in enumerate(np.ndindex(*scales)):
        places = tuple(slice(a, None, s) for a, s in zip(cell, scales, strict=True))
        y = y.at[:, *places].set(x[..., i :: np.prod(scales)])
    return y


def draw_pixel_shuffle(rng):
    dims = int(rng.integers(1, 4))
    scale = numbers(rng, 1, 3, dims)
    channels = int(np.prod(tuples(scale, dims))) * int(rng.integers(1, 4))
    return Drawn(pn.pixel_shuffle(scale), rng.normal(size=(*sizes(rng, 1, 1, 3), *sizes(rng, dims, 1, 4), channels)))


def pad_in_torch(params, x, width, mode="constant", value=0.0):
    ends = ends_of(width, None, x.shape[1:-1], None, None)
    if mode == "constant":
        return last(padded(first(x), ends, value))
    return last(F.pad(first(x), [n for pair in reversed(ends) for n in pair], mode))


def pad_in_jax(params, x, width, mode="constant", value=0.0):
    ends = around(ends_of(width, None, x.shape[1:-1], None, None))
    if mode == "constant":
        return jnp.pad(x, ends, constant_values=value)
    return jnp.pad(x, ends, {"replicate": "edge", "circular": "wrap"}.get(mode, mode))


def draw_pad(rng):
    dims = int(rng.integers(1, 4))
    mode = str(rng.choice(["constant", "reflect", "replicate", "circular"]))
    space = sizes(rng, dims, 1, 4)
    most = [3 if mode in ("constant", "replicate") else n - (mode == "reflect") for n in space]
    width = tuple((int(rng.integers(0, m + 1)), int(rng.integers(0, m + 1))) for m in most)
    x = rng.normal(size=(*sizes(rng, 1, 1, 3), *space, *sizes(rng, 1, 1, 3)))
    same = int(rng.integers(0, min(most) + 1))
    value = float(rng.choice([0.0, rng.normal()])) if mode == "constant" else 0.0
    return Drawn(pn.pad(same if rng.random() < 0.3 else width, mode, value), x)


CANCELS = {"least": 1e-3}

TWINS = {
    "conv": Twin(conv_in_torch, conv_in_jax, draw_conv, draws=100, jax_draws=50, **CANCELS),
    "conv_transpose": Twin(
        conv_transpose_in_torch, conv_transpose_in_jax, draw_conv_transpose, draws=100, jax_draws=25, **CANCELS
    ),
    "max_pool": Twin(
        max_pool_in_torch, max_pool_in_jax, draw_pool(pn.max_pool, ties=True), draws=200, jax_draws=10, **CANCELS
    ),
    "avg_pool": Twin(
        avg_pool_in_torch, avg_pool_in_jax, draw_pool(pn.avg_pool, ties=False), draws=200, jax_draws=10, **CANCELS
    ),
    "global_avg_pool": Twin(
        global_pool_in_torch("avg"), global_avg_pool_in_jax, draw_global_pool(pn.global_avg_pool), jax_draws=5
    ),
    "global_max_pool": Twin(
        global_pool_in_torch("max"), global_max_pool_in_jax, draw_global_pool(pn.global_max_pool), jax_draws=5
    ),
    "adaptive_avg_pool": Twin(
        adaptive_pool_in_torch("avg"),
        adaptive_pool_in_jax(global_avg_pool_in_jax),
        draw_adaptive_pool(pn.adaptive_avg_pool),
        draws=100,
        jax_draws=5,
        **CANCELS,
    ),
    "adaptive_max_pool": Twin(
        adaptive_pool_in_torch("max"),
        adaptive_pool_in_jax(global_max_pool_in_jax),
        draw_adaptive_pool(pn.adaptive_max_pool),
        draws=100,
        jax_draws=5,
        **CANCELS,
    ),
    "last_step": Twin(last_step_in_torch, of_x(lambda x: x[:, -1]), draw_last_step, jax_draws=5),
    "upsample": Twin(upsample_in_torch, upsample_in_jax, draw_upsample, draws=150, jax_draws=10, **CANCELS),
    "pixel_shuffle": Twin(pixel_shuffle_in_torch, pixel_shuffle_in_jax, draw_pixel_shuffle, jax_draws=10),
    "pad": Twin(pad_in_torch, pad_in_jax, draw_pad, draws=100, jax_draws=10),
}
