"""Single layers, forward and back, beside PyTorch's own: so that none is slow unseen.

A run is y and pullback from the layer's `vjp`, and the gradients of the params and of x from one dE/dY. PyTorch does
the same by its module and by autograd, from the same weights; the two agree before they are timed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

import purenet as pn
from benchmarks.contest import OURS, DisagreementError, compete
from benchmarks.peers import missing
from benchmarks.rows import Options, measured

ON_TORCH = "purenet on PyTorch"
COMPILED, TORCH_COMPILED = "purenet on PyTorch, compiled", "PyTorch, compiled"


class Single(NamedTuple):
    """A layer, the shape of its x, and PyTorch's module of it, made from the module torch.nn.

    Fields:
        first: whether the module takes channels first.
        ids: of an embedding, how many ids there are.
        compiled: whether the compiled ways take part; PyTorch compiles no recurrent module.
    """

    title: str
    layer: Any
    shape: tuple[int, ...]
    module: Callable[[Any], Any]
    first: bool = False
    ids: int = 0
    key: Any = None
    compiled: bool = True


IMAGES = (32, 28, 28, 64)
ROWS = (128, 1024)


def every() -> list[Single]:
    return [
        *(Single(f"{name} of 128×1024", getattr(pn, name), ROWS, lambda nn, m=module: getattr(nn, m)())
          for name, module in ACTIVATIONS.items()),
        Single("softmax of 128×1024", pn.softmax, ROWS, lambda nn: nn.Softmax(-1)),
        Single("dense, 1024 to 1024, of 128 rows", pn.dense(1024, 1024), ROWS, lambda nn: nn.Linear(1024, 1024)),
        Single("layer_norm of 128×1024", pn.layer_norm(1024), ROWS, lambda nn: nn.LayerNorm(1024)),
        Single("rms_norm of 128×1024", pn.rms_norm(1024), ROWS, lambda nn: nn.RMSNorm(1024)),
        Single("batch_norm of 128×1024", pn.batch_norm(1024), ROWS, lambda nn: nn.BatchNorm1d(1024), key=pn.key(0)),
        Single("batch_norm of 32 images, 28×28×64", pn.batch_norm(64), IMAGES, lambda nn: nn.BatchNorm2d(64), True, key=pn.key(0)),
        Single("group_norm of 32 images, 28×28×64", pn.group_norm(8, 64), IMAGES, lambda nn: nn.GroupNorm(8, 64), True),
        Single("conv 3×3, 64 to 64, of 32 images", pn.conv(64, 64, 3), IMAGES, lambda nn: nn.Conv2d(64, 64, 3), True),
        Single("conv 3×3, 4 groups, of 32 images", pn.conv(64, 64, 3, groups=4), IMAGES, lambda nn: nn.Conv2d(64, 64, 3, groups=4), True),
        Single("depthwise conv 3×3 of 32 images", pn.conv(64, 64, 3, groups=64), IMAGES, lambda nn: nn.Conv2d(64, 64, 3, groups=64), True),
        Single("conv_transpose 2×2, stride 2", pn.conv_transpose(64, 32, 2, stride=2), IMAGES, lambda nn: nn.ConvTranspose2d(64, 32, 2, stride=2), True),
        Single("max_pool 2×2 of 32 images", pn.max_pool(2), IMAGES, lambda nn: nn.MaxPool2d(2), True),
        Single("avg_pool 2×2 of 32 images", pn.avg_pool(2), IMAGES, lambda nn: nn.AvgPool2d(2), True),
        Single("embedding, 10,000 by 128, of 32×128 ids", pn.embedding(10_000, 128), (32, 128), lambda nn: nn.Embedding(10_000, 128), ids=10_000),
        Single("lstm, 64 units, 32×100×64", pn.lstm(64, 64), (32, 100, 64), lambda nn: First(nn.LSTM(64, 64, batch_first=True)), compiled=False),
        Single("gru, 64 units, 32×100×64", pn.gru(64, 64), (32, 100, 64), lambda nn: First(nn.GRU(64, 64, batch_first=True)), compiled=False),
    ]  # fmt: skip


ACTIVATIONS = {
    "relu": "ReLU", "tanh": "Tanh", "sigmoid": "Sigmoid", "elu": "ELU", "silu": "SiLU", "gelu": "GELU", "mish": "Mish",
    "softplus": "Softplus", "leaky_relu": "LeakyReLU", "hard_swish": "Hardswish",
}  # fmt: skip


class First:
    """A recurrent module, which gives its state beside Y."""

    def __init__(self, module: Any) -> None:
        self.module, self.parameters = module, module.parameters

    def __call__(self, x: Any) -> Any:
        return self.module(x)[0]


def rows(options: Options) -> Iterator[dict[str, Any]]:
    for single in every():
        single = single._replace(shape=(2, *single.shape[1:])) if options.quick else single
        absent = {name: lacks for name in (ON_TORCH, "PyTorch") if (lacks := missing(name))}
        runs = contenders(single) if not absent else {OURS: ours(single, *start(single))}
        agree(single.title, runs)
        times = compete(runs, options.pace)
        yield measured("layers", "layers", single.title, options.threads, "s", times, absent)


def start(single: Single) -> tuple[Any, Any]:
    """Params and x."""
    params = single.layer.init(pn.key(0), single.shape[1:] if not single.ids else None)
    x = pn.random.normal(pn.key(1), single.shape)
    return params, (np.abs(x * 1e4).astype(np.int64) % single.ids if single.ids else x)


def ours(single: Single, params: Any, x: Any, compile_: Callable[[Any], Any] = lambda f: f) -> Callable[[], Any]:
    dy = dy_like(single.layer.vjp(params, x, single.key)[0])

    @compile_
    def both(params: Any, x: Any, dy: Any) -> Any:
        y, pullback = single.layer.vjp(params, x, single.key)
        return y, *pullback(dy, not single.ids)

    return lambda: both(params, x, dy)


def contenders(single: Single) -> dict[str, Callable[[], Any]]:
    """Ours on NumPy and on tensors, and PyTorch's module, all from the module's weights."""
    import torch

    torch.manual_seed(0)
    module, (params, x) = single.module(torch.nn), start(single)
    inner = getattr(module, "module", module)
    if pn.tree.leaves(params):
        net = pn.serial(single.layer)
        state = {f"0.{name}": value for name, value in inner.state_dict().items()}
        params = pn.from_torch_state_dict(state, (params,), net)[0]
    at = torch.tensor(x)
    at = at.movedim(-1, 1).contiguous(memory_format=torch.channels_last) if single.first else at
    dy = dy_like(module(at).detach())

    def run(module: Any = module) -> Any:
        given = at if single.ids else at.detach().requires_grad_()
        y = module(given)
        wanted = [*([] if single.ids else [given]), *module.parameters()]
        return y.detach(), torch.autograd.grad(y, wanted, dy)[0]

    there = pn.to_engine((params, x), "torch")
    found = {OURS: ours(single, params, x), ON_TORCH: ours(single, *there), "PyTorch": run}
    if single.compiled:
        compiled = torch.compile(module)
        found |= {COMPILED: ours(single, *there, pn.torch_compile), TORCH_COMPILED: lambda: run(compiled)}
    return found


def dy_like(y: Any) -> Any:
    """A dE/dY in which nothing cancels: Y itself, and a bit."""
    return y + 0.5


def agree(title: str, runs: dict[str, Callable[[], Any]]) -> None:
    """Check that sums of squares of Y, in which the order of axes does not matter, are the same."""
    found = {name: float((run()[0] ** 2).mean()) for name, run in runs.items()}
    for name, value in found.items():
        if not abs(value - found[OURS]) <= 1e-4 * abs(found[OURS]):
            raise DisagreementError(f"{title}: the mean of Y² is {value:g} in {name}, but {found[OURS]:g} in {OURS}")
