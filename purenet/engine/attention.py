"""Scaled dot-product attention in heads; the derivation is that of `multi_head_attention`."""

from __future__ import annotations

from collections.abc import Callable

from purenet.engine.arrays import Array
from purenet.engine.standard import Standard


class AttentionOps(Standard):
    """The ops of attention."""

    def exp_takes(self, scores: Array) -> bool:
        """Whether softmax takes these scores as they are.

        It takes the largest off only to keep exp from overflowing.
        """
        return False

    def finite_part(self, a: Array) -> Array:
        """a, and 0 for what is not finite."""
        return self.keep(a, self.isfinite(a))

    def taint(self, a: Array) -> Array:
        """0 for each row of finite numbers, NaN for any other."""
        ok = self.all(self.isfinite(a), axis=-1, keepdims=True)
        return self.where(ok, self.zeros_of(ok.shape, a), self.nan)

    def attend(
        self, q: Array, k: Array, v: Array, mask: Array | None, heads: int, causal: bool
    ) -> tuple[Array, Callable[[Array], tuple[Array, Array, Array]]]:
        """Attention in each head: Y, and its rule, dE/dY → dE/dQ, dE/dK, dE/dV.

        q and Y are (batch, t, features), k and v (batch, s, features).
        The mask (batch, s) is True where there is something to attend to; it may be None.

        In the products a weight of 0 is a mask, and what is not finite must not get through: where there may be such
        numbers, they are 0 there, and what depends on them gets its NaN with the scores, or with dE/dS.
        """
        (batch, t, features), s = q.shape, k.shape[1]
        size = features // heads
        scale = size**-0.5

        def cut(a: Array) -> Array:
            """(batch, time, features) to (batch, heads, time, size)."""
            return self.permute_dims(self.reshape(a, (batch, a.shape[1], heads, size)), (0, 2, 1, 3))

        def join(a: Array) -> Array:
            return self.reshape(self.permute_dims(a, (0, 2, 1, 3)), (batch, a.shape[2], features))

        def turn(a: Array) -> Array:
            return self.permute_dims(a, (0, 1, 3, 2))

        q, k, v = cut(q * scale), cut(k), cut(v)
        masked = causal or mask is not None
        careful = masked and not self.all_finite(q, k, v)
        if careful:
            e = q @ turn(k + self.taint(v))
            q, k, v = map(self.finite_part, (q, k, v))
        else:
            e = q @ self.compact(turn(k))  # BLAS takes twice as long for small matrices with a turned view
        small = self.exp_takes(e)
        allowed = None if mask is None else mask[:, None, None, :]
        if causal:
            past = self.arange(t)[:, None] >= self.arange(s)
            allowed = past if allowed is None else allowed & past
        if allowed is not None:
            least = float(self.finfo(e.dtype).min) / 2  # half: taking the maximum off must not overflow
            e = self.where(allowed, e, least)
        if not small:
            e -= self.max(e, axis=-1, keepdims=True)
        e = self.overwrite(self.exp, e)
        if mask is not None:
            e = self.keep(e, allowed)  # where nothing is allowed, the maximum was a masked one
        total = self.sum_last(e)
        if mask is not None:
            total = self.where(total > 0, total, 1)
        e /= total
        if careful:
            e = self.keep(e, allowed)

        def pull(dy: Array) -> tuple[Array, Array, Array]:
            dy, p = cut(dy), e
            guarded = masked and (careful or not self.all_finite(dy))
            if guarded:
                p = self.keep(e + self.taint(dy), allowed)
                dy = self.finite_part(dy)
            ds = dy @ self.compact(turn(v))
            ds -= self.dot_last(ds, p)
            ds *= p
            if guarded:
                ds = self.keep(ds, allowed)
            dq = join(ds @ k)
            dq *= scale
            return dq, join(turn(ds) @ q), join(turn(p) @ dy)

        return join(e @ v), pull
