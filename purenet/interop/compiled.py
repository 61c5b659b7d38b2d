"""Functions of tensors that PyTorch compiles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from purenet.core import Layer, Loss, Optimizer
from purenet.engine.arrays import describe
from purenet.engine.torch_program import are_transformed, as_tensor, loaded, program
from purenet.tree import leaves as leaves_of
from purenet.tree.layout import Layout, splitter


def torch_compile(f: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    """f compiled by PyTorch, as `jax.jit(f)` is by XLA (extra `torch`, and a C++ compiler that PyTorch finds).

    f is pure: arguments and results are trees of tensors, such as params, gradients and states. Arrays of NumPy and
    numbers become tensors, on a CPU; booleans and texts stay as they are, and each has a program of its own. At the
    first call with such shapes and dtypes f runs once, to see what it computes (by `make_fx`), and then PyTorch's
    compiler compiles that, which takes seconds. What is no argument should not change after that call: what a key draws
    stays as it was, so draw outside and hand it in. Inside `torch.vmap` and `torch.func.grad` f runs as it is.
    `torch.compile(f)` alone follows Python's own code, and fails in an optimizer's.

    `options` are those of `torch.compile`, such as `mode="reduce-overhead"` and `backend="aot_eager"`, which needs no
    C++ compiler. It pays where a step is many small operations, or long chains of elementwise ones, as an optimizer's
    are; products take the time that they took.

    Raises:
        ModuleNotFoundError: PyTorch is not there.
        TypeError: an argument holds what is no tensor, array or number, such as a key, or a tensor that requires a
            gradient; f looks at a number, as by `if`.

    >>> import purenet as pn
    >>> net, optimizer = pn.serial(pn.dense(2, 3), pn.tanh, pn.dense(3, 1)), pn.adam(1e-3)
    >>> value_and_grad = pn.value_and_grad(net, pn.mse)
    >>> def step(params, state, x, target):
    ...     E, grads = value_and_grad(params, x, target)
    ...     return E, *optimizer.step(params, grads, state)
    >>> compiled = pn.torch_compile(step)  # E, params, state = compiled(params, state, x, target)
    """
    if not callable(f) or isinstance(f, Layer | Loss | Optimizer):
        raise TypeError(f"torch_compile takes a function of trees, such as net.apply or a step, not {describe(f)}")
    loaded()
    programs: dict[Any, Callable[[list[Any]], Any]] = {}
    split = splitter()

    def compiled(*arguments: Any, **by_name: Any) -> Any:
        """What f gives, as tensors."""
        layout, leaves = split((arguments, by_name))
        if are_transformed(leaves):
            return f(*arguments, **by_name)
        steering = [leaf if isinstance(leaf, _STEERS) else None for leaf in leaves]
        tensors = [as_tensor(leaf) for leaf in leaves if not isinstance(leaf, _STEERS)]
        signature = layout.fill, *steering, *[(tensor.shape, tensor.dtype, tensor.device) for tensor in tensors]
        if signature not in programs:
            programs[signature] = _program(f, layout, steering, tensors, options)
        return programs[signature](tensors)

    return compiled


_STEERS = bool, str  # leaves of arguments that say what f does, and are no numbers


def _program(
    f: Callable[..., Any], layout: Layout, steering: list[Any], examples: list[Any], options: Any
) -> Callable[[list[Any]], Any]:
    """The compiled f, from the tensors in its arguments to its result."""
    results: list[Layout] = []

    def flat(tensors: list[Any]) -> list[Any]:
        left = iter(tensors)
        arguments, by_name = layout.fill([next(left) if each is None else each for each in steering], [])
        result = f(*arguments, **by_name)
        results[:] = [Layout.of(result)]
        return [as_tensor(leaf) for leaf in leaves_of(result)]

    run = program(flat, examples, options)
    (result,) = results
    return lambda tensors: result.fill(run(tensors), [])
