"""PyTorch, on a CPU or on another device: its tensors follow the array API standard by way of array-api-compat.

Nothing here makes a graph: the rules are the derivatives.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np

from purenet.engine.arrays import Array, describe, dtype_name, own_dtype, to_numpy, torch_namespace
from purenet.engine.ops import Ops
from purenet.engine.torch_activations import TorchActivationOps
from purenet.engine.torch_convolution import TorchConvolutionOps
from purenet.engine.torch_losses import TorchLossOps
from purenet.engine.torch_norms import TorchNormOps
from purenet.engine.torch_recurrence import TorchRecurrenceOps

LARGE = 16384  # numbers; fewer are added up before it is known whether their memory may be written to again


class TorchOps(TorchConvolutionOps, TorchNormOps, TorchRecurrenceOps, TorchActivationOps, TorchLossOps, Ops):
    """PyTorch on one device."""

    def __init__(self, device: Any) -> None:
        super().__init__(torch_namespace())
        self.device, self.torch = device, sys.modules["torch"]
        for name in ("arange", "empty", "eye", "full", "linspace", "ones", "zeros"):
            vars(self)[name] = partial(getattr(self.namespace, name), device=device)
        self.vecdot, self.moveaxis = self.torch.linalg.vecdot, self.torch.movedim  # the same, and `vmap` knows them

    def asarray(self, x: Any, dtype: Any = None) -> Array:
        """A copy, of an array of NumPy: PyTorch does not know of read-only memory."""
        tensor: Any = x if self.torch.is_tensor(x) else self.torch.tensor(_readable(x))
        if dtype_name(getattr(x, "dtype", "")) == "bfloat16":
            tensor = tensor.view(self.torch.bfloat16)
        tensor = tensor.to(self.device)
        return tensor if dtype is None else self.astype(tensor, dtype)

    def take_in(self, x: Any) -> Array:
        if isinstance(x, np.ndarray | np.generic):
            return self.asarray(x)
        if not self.torch.is_tensor(x):
            raise TypeError(
                f"arrays of PyTorch and of another engine do not go together, but beside a tensor there is "
                f"{describe(x)}: write pn.to_engine(..., 'torch')"
            )
        if x.device != self.device:
            raise ValueError(
                f"tensors must be on one device, but there are some on {self.device} and some on {x.device}: "
                f"write pn.to_engine(..., 'torch', device='{self.device}')"
            )
        tensor: Array = x
        return tensor

    def astype(self, x: Any, dtype: Any) -> Array:
        converted: Array = x.to(own_dtype(self.namespace, dtype))
        return converted

    def look(self, check: Callable[..., None], *arrays: Any) -> None:
        """On a CPU: to look at what another device holds, one must wait for it."""
        if self.runs_here(*arrays):
            check(*map(_to_numpy, arrays))

    def labels_fit(self, labels: Any, classes: int) -> bool:
        if not self.runs_here(labels) or 0 in labels.shape:
            return True
        least, most = self.torch.aminmax(labels.to(self.torch.int64))
        return int(least) >= 0 and int(most) < classes

    def _can_look(self) -> bool:
        return self.device.type == "cpu" and not self._is_traced()

    def _is_traced(self) -> bool:
        tracing: Any = sys.modules.get("torch.fx.experimental.proxy_tensor")  # which `make_fx` is from
        return bool(self.torch.compiler.is_compiling() or (tracing and tracing.get_proxy_mode()))

    def runs_here(self, *tensors: Any) -> bool:
        """Whether these are tensors on a CPU with numbers now, not what `vmap` and the like or a tracer see."""
        return self._can_look() and not any(map(_is_wrapped, tensors))

    def take(self, x: Array, ids: Array, axis: int) -> Array:
        each = self.torch.index_select(x, axis, _as_index(self, ids).reshape(-1))
        taken: Array = each.reshape(*x.shape[:axis], *ids.shape, *x.shape[axis + 1 :])
        return taken

    def add_row(self, y: Array, row: Array) -> Array:
        y += row
        return y

    def add_rows(self, ids: Array, rows: Any, count: int) -> Array:
        total = rows.new_zeros((count, rows.shape[1]))  # a method of the rows, so that `vmap` knows it
        summed: Array = total.index_add_(0, _as_index(self, ids), rows)
        return summed

    def add_scaled(self, a: Any, b: Any, factor: Any) -> Array:
        """In one pass. PyTorch's compiler makes one of its own; of `alpha`, where a or b is a product, it makes 1."""
        if type(factor) is not float or not a.dtype.is_floating_point or self._is_traced():
            return super().add_scaled(a, b, factor)
        total: Array = self.torch.add(a, b, alpha=factor)
        return total

    def add_quotient(self, a: Any, b: Any, divisor: Any, factor: Any) -> Array:
        """In one pass, as above."""
        if type(factor) is not float or self._is_traced():
            return super().add_quotient(a, b, divisor, factor)
        out = divisor if self._is_writable(divisor, a, b) else None
        total: Array = self.torch.addcdiv(a, b, divisor, value=factor, out=out)
        return total

    def overwrite(self, f: Callable[..., Array], temporary: Any, *arrays: Any) -> Array:
        """Of a large array, memory that is not in the cache costs more than a root."""
        arrays = arrays or (temporary,)
        if f is not self.torch.sqrt or not self._is_writable(temporary, *arrays):
            return f(*arrays)
        root: Array = self.torch.sqrt(*arrays, out=temporary)
        return root

    def _is_writable(self, temporary: Any, *arrays: Any) -> bool:
        """Whether what is made of these arrays may stand in the temporary, and so many that it pays to ask."""
        if temporary.numel() <= LARGE or not temporary.dtype.is_floating_point:
            return False
        alike = all(x.shape == temporary.shape and x.dtype is temporary.dtype for x in arrays)
        return alike and self.runs_here(temporary, *arrays)

    def one_hot(self, labels: Array, classes: int, dtype: Any) -> Array:
        places = _as_index(self, labels)[..., None]
        zeros = places.new_zeros((*labels.shape, classes), dtype=dtype)  # methods that `vmap` knows, as in `add_rows`
        hot: Array = zeros.scatter_add_(-1, places, places.new_ones(places.shape, dtype=dtype))
        return hot

    def max_last(self, x: Array) -> Array:
        largest: Array = self.torch.amax(x, -1, keepdim=True) if x.shape[-1] else x
        return largest

    def relu(self, x: Array) -> Array:
        y: Array = self.torch.relu(x)
        return y

    def relu_back(self, dy: Array, y: Array) -> Array:
        """In one pass; where y is NaN, dE/dY goes on."""
        dx: Array = self.torch.ops.aten.threshold_backward(dy, y, 0)
        return dx

    def keep(self, x: Array, mask: Array) -> Array:
        """See `where`."""
        if not self._by_bits(mask, x):
            return super().keep(x, mask)
        kept: Array = (_bits_of(x) & self._ones_of(mask, x)).view(x.dtype)
        return kept

    def where(self, mask: Array, a: Any, b: Any) -> Array:
        """PyTorch's own goes by jumps on a CPU: of large tensors bits are taken, b's and, where the mask is True, those
        in which a differs, in a tenth of the time."""
        chosen: Array
        like = a if self.torch.is_tensor(a) else b
        by_bits = self._by_bits(mask, like)
        if by_bits:
            a, b = (like.new_tensor(each) if isinstance(each, int | float) else each for each in (a, b))
        if not by_bits or a.dtype != b.dtype:
            chosen = self.namespace.where(mask, a, b)
            return chosen
        of_a, of_b = _bits_of(a), _bits_of(b)
        chosen = (((of_a ^ of_b) & self._ones_of(mask, like)) ^ of_b).view(like.dtype)
        return chosen

    def _by_bits(self, mask: Any, like: Any) -> bool:
        """Whether these are tensors with memory of their own, and so many that it pays."""
        large = self.torch.is_tensor(mask) and self.torch.is_tensor(like) and mask.numel() > 1024
        return large and like.dtype.is_floating_point and self._can_look()

    def _ones_of(self, mask: Any, like: Any) -> Any:
        """Integers as wide as the numbers of `like`: all bits are 1 where the mask is True, else 0."""
        return mask.to(_integers(like)).neg_()


def _is_wrapped(x: Any) -> bool:
    """Whether x, or a tensor in the tuple x, is one that `vmap` and the like hand in."""
    if isinstance(x, tuple):
        return any(map(_is_wrapped, x))
    return x is not None and bool(sys.modules["torch"]._C._functorch.is_functorch_wrapped_tensor(x))


def _integers(x: Any) -> Any:
    torch = sys.modules["torch"]
    return {2: torch.int16, 4: torch.int32, 8: torch.int64}[x.itemsize]


def _bits_of(x: Any) -> Any:
    return x.view(_integers(x))


def _as_index(ops: TorchOps, ids: Array) -> Any:
    return ops.astype(ids, ops.namespace.int64)


def _to_numpy(x: Any) -> Any:
    return tuple(map(_to_numpy, x)) if type(x) is tuple else None if x is None else to_numpy(x)


def _readable(x: Any) -> Any:
    """An array of NumPy as PyTorch reads one: in this machine's order of bytes, along rising addresses, and as bits
    where PyTorch does not know the dtype as NumPy's."""
    x = np.asarray(x)
    x = np.array(x, x.dtype.newbyteorder("="), order="C")
    return x.view(np.int16) if dtype_name(x.dtype) == "bfloat16" else x


@cache
def torch_ops(device: Any) -> TorchOps:
    """The ops of PyTorch on a device."""
    return TorchOps(device)
