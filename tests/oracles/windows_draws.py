"""Random layers over windows, drawn by a seeded generator, and the same computed by PyTorch."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

import purenet as pn


def rng_of(seed):
    return np.random.default_rng(seed)


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


def first(x):
    """Channels first, as PyTorch has them."""
    return torch.from_numpy(np.moveaxis(x, -1, 1).copy()).requires_grad_()


def last(x):
    return np.moveaxis(x.detach().numpy(), 1, -1)


def pad_torch(x, ends, value=0.0):
    return F.pad(x, [n for pair in reversed(ends) for n in pair], value=value)


def draw_conv(rng):
    """A convolution, its x, and how PyTorch is to be asked for the same."""
    dims = int(rng.integers(1, 4))
    kernel = tuple(int(k) for k in rng.integers(1, 5 if dims < 3 else 4, dims))
    stride, dilation = numbers(rng, 1, 4, dims), numbers(rng, 1, 3, dims)
    groups = int(rng.choice([1, 1, 2, 3]))
    ins, outs = (groups * int(n) for n in rng.integers(1, 4, 2))
    padding, bias = draw_padding(rng, dims), bool(rng.integers(2))
    reach = tuple((k - 1) * d + 1 for k, d in zip(kernel, tuples(dilation, dims), strict=True))
    ends = ((0, 0),) * dims if padding == "same" else ends_of(padding, None, kernel, None, None)
    space = space_for(rng, reach, ends)
    layer = pn.conv(ins, outs, kernel, stride=stride, padding=padding, dilation=dilation, groups=groups, bias=bias)
    ends = ends_of(padding, space, kernel, tuples(stride, dims), tuples(dilation, dims))
    x = rng.normal(size=(int(rng.integers(1, 4)), *space, ins))
    options = {"stride": tuples(stride, dims), "dilation": tuples(dilation, dims), "groups": groups}
    return layer, x, ends, options


def draw_conv_transpose(rng):
    while True:
        dims = int(rng.integers(1, 4))
        kernel = tuple(int(k) for k in rng.integers(1, 5 if dims < 3 else 4, dims))
        stride, dilation = tuples(numbers(rng, 1, 3, dims), dims), tuples(numbers(rng, 1, 3, dims), dims)
        groups = int(rng.choice([1, 1, 2, 3]))
        ins, outs = (groups * int(n) for n in rng.integers(1, 4, 2))
        padding, bias = tuples(numbers(rng, 0, 2, dims), dims), bool(rng.integers(2))
        added = tuple(int(rng.integers(0, max(s, d))) for s, d in zip(stride, dilation, strict=True))
        space = tuple(int(n) for n in rng.integers(1, 5, dims))
        axes = zip(space, stride, padding, dilation, kernel, added, strict=True)
        if min((n - 1) * s - 2 * p + d * (k - 1) + a + 1 for n, s, p, d, k, a in axes) < 1:
            continue
        options = {"stride": stride, "padding": padding, "dilation": dilation, "output_padding": added}
        layer = pn.conv_transpose(ins, outs, kernel, **options, groups=groups, bias=bias)
        x = rng.normal(size=(int(rng.integers(1, 4)), *space, ins))
        return layer, x, {**options, "groups": groups}


def params_for(rng, layer):
    """Random params of the layer's shapes, in float64."""
    return pn.tree.map(lambda p: rng.normal(size=p.shape), layer.init(pn.key(0)))


def conv_by_torch(params, x, dy_of, ends, options):
    """(y, dweight, dbias, dx), as our layers have them."""
    dims = x.ndim - 2
    weight = torch.from_numpy(np.moveaxis(params.weight, (-1, -2), (0, 1)).copy()).requires_grad_()
    bias = None if params.bias is None else torch.from_numpy(params.bias.copy()).requires_grad_()
    given = first(x)
    y = getattr(F, f"conv{dims}d")(pad_torch(given, ends), weight, bias, **options)
    return results(y, dy_of, given, weight, bias, lambda w: np.moveaxis(w, (0, 1), (-1, -2)))


def conv_transpose_by_torch(params, x, dy_of, options):
    """PyTorch's weight is (in, out // groups, *kernel); ours (*kernel, in // groups, out)."""
    dims, groups = x.ndim - 2, options["groups"]
    blocks = np.split(params.weight, groups, axis=-1)  # of each group, (*kernel, in // groups, out // groups)
    theirs = np.concatenate([np.moveaxis(block, (-2, -1), (0, 1)) for block in blocks])
    weight = torch.from_numpy(theirs.copy()).requires_grad_()
    bias = None if params.bias is None else torch.from_numpy(params.bias.copy()).requires_grad_()
    given = first(x)
    y = getattr(F, f"conv_transpose{dims}d")(given, weight, bias, **options)

    def ours(w):
        return np.concatenate([np.moveaxis(block, (0, 1), (-2, -1)) for block in np.split(w, groups)], axis=-1)

    return results(y, dy_of, given, weight, bias, ours)


def results(y, dy_of, given, weight, bias, ours):
    y.backward(torch.from_numpy(np.ascontiguousarray(np.moveaxis(dy_of(last(y)), -1, 1))))
    return last(y), ours(weight.grad.numpy()), None if bias is None else bias.grad.numpy(), last(given.grad)


def draw_pool(rng, make, integers):
    """A pooling layer, its x (of whole numbers where ties are wanted), its window and stride, and its padding."""
    while True:
        dims = int(rng.integers(1, 4))
        size = tuples(numbers(rng, 1, 4 if dims < 3 else 3, dims), dims)
        stride = numbers(rng, 1, 5, dims) if rng.random() < 0.7 else None
        padding = draw_padding(rng, dims, 0, 2)
        strides = size if stride is None else tuples(stride, dims)
        ends = ((0, 0),) * dims if padding == "same" else ends_of(padding, None, size, None, None)
        if any(max(pair) >= n for pair, n in zip(ends, size, strict=True)):
            continue
        space = space_for(rng, size, ends, 6)
        ends = ends_of(padding, space, size, strides, (1,) * dims)
        shape = (int(rng.integers(1, 4)), *space, int(rng.integers(1, 4)))
        x = rng.integers(0, 3, shape).astype(float) if integers else rng.normal(size=shape)
        return make(size, stride, padding), x, size, strides, ends


def pool_by_torch(kind, x, dy_of, size, stride, ends):
    given = first(x)
    padded = pad_torch(given, ends, -np.inf if kind == "max" else 0.0)
    y = getattr(F, f"{kind}_pool{x.ndim - 2}d")(padded, size, stride)
    return plain_results(y, dy_of, given)


def plain_results(y, dy_of, given):
    y.backward(torch.from_numpy(np.ascontiguousarray(np.moveaxis(dy_of(last(y)), -1, 1))))
    return last(y), last(given.grad)


def draw_upsample(rng, method):
    dims = int(rng.integers(1, 4))
    scale = tuples(numbers(rng, 1, 4, dims), dims)
    x = rng.normal(size=(int(rng.integers(1, 4)), *(int(n) for n in rng.integers(1, 6, dims)), int(rng.integers(1, 4))))
    return pn.upsample(scale, method), x, scale


def upsample_by_torch(method, x, dy_of, scale):
    mode = "nearest" if method == "nearest" else {1: "linear", 2: "bilinear", 3: "trilinear"}[x.ndim - 2]
    given = first(x)
    y = F.interpolate(given, scale_factor=[float(s) for s in scale], mode=mode)
    return plain_results(y, dy_of, given)
