"""Writes tests/data/windows.npz: small results of PyTorch, for the tests that run without it.

python -m tests.oracles.record_windows
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

import purenet as pn
from tests.oracles import windows_draws as draws

FILE = Path(__file__).parent.parent / "data" / "windows.npz"
EACH, LARGEST = 4, 350  # draws of each kind, and numbers in one of them


def drawn(kind, rng):
    """(layer, params, x, dy, what PyTorch has for y, dweight, dbias, dx)."""
    draw, ask = {
        "conv": (draws.draw_conv, draws.conv_by_torch),
        "conv_transpose": (draws.draw_conv_transpose, draws.conv_transpose_by_torch),
        "max": (lambda rng: draws.draw_pool(rng, pn.max_pool, True), lambda *a: draws.pool_by_torch("max", *a)),
        "avg": (lambda rng: draws.draw_pool(rng, pn.avg_pool, False), lambda *a: draws.pool_by_torch("avg", *a)),
        "nearest": (
            lambda rng: draws.draw_upsample(rng, "nearest"),
            lambda *a: draws.upsample_by_torch("nearest", *a),
        ),
        "bilinear": (
            lambda rng: draws.draw_upsample(rng, "bilinear"),
            lambda *a: draws.upsample_by_torch("bilinear", *a),
        ),
    }[kind]
    layer, x, *rest = draw(rng)
    params = draws.params_for(rng, layer)
    given = []

    def dy_of(y):
        given.append(rng.normal(size=y.shape))
        return given[0]

    if params:
        y, dweight, dbias, dx = ask(params, x, dy_of, *rest)
    else:
        (y, dx), dweight, dbias = ask(x, dy_of, *rest), None, None
    weight, bias = params or (None, None)
    arrays = {"x": x, "dy": given[0], "y": y, "dx": dx, "weight": weight, "bias": bias}
    return layer, {**arrays, "dweight": dweight, "dbias": dbias}


def main() -> None:
    recorded = {}
    for kind in ("conv", "conv_transpose", "max", "avg", "nearest", "bilinear"):
        rng, left = np.random.default_rng(2024), EACH
        while left:
            layer, arrays = drawn(kind, rng)
            arrays = {name: array for name, array in arrays.items() if array is not None}
            if sum(array.size for array in arrays.values()) <= LARGEST and arrays["y"].shape != arrays["x"].shape:
                if arrays["x"].ndim != 3 + left % 2:  # sequences and images in turn
                    continue
                recorded |= {f"{kind}{left}/{name}": array for name, array in arrays.items()}
                recorded[f"{kind}{left}/layer"] = np.array(repr(layer))
                left -= 1
    np.savez_compressed(FILE, **recorded)


if __name__ == "__main__":
    main()
