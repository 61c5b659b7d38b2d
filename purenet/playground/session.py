"""A net that is trained step by step, what there is to see of it, and the program that makes it."""

from __future__ import annotations

import csv
import io
import itertools
import re
import time
from base64 import b64encode
from collections.abc import Iterator
from threading import Lock
from typing import Any

import numpy as np

import purenet as pn
from purenet.examples.boundary import samples
from purenet.examples.late_update import backward

CHOICES = {
    "data": ("xor", "clouds", "moons", "spirals", "circles", "digits", "csv"),
    "activation": ("tanh", "relu", "sigmoid", "leaky_relu", "elu", "gelu", "silu", "softplus", "identity"),
    "loss": ("mse", "mae", "huber", "binary_cross_entropy_with_logits", "hinge", "softmax_cross_entropy"),
    "optimizer": ("sgd", "adam", "rmsprop", "adagrad", "nadam", "lion"),
}
DEFAULT: dict[str, Any] = {
    "data": "xor", "layers": [[3, "tanh"]], "last": "tanh", "loss": "mse", "optimizer": "sgd", "rate": 0.1, "batch": 1,
    "seed": 1, "late": False, "csv": "",
}  # fmt: skip
SIDE = 40  # of the boundary's picture, in points
SHOWN = 6  # rows and columns of a matrix, pictures of a layer's neurons × 2


def checked(given: Any) -> dict[str, Any]:
    """The choices of a page, each of them checked; what is not given is as in DEFAULT."""
    if given is not None and not isinstance(given, dict):
        raise ValueError("The choices are a JSON object.")
    config = {**DEFAULT, **(given or {})}
    if unknown := config.keys() - DEFAULT.keys():
        raise ValueError(f"There is no choice named {', '.join(sorted(unknown))}.")
    for name in ("data", "loss", "optimizer"):
        _among(config[name], CHOICES[name], name)
    _among(config["last"], CHOICES["activation"], "last activation")
    layers = config["layers"]
    if not isinstance(layers, list) or len(layers) > 6:
        raise ValueError("The hidden layers are a list of at most 6.")
    for layer in layers:
        if not isinstance(layer, list) or len(layer) != 2:
            raise ValueError("A hidden layer is a pair: its number of neurons, and its activation.")
        _whole(layer[0], 1, 64, "number of neurons")
        _among(layer[1], CHOICES["activation"], "activation")
    _whole(config["batch"], 1, 2000, "batch size")
    _whole(config["seed"], 0, 2**32 - 1, "seed")
    rate = config["rate"]
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 < rate <= 100:
        raise ValueError(f"The rate is a number above 0, and at most 100, not {rate!r}.")
    if not isinstance(config["late"], bool) or not isinstance(config["csv"], str):
        raise ValueError("The late update is true or false, and the CSV is text.")
    return config


def _among(given: Any, choices: tuple[str, ...], what: str) -> None:
    if given not in choices:
        raise ValueError(f"The {what} is one of {', '.join(choices)}, not {given!r}.")


def _whole(given: Any, low: int, high: int, what: str) -> None:
    if type(given) is not int or not low <= given <= high:
        raise ValueError(f"The {what} is a whole number from {low} to {high}, not {given!r}.")


def read_csv(text: str) -> tuple[Any, Any, list[str]]:
    """(x, labels, classes): numbers, scaled to a mean of 0 and a deviation of 1, and a class in the last column."""
    try:
        numbered = [(i, row) for i, row in enumerate(csv.reader(io.StringIO(text)), 1) if any(map(str.strip, row))]
    except csv.Error as error:
        raise ValueError(f"The CSV cannot be read: {error}.") from error
    if numbered and len(numbered[0][1]) > 1 and not any(map(_is_number, numbered[0][1][:-1])):
        numbered = numbered[1:]  # names of the columns
    if not 2 <= len(numbered) <= 2000:
        raise ValueError(f"The CSV has {len(numbered)} rows of data: it needs 2 to 2000.")
    width = len(numbered[0][1])
    if not 2 <= width <= 33:
        raise ValueError(
            f"The CSV has {width} columns: it needs 1 to 32 of numbers and the class, with commas between."
        )
    for line, row in numbered:
        if len(row) != width:
            raise ValueError(f"Line {line} of the CSV has {len(row)} columns, but the first row of data has {width}.")
        for column, cell in enumerate(row[:-1], 1):
            if not _is_number(cell):
                raise ValueError(f"Line {line}, column {column} of the CSV is {cell[:40]!r}: it must be a number.")
    classes = sorted({row[-1].strip() for _, row in numbered})
    if not 2 <= len(classes) <= 10:
        raise ValueError(f"The last column of the CSV has {len(classes)} different classes: it needs 2 to 10.")
    x = np.array([[float(cell) for cell in row[:-1]] for _, row in numbered])
    x = (x - x.mean(axis=0)) / np.where(x.std(axis=0) > 0, x.std(axis=0), 1)
    return x.astype(np.float32), np.array([classes.index(row[-1].strip()) for _, row in numbered]), classes


def _is_number(cell: str) -> bool:
    try:
        return abs(float(cell)) < 1e30
    except ValueError:
        return False


def data_of(name: str, text: str) -> tuple[Any, Any, list[str], str]:
    """(x, labels, classes), and the code that makes x and labels."""
    if name == "csv":
        x, labels, classes = read_csv(text)
        return x, labels, classes, f"x = np.array({x.tolist()}, np.float32)\nlabels = np.array({labels.tolist()})"
    if name == "digits":
        (x, labels), _ = pn.data.digits()
        return x, labels, list("0123456789"), "(x, labels), _ = pn.data.digits()"
    if name == "xor":
        x, labels = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32), np.array([0, 1, 1, 0])
        return x, labels, ["0", "1"], f"x, labels = np.array({x.tolist()}, np.float32), np.array({labels.tolist()})"
    shape = "xor" if name == "clouds" else name
    x, target = samples(shape, pn.key(0), 200)
    code = f"from purenet.examples.boundary import samples\n\nx, labels = samples({shape!r}, pn.key(0), 200)\n"
    return x, target[:, 0].astype(int), ["0", "1"], f"{code}labels = labels[:, 0].astype(int)"


PROGRAM = '''"""A net of purenet's playground, after {steps} steps."""

import itertools

import numpy as np

import purenet as pn

{data}
target = {target}

net = {net}
loss = {loss}
optimizer = {optimizer}


def batches():
    for epoch in itertools.count():
        yield from pn.data.batches(pn.key(epoch), x, target, size={batch})


{evaluate}

params = net.init(pn.key({seed}))
state = optimizer.init(params)
for x_batch, target_batch in itertools.islice(batches(), {steps}):
    E, grads = evaluate(params, x_batch, target_batch)
    params, state = optimizer.step(params, grads, state)

print("error", loss.apply(net.apply(params, x), target))
pn.save("params.npz", params)
'''


class Session:
    """A net in training, of one tab."""

    def __init__(self, given: Any = None) -> None:
        self.config = config = checked(given)
        self.x, self.labels, self.classes, self.data_code = data_of(config["data"], config["csv"])
        count, is_softmax = len(self.classes), config["loss"] == "softmax_cross_entropy"
        self.outputs = 1 if count == 2 and not is_softmax else count
        column = "labels[:, None].astype(np.float32)" if self.outputs == 1 else f"pn.data.one_hot(labels, {count})"
        hot = self.labels[:, None].astype(np.float32) if self.outputs == 1 else pn.data.one_hot(self.labels, count)
        is_hinge = config["loss"] == "hinge"
        self.target, self.target_code = (2 * hot - 1, f"2 * {column} - 1") if is_hinge else (hot, column)
        sizes = [self.x.shape[1], *(size for size, _ in config["layers"]), self.outputs]
        names = [*(name for _, name in config["layers"]), config["last"]]
        pairs = zip(itertools.pairwise(sizes), names, strict=True)
        self.net = pn.serial(*(part for size, name in pairs for part in (pn.dense(*size), getattr(pn, name))))
        self.loss = getattr(pn, config["loss"])
        self.optimizer = getattr(pn, config["optimizer"])(lr=config["rate"])
        self.params = self.before = self.net.init(pn.key(config["seed"]))
        self.state = self.optimizer.init(self.params)
        self.quick = pn.value_and_grad(self.net, self.loss)
        self.batches = self._batches()
        self.batch: tuple[Any, Any] = next(self._batches())
        self.step, self.lock = 0, Lock()

    def _batches(self) -> Iterator[tuple[Any, ...]]:
        for epoch in itertools.count():
            yield from pn.data.batches(pn.key(epoch), self.x, self.target, size=self.config["batch"])

    def _evaluate(self, params: Any, x: Any, target: Any) -> Any:
        if not self.config["late"]:
            return self.quick(params, x, target)
        return backward(self.net, self.loss, params, x, target, self.config["rate"], True)[:2]

    def advance(self, steps: int, seconds: float, layer: Any) -> dict[str, Any]:
        """Train for this many steps, or for about so long, and tell what there is to see."""
        with self.lock, np.errstate(all="ignore"):
            end, most = time.perf_counter() + seconds, min(steps, 1000)
            while most > 0 or time.perf_counter() < end:
                most -= 1
                self.batch, self.before = next(self.batches), self.params
                _, grads = self._evaluate(self.params, *self.batch)
                self.params, self.state = self.optimizer.step(self.params, grads, self.state)
                self.step += 1
            return self.picture(layer)

    def facts(self) -> dict[str, Any]:
        """What stays as it is while a net is trained."""
        facts = {
            "choices": CHOICES, "config": self.config, "classes": self.classes, "outputs": self.outputs,
            "layers": [part.name for part in self.net.parts], "count": len(self.x),
        }  # fmt: skip
        if self.config["data"] == "digits":
            _, unseen = pn.data.digits()
            return {**facts, "images": _bytes(unseen.x[:40], 0, 1), "labels": unseen.target[:40].tolist()}
        low, high = self._window()
        points = np.pad(self.x, ((0, 0), (0, 1)))[:500, :2]
        return {**facts, "points": points.tolist(), "labels": self.labels[:500].tolist(), "window": [low, high]}

    def _window(self) -> tuple[float, float]:
        middle = 0.5 * (self.config["data"] == "xor")
        edge = float(np.abs(self.x[:, :2] - middle).max()) * 1.15
        return middle - edge, middle + edge

    def picture(self, layer: Any) -> dict[str, Any]:
        """What there is to see after the last step."""
        y = self.net.apply(self.params, self.x)
        E = float(self.loss.apply(y, self.target))
        _, grads, seen = backward(
            self.net, self.loss, self.before, *self.batch, self.config["rate"], self.config["late"]
        )
        right = float((self._classes_of(y) == self.labels).mean())
        sizes = [float(np.sqrt((own.weight**2).mean())) if own else None for own in grads]
        view = self._digits() if self.config["data"] == "digits" else self._plane()
        epoch = self.step * min(self.config["batch"], len(self.x)) // len(self.x)
        return {
            "step": self.step, "epoch": epoch, "error": _number(E), "right": right,
            "gradients": [size if size is None else _number(size) for size in sizes], **view,
            "rule": self._rule(layer, grads, seen),
        }  # fmt: skip

    def _classes_of(self, y: Any) -> Any:
        return (self._share(y) > 0.5)[:, 0].astype(int) if self.outputs == 1 else y.argmax(axis=1)

    def _share(self, y: Any) -> Any:
        """One output as a share of class 1, from 0 to 1."""
        if self.config["loss"] == "binary_cross_entropy_with_logits":
            return pn.sigmoid.apply((), y)
        return (y + 1) / 2 if self.config["loss"] == "hinge" else y

    def _plane(self) -> dict[str, Any]:
        """The output and the neurons over the first two inputs, with the others at their mean."""
        axis = np.linspace(*self._window(), SIDE, dtype=np.float32)
        points = np.zeros((SIDE * SIDE, max(2, self.x.shape[1])), np.float32)
        points[:, 0], points[:, 1] = np.tile(axis, SIDE), np.repeat(axis[::-1], SIDE)
        y, neurons = points[:, : self.x.shape[1]], []
        for part, own in zip(self.net.parts, self.params, strict=True):
            y = part.apply(own, y)
            if not own:
                own_pictures = y.reshape(SIDE, SIDE, -1)[::2, ::2, : 2 * SHOWN].reshape(SIDE * SIDE // 4, -1).T
                neurons.append([_signed(picture) for picture in own_pictures])
        plane = _bytes(self._share(y), 0, 1) if self.outputs == 1 else _bytes(y.argmax(axis=1), 0, 255)
        return {"plane": plane, "neurons": neurons}

    def _digits(self) -> dict[str, Any]:
        """Which digits the unseen images are taken for, and of each neuron its derivative by the mean image."""
        _, unseen = pn.data.digits()
        found, neurons = self._classes_of(self.net.apply(self.params, unseen.x)), []
        for end in range(2, len(self.net.parts) + 1, 2):
            part = pn.serial(*self.net.parts[:end])
            width = (part.shape((64,)) or (0,))[0]
            rows = np.tile(self.x.mean(axis=0), (width, 1))
            _, dx = part.vjp(self.params[:end], rows)[1](np.eye(len(rows), dtype=np.float32))
            neurons.append([_signed(picture) for picture in dx[: 2 * SHOWN]])
        return {"predicted": found[:40].tolist(), "unseen": float((found == unseen.target).mean()), "neurons": neurons}

    def _rule(self, layer: Any, grads: Any, seen: Any) -> dict[str, Any]:
        """The rule of a layer, line by line, with the matrices of the last step in it."""
        index = len(self.net.parts) - 2 if layer is None else layer
        _whole(index, 0, len(self.net.parts) - 1, "layer")
        (x, y, dy, dx), own, part = seen[index], self.before[index], self.net.parts[index]
        if not own:
            slope = part.vjp(own, x)[1](np.ones_like(dy))[1]
            lines: list[list[Any]] = [
                ["Y = f(X)", "f", "X", x, "=", "Y", y],
                ["dE/dX = dE/dY ⊙ f′(X)", "", "dE/dY", dy, "⊙", "f′(X)", slope, "=", "dE/dX", dx],
            ]
        else:
            weight, name, grad, late = own.weight, "Wᵀ", grads[index], self.config["late"]
            if late:
                weight, name = weight - self.config["rate"] * grad.weight, "(W − rate · dE/dW)ᵀ"
            note = ": from weights that were updated already, which is the bug" if late else ""
            lines = [
                ["Y = X · W + B", "", "X", x, "·", "W", own.weight, "+", "B", own.bias[None], "=", "Y", y],
                ["dE/dW = Xᵀ · dE/dY", "", "Xᵀ", x.T, "·", "dE/dY", dy, "=", "dE/dW", grad.weight],
                ["dE/dB = Σ dE/dY over the rows", "Σ", "dE/dY", dy, "=", "dE/dB", grad.bias[None]],
                [f"dE/dX = dE/dY · {name}{note}", "", "dE/dY", dy, "·", name, weight.T, "=", "dE/dX", dx],
            ]
        return {"layer": index, "name": part.name, "lines": [[_shown(item) for item in line] for line in lines]}

    def program(self) -> str:
        """The Python program that makes this net."""
        config, evaluate = self.config, "evaluate = pn.value_and_grad(net, loss)"
        if config["late"]:
            call = f"backward(net, loss, params, x, target, {config['rate']}, late=True)[:2]"
            source = "from purenet.examples.late_update import backward"
            evaluate = f"{source}\n\n\ndef evaluate(params, x, target):\n    return {call}\n"
        return PROGRAM.format(
            steps=self.step, data=self.data_code, target=self.target_code, net=_code(self.net), loss=_code(self.loss),
            optimizer=_code(self.optimizer), batch=config["batch"], seed=config["seed"], evaluate=evaluate,
        )  # fmt: skip

    def npz(self) -> bytes:
        """The params as a file that `pn.load(path, like=net.init(key))` reads."""
        file = io.BytesIO()
        np.savez(file, **pn.to_dict(self.params))  # type: ignore[arg-type]
        return file.getvalue()


def _code(value: Any) -> str:
    """The code that makes a value of purenet, as its repr shows it, with `pn.` before each name."""
    return re.sub(r"\b([a-z]\w*)\b(?!=)", r"pn.\1", repr(value))


def _shown(item: Any) -> Any:
    """A matrix as its shape and its first rows and columns; text as it is."""
    if isinstance(item, str):
        return item
    rows = [[_number(float(value)) for value in row[:SHOWN]] for row in item[:SHOWN]]
    return {"shape": list(item.shape), "rows": rows}


def _number(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _signed(picture: Any) -> str:
    """Bytes around 128, which is 0, in base64."""
    top = float(np.abs(np.nan_to_num(picture)).max()) or 1.0
    return _bytes(picture / top, -1, 1)


def _bytes(picture: Any, low: float, high: float) -> str:
    """Numbers from low to high as bytes, in base64."""
    scaled = np.nan_to_num((np.asarray(picture, np.float32) - low) / (high - low) * 255, nan=127.0)
    return b64encode(np.clip(scaled, 0, 255).astype(np.uint8).tobytes()).decode()
