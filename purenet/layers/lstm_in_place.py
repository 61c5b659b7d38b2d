"""The lstm's steps on NumPy, written into buffers: what recurrence.py's `steps` does, in three quarters of the time.

The plain form is the step in recurrent.py; a test compares the two. What is gained: the product with U takes X, a 1 for
the bias and H in one, for H is written where the next step's product finds it; the gradients of W, B and U are one
product for a block of steps; and the arrays of a step stay in the cache. Inside, the gates stand in the order i, f, o,
g: one σ for three.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from purenet.arrays import dot


def lstm_in_place(params: Any, xs: Any, state: Any, keep: bool) -> tuple[Any, Any, Callable[..., Any]]:
    """Every H (time, hidden, batch), the last state (H, C), and the rule, if `keep`; see `recurrence.steps`.

    The state and what is in `xs` (features, time, batch) are (features, batch) at each step.
    """
    (features, time, batch), dtype = xs.shape, params.weight.dtype
    n, first = params.recurrent_weight.shape[0], features + (params.bias is not None)  # where H begins
    i, f, o, g, three = slice(n), slice(n, 2 * n), slice(2 * n, 3 * n), slice(3 * n, 4 * n), slice(3 * n)
    half, one = np.asarray(0.5, dtype), np.asarray(1, dtype)  # NumPy takes an array of no axes faster than a number

    def swapped(matrix: Any) -> Any:
        """The columns of i, f, g, o as i, f, o, g; or back."""
        return np.concatenate([matrix[:, : 2 * n], matrix[:, 3 * n :], matrix[:, 2 * n : 3 * n]], axis=1)

    parts = [p for p in (params.weight, params.bias, params.recurrent_weight) if p is not None]
    weight = swapped(np.concatenate([part.reshape(-1, 4 * n) for part in parts]))
    ahead = weight.T.copy()
    ahead[three] *= half  # σ(z) = tanh(z/2)/2 + 1/2

    inputs = np.ones((time + 1, first + n, batch), dtype)  # X, 1 and H of each step
    inputs[:time, :features] = xs.transpose(1, 0, 2)
    inputs[0, first:] = state[0]
    cs = np.empty((time + 1, n, batch), dtype)
    cs[0] = state[1]
    gates = np.empty((time if keep else 1, 4 * n, batch), dtype)
    squashed = np.empty((time if keep else 1, n, batch), dtype)
    part = np.empty((n, batch), dtype)
    for t in range(time):
        z, tanh_c, c = gates[t if keep else 0], squashed[t if keep else 0], cs[t + 1]
        np.dot(ahead, inputs[t], out=z)
        np.tanh(z, out=z)
        sigmas = z[three]
        sigmas *= half
        sigmas += half
        np.multiply(z[f], cs[t], out=c)
        np.multiply(z[i], z[g], out=part)
        c += part
        np.tanh(c, out=tanh_c)
        np.multiply(z[o], tanh_c, out=inputs[t + 1, first:])

    def back(dys: Any, dstate: Any, wrt_x: bool) -> tuple[Any, Any, Any]:
        dh, dc = (np.array(d, order="C") for d in dstate)
        slope, dnew = np.empty((4 * n, batch), dtype), np.empty_like(dh)
        recurrent_weight = weight[first:]
        dweight = np.zeros((4 * n, first + n), dtype)  # turned, as the product is faster
        dxs = np.empty((features, time, batch), dtype) if wrt_x else None
        size = max(1, 640 // max(1, batch))  # a block of steps: long enough for a product, and its dzs in the cache
        for start in reversed(range(0, time, size)):
            stop = min(start + size, time)
            dzs = np.empty((stop - start, 4 * n, batch), dtype)
            for t in reversed(range(start, stop)):
                z, tanh_c, dz = gates[t], squashed[t], dzs[t - start]
                if dys is not None:
                    dh += dys[t]
                np.multiply(inputs[t + 1, first:], tanh_c, out=dnew)  # O ⊙ tanh² C
                np.subtract(z[o], dnew, out=dnew)
                dnew *= dh
                dc += dnew
                np.multiply(z, z, out=slope)
                np.subtract(z[three], slope[three], out=slope[three])  # σ' = σ − σ²
                np.subtract(one, slope[g], out=slope[g])
                np.multiply(dc, z[g], out=dz[i])
                np.multiply(dc, cs[t], out=dz[f])
                np.multiply(dh, tanh_c, out=dz[o])
                np.multiply(dc, z[i], out=dz[g])
                dz *= slope
                np.dot(recurrent_weight, dz, out=dh)
                dc *= z[f]
            flat = dzs.transpose(1, 0, 2).reshape(4 * n, (stop - start) * batch)
            taken = inputs[start:stop].transpose(1, 0, 2).reshape(first + n, (stop - start) * batch)
            dweight += dot(flat, taken.T)
            if dxs is not None:
                dxs[:, start:stop] = dot(weight[:features], flat).reshape(features, stop - start, batch)
        dweight = swapped(dweight.T.copy())
        bias = dweight[features] if params.bias is not None else None
        dparams = type(params)(dweight[:features], dweight[first:], bias)
        return dparams, dxs, (dh, dc)

    return inputs[1:, first:], (inputs[time, first:].copy(), cs[time].copy()), back
