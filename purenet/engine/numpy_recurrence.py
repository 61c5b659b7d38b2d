"""The lstm's steps on NumPy, written into buffers: what the plain steps do, in about two thirds of the time.

The plain form is the step in layers/recurrent.py, by `Ops.scan`. What is gained: the product with U takes X, a 1 for
the bias and H in one, for H is written where the next step's product finds it; the gradients of W, B and U are one
product for a block of steps, and what dE/dH and dE/dC are multiplied by, which does not depend on them, is computed for
such a block at once; a loop over views of all steps takes half the time of indexing at each; and `out` is given by its
place, which spares some per cent of a short call.

Inside, the gates stand in the order o, i, f, g: one σ for three, and with C after them I ⊙ G and F ⊙ C are one call.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import repeat
from typing import Any

import numpy as np

from purenet.engine.arrays import NumpyArray
from purenet.engine.recurrence import RecurrenceOps


class NumpyRecurrenceOps(RecurrenceOps):
    def lstm_steps(
        self, plain: Callable[..., Any], params: Any, xs: NumpyArray, mask: NumpyArray | None, state: Any, keep: bool
    ) -> Any:
        """In buffers, where all sequences are of one length."""
        if mask is not None:
            return plain(self, params, xs, mask, state, keep)
        return lstm_in_place(self, params, xs, state, keep)


def lstm_in_place(
    ops: Any, params: Any, xs: NumpyArray, state: Any, keep: bool
) -> tuple[NumpyArray, tuple[NumpyArray, NumpyArray], Callable[..., Any]]:
    """Every H (time, hidden, batch), the last state (H, C), and the rule, if `keep`; see `Ops.lstm_steps`.

    The state and what is in `xs` (features, time, batch) are (features, batch) at each step.
    """
    (features, time, batch), dtype = xs.shape, params.weight.dtype
    n, first = params.recurrent_weight.shape[0], features + (params.bias is not None)  # where H begins
    o, i, f, g, c = (slice(k * n, (k + 1) * n) for k in range(5))
    sigmas, gates, i_f, g_c = slice(3 * n), slice(4 * n), slice(n, 3 * n), slice(3 * n, 5 * n)
    half, one = np.asarray(0.5, dtype), np.asarray(1, dtype)  # NumPy takes an array of no axes faster than a number

    parts = [p for p in (params.weight, params.bias, params.recurrent_weight) if p is not None]
    weight = np.concatenate([part.reshape(-1, 4 * n) for part in parts])
    weight = np.concatenate([weight[:, 3 * n :], weight[:, : 3 * n]], axis=1)  # o first
    ahead = weight.T.copy()
    ahead[sigmas] *= half  # σ(z) = tanh(z/2)/2 + 1/2

    inputs = np.ones((time + 1, first + n, batch), dtype)  # X, 1 and H of each step
    inputs[:time, :features] = xs.transpose(1, 0, 2)
    inputs[0, first:] = state[0]
    kept = np.empty((time + 1 if keep else 1, 5 * n, batch), dtype)  # the gates of each step, and C before it
    kept[0, c] = state[1]
    squashed = np.empty((time if keep else 1, n, batch), dtype)
    product, terms = np.empty((4 * n, batch), dtype), np.empty((2 * n, batch), dtype)
    new, old = terms[:n], terms[n:]
    each: list[Any] = [kept[:, rows] for rows in (gates, sigmas, o, i_f, g_c)]
    each += [kept[1:, c] if keep else kept[:, c], squashed]
    if not keep:
        each = [repeat(part[0]) for part in each]  # every step writes over the one before
    for given, h, z, z_sigmas, z_o, z_if, z_gc, next_c, tanh_c in zip(inputs, inputs[1:, first:], *each, strict=False):
        np.dot(ahead, given, product)  # not into z, whose memory is not in the cache yet
        np.tanh(product, z)
        z_sigmas *= half
        z_sigmas += half
        np.multiply(z_if, z_gc, terms)
        np.add(new, old, next_c)
        np.tanh(next_c, tanh_c)
        np.multiply(z_o, tanh_c, h)

    def factors(start: int, stop: int) -> tuple[NumpyArray, NumpyArray]:
        """Of these steps, what dE/dH (o) and dE/dC (i, f, g) are multiplied by for dE/dZ; and dE/dH for dE/dC."""
        z, tanh_c = kept[start:stop], squashed[start:stop]
        of_z = np.square(z[:, gates])
        np.subtract(z[:, sigmas], of_z[:, sigmas], out=of_z[:, sigmas])  # σ' = σ − σ²
        np.subtract(one, of_z[:, g], out=of_z[:, g])
        of_z[:, o] *= tanh_c
        of_z[:, i_f] *= z[:, g_c]
        of_z[:, g] *= z[:, i]
        of_c = inputs[start + 1 : stop + 1, first:] * tanh_c  # O ⊙ tanh² C
        return of_z, np.subtract(z[:, o], of_c, out=of_c)

    def back(dys: NumpyArray | None, dstate: Any, wrt_x: bool) -> tuple[Any, NumpyArray | None, Any]:
        dh, dc = (np.array(d, order="C") for d in dstate)
        dnew = np.empty_like(dh)
        recurrent_weight = weight[first:]
        dweight = np.zeros((4 * n, first + n), dtype)  # turned, as the product is faster
        dxs = np.empty((features, time, batch), dtype) if wrt_x else None
        size = max(1, 640 // max(1, batch))  # a block of steps: long enough for a product, and its dzs in the cache
        for start in reversed(range(0, time, size)):
            stop = min(start + size, time)
            dzs, of_c = factors(start, stop)
            by_gate = dzs.reshape(stop - start, 4, n, batch)
            views = (each[::-1] for each in (dzs, by_gate[:, 0], by_gate[:, 1:], of_c, kept[start:stop, f]))
            dhs = repeat(None) if dys is None else dys[start:stop][::-1]
            for dz, dz_o, dz_ifg, slope, z_f, dy in zip(*views, dhs, strict=False):
                if dy is not None:
                    dh += dy
                np.multiply(dh, slope, dnew)
                dc += dnew
                dz_o *= dh
                dz_ifg *= dc
                np.dot(recurrent_weight, dz, dh)
                dc *= z_f
            flat = dzs.transpose(1, 0, 2).reshape(4 * n, (stop - start) * batch)
            taken = inputs[start:stop].transpose(1, 0, 2).reshape(first + n, (stop - start) * batch)
            dweight += ops.transposed_dot(flat.T, taken.T)
            if dxs is not None:
                dxs[:, start:stop] = ops.dot(weight[:features], flat).reshape(features, stop - start, batch)
        dweight = np.concatenate([dweight[n:], dweight[:n]]).T.copy()  # o last again
        bias = dweight[features] if params.bias is not None else None
        dparams = type(params)(dweight[:features], dweight[first:], bias)
        return dparams, dxs, (dh, dc)

    return inputs[1:, first:], (inputs[time, first:].copy(), kept[-1, c].copy()), back
