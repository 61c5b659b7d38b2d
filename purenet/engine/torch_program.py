"""What PyTorch compiles: the operations of a function of tensors, as they were seen in one run."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from purenet.engine.arrays import describe, is_array, is_tensor, namespace, to_numpy, torch_namespace


def as_tensor(x: Any) -> Any:
    """A tensor of what is an array or a number, dense in memory: on a CPU, unless it is one already.

    Python's own numbers become float64 and int64 without axes, which change no dtype that they meet.
    """
    if is_tensor(x):
        namespace(x, "torch_compile")  # it requires no gradient
        return x.contiguous()
    torch = loaded()
    if is_array(x) and not str(x.dtype).startswith("key<"):
        return torch.tensor(np.array(to_numpy(x)))
    if isinstance(x, int | float):
        return torch.tensor(x, dtype=torch.float64 if isinstance(x, float) else None)
    raise TypeError(f"torch_compile is for trees of tensors, arrays and numbers, not {describe(x)}")


def loaded() -> Any:
    """PyTorch."""
    try:
        torch = importlib.import_module("torch")
    except ImportError:
        raise ModuleNotFoundError("torch_compile compiles by PyTorch: pip install 'purenet[torch]'") from None
    torch_namespace()
    return torch


def are_transformed(leaves: Sequence[Any]) -> bool:
    """Whether `vmap`, `grad` and their like look at some of these: what they see must not be kept."""
    is_wrapped = sys.modules["torch"]._C._functorch.is_functorch_wrapped_tensor
    return any(is_tensor(leaf) and is_wrapped(leaf) for leaf in leaves)


def program(f: Callable[[list[Any]], Any], examples: list[Any], options: Any) -> Callable[[list[Any]], Any]:
    """f as PyTorch compiles it, of what it computes for tensors like these."""
    torch = loaded()
    from torch.fx.experimental.proxy_tensor import make_fx

    # copies: the tracer takes one tensor at two places for one argument, and f may write into what it is given
    copies = [x.clone() for x in examples]
    try:
        seen = make_fx(lambda *tensors: f(list(tensors)))(*copies)
    except RuntimeError as error:
        if "tracing tensor" not in str(error):
            raise
        raise TypeError(
            "torch_compile: f looks at a number, as by if, range, float or an index, where it is not known yet: "
            "numbers are tensors in f. Bind what steers f before, as in torch_compile(functools.partial(f, number)), "
            "or choose by torch.where"
        ) from error
    if options:
        compiled: Callable[..., Any] = torch.compile(seen, **options)
    else:  # `torch.compile` looks at each call whether it has a program for such tensors: this is the one for them
        compiled = importlib.import_module("torch._inductor").compile(seen, copies)
    return lambda tensors: compiled(*tensors)
