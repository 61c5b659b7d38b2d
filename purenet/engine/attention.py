"""Scaled dot-product attention in heads; the derivation is that of `multi_head_attention`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def attend(
    ops: Any, q: Any, k: Any, v: Any, mask: Any, heads: int, causal: bool
) -> tuple[Any, Callable[[Any], tuple[Any, Any, Any]]]:
    """Attention in each head, of q (batch, t, features), k and v (batch, s, features): Y, and dE/dY → dE/dQ, dK, dV.

    The mask (batch, s) is True where there is something to attend to; it may be None.
    """
    (batch, t, features), s = q.shape, k.shape[1]
    size = features // heads
    scale = size**-0.5

    def cut(a: Any) -> Any:
        """(batch, time, features) to (batch, heads, time, size)."""
        return ops.permute_dims(ops.reshape(a, (batch, a.shape[1], heads, size)), (0, 2, 1, 3))

    def join(a: Any) -> Any:
        return ops.reshape(ops.permute_dims(a, (0, 2, 1, 3)), (batch, a.shape[2], features))

    def turn(a: Any) -> Any:
        return ops.permute_dims(a, (0, 1, 3, 2))

    q, k, v = cut(q * scale), cut(k), cut(v)
    e = q @ ops.compact(turn(k))  # BLAS takes twice as long for the product of small matrices with a turned view
    small = ops.exp_takes(e)
    allowed = None if mask is None else mask[:, None, None, :]
    if causal:
        past = ops.arange(t)[:, None] >= ops.arange(s)
        allowed = past if allowed is None else allowed & past
    if allowed is not None:
        e = ops.where(allowed, e, float(ops.finfo(e.dtype).min) / 2)  # half: taking the maximum off must not overflow
    if not small:
        e -= ops.max(e, axis=-1, keepdims=True)
    e = ops.overwrite(ops.exp, e)
    if mask is not None:
        e = ops.where(allowed, e, 0)  # where nothing is allowed, the maximum was a masked one
    total = ops.sum_last(e)
    if mask is not None:
        total = ops.where(total > 0, total, 1)
    e /= total

    def pull(dy: Any) -> tuple[Any, Any, Any]:
        dy = cut(dy)
        ds = dy @ ops.compact(turn(v))
        ds -= ops.vecdot(ds, e)[..., None]
        ds *= e
        dq = join(ds @ k)
        dq *= scale
        return dq, join(turn(ds) @ q), join(turn(e) @ dy)

    return join(e @ v), pull
