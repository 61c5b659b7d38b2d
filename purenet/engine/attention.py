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
        self,
        q: Array,
        k: Array,
        v: Array,
        heads: int,
        mask: Array | None = None,
        offset: int | Array | None = None,
        dropped: tuple[Array, float] | None = None,
    ) -> tuple[Array, Callable[[Array], tuple[Array, Array, Array, Array | None]]]:
        """Attention in each head: Y, and its rule, dE/dY → dE/dQ, dE/dK, dE/dV, dE/dmask.

        q and Y are (batch, t, features), k and v (batch, s, any), for as many heads as fit in.
        The mask (batch, heads or 1, t or 1, s) is True where there is something to attend to, or it is added to the
        scores; it may be None. With an offset the query i attends to the keys up to i + offset, which may be
        an array (batch, 1, 1, 1) of numbers from 0 up. `dropped` is which
        weights are kept, and by what they are multiplied.

        In the products a weight of 0 is a mask, and what is not finite must not get through: where there may be such
        numbers, they are 0 there, and what depends on them gets its NaN with the scores, or with dE/dS.
        """
        cut, join, together, apart = self._heads(q, k, heads)
        t, s = q.shape[1], k.shape[1]
        scale = (q.shape[2] // heads) ** -0.5
        q, k, v = cut(q * scale), cut(k), cut(v)
        added, allowed = (mask, mask != -self.inf) if mask is not None and self.has_gradient(mask) else (None, mask)
        if offset is not None:
            past = self.arange(t)[:, None] + offset >= self.arange(s)
            allowed = past if allowed is None else allowed & past
        may_be_empty = mask is not None or (type(offset) is int and offset < 0)
        careful = allowed is not None and not self.all_finite(q, k, v, *(() if added is None else (added,)))
        q = together(q)
        if careful:
            e = apart(q @ self._turned(k + self.taint(v)))
            q, k, v = map(self.finite_part, (q, k, v))
        else:
            e = apart(
                q @ self.compact(self._turned(k))
            )  # BLAS takes twice as long for small matrices with a turned view
        if added is not None:
            e += added
        e = self._shares(e, allowed, may_be_empty)
        if careful:
            e = self.keep(e, allowed)

        def kept(weights: Array) -> Array:
            return weights if dropped is None else self.keep(weights * dropped[1], dropped[0])

        def pull(dy: Array) -> tuple[Array, Array, Array, Array | None]:
            dy, p = cut(dy), e
            guarded = allowed is not None and (careful or not self.all_finite(dy))
            if guarded:
                p = self.keep(e + self.taint(dy), allowed)
                dy = self.finite_part(dy)
            dy = together(dy)
            ds = kept(apart(dy @ self.compact(self._turned(v))))
            ds -= self.dot_last(ds, p)
            ds *= p
            if guarded:
                ds = self.keep(ds, allowed)
            rows = together(ds)
            dq = join(apart(rows @ k))
            dq *= scale
            dmask = None if added is None else ds if added.shape[1] > 1 else self.sum(ds, axis=1, keepdims=True)
            return dq, join(self._turned(rows) @ q), join(self._turned(together(kept(p))) @ dy), dmask

        return join(apart(together(kept(e)) @ v)), pull

    def _shares(self, scores: Array, allowed: Array | None, may_be_empty: bool) -> Array:
        """softmax of the scores that are allowed, which is 0 in a row that `may_be_empty` and is. It may write over
        them."""
        small = self.exp_takes(scores)
        e = scores
        if allowed is not None:
            least = float(self.finfo(e.dtype).min) / 2  # half: taking the maximum off must not overflow
            e = self.where(allowed, e, least)
        if not small:
            e -= self.max(e, axis=-1, keepdims=True)
        e = self.overwrite(self.exp, e)
        if may_be_empty:
            e = self.keep(e, allowed)  # where nothing is allowed, the maximum was a masked one
        total = self.sum_last(e)
        if may_be_empty:
            total = self.where(total > 0, total, 1)
        e /= total
        return e

    def _turned(self, a: Array) -> Array:
        """The last two axes exchanged."""
        return self.permute_dims(a, (0, 1, 3, 2))

    def _heads(self, q: Array, k: Array, heads: int) -> tuple[Callable[[Array], Array], ...]:
        """(cut, join, together, apart) for heads as wide as those of q (batch, t, features), of which some may share
        the keys k: there the rows of all queries that share them are one matrix."""
        batch, t, features = q.shape
        size = features // heads
        shared = k.shape[2] // size

        def cut(a: Array) -> Array:
            """(batch, time, heads · size) to (batch, heads, time, size)."""
            return self.permute_dims(self.reshape(a, (batch, a.shape[1], a.shape[2] // size, size)), (0, 2, 1, 3))

        def join(a: Array) -> Array:
            return self.reshape(self.permute_dims(a, (0, 2, 1, 3)), (batch, a.shape[2], a.shape[1] * size))

        def together(a: Array) -> Array:
            """(batch, heads, t, n) to (batch, shared, t · heads / shared, n)."""
            return a if shared == heads else self.reshape(a, (batch, shared, heads // shared * t, a.shape[3]))

        def apart(a: Array) -> Array:
            return a if shared == heads else self.reshape(a, (batch, heads, t, a.shape[3]))

        return cut, join, together, apart
