"""Whether a chain would take padding for data, because a layer before has kept the lengths or the mask for itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from purenet.core import Layer
from purenet.engine.arrays import holds, is_array
from purenet.values import brief, maker_of

_FORWARD = {"rnn", "lstm", "gru"}
_ATTENTION = {"multi_head_attention", "transformer_block"}
_OVER_TIME = {"global_avg_pool", "global_max_pool", "last_step"}
_WITH_PADDING = {*_FORWARD, *_ATTENTION, *_OVER_TIME, "bidirectional", "stacked"}
_NEW_TIME = {  # after these the second axis is none of time, or another; "" is a layer that somebody wrote
    "flatten", "reshape", "permute", "pick", "swap", "conv", "conv_transpose", "max_pool", "avg_pool",
    "adaptive_avg_pool", "adaptive_max_pool", "upsample", "pixel_shuffle", "pad", "",
}  # fmt: skip
_SUMS = {"add", "mul", "concat"}
_IN_A_ROW = {"serial", "named", "stacked", "frozen", "remat", "tied", "residual", "on_first", "keep_rest"}


def check_padding(who: str, layers: Sequence[Layer[Any]], x: Any) -> None:
    """Check that no layer takes padding for data, where lengths or a mask stand beside x."""
    if type(x) is not tuple or len(x) != 2 or not is_array(x[1]):
        return
    axes, integral = x[1].ndim, holds(x[1], "integral")
    if (axes == 1 and integral) or (axes == 2 and holds(x[1], "bool")) or (axes == 4 and not integral):
        _Walk(who, axes).through(layers, True)


class _Walk:
    """A walk through the layers with what is known of the lengths or the mask.

    It is True while they stand beside the sequence, then the layer that kept them for itself, and None where no padding
    is left, or nothing is known; of several outputs a tuple of these.
    """

    def __init__(self, who: str, axes: int) -> None:
        self.who, self.axes = who, axes

    def through(self, layers: Sequence[Layer[Any]], known: Any) -> Any:
        for layer in layers:
            known = self.after(layer, known)
        return known

    def after(self, layer: Layer[Any], known: Any) -> Any:
        """What is known after a layer."""
        maker, kept = maker_of(layer), isinstance(known, Layer)
        if known is True and maker in ("on_first", "keep_rest"):
            return True
        if maker == "fan_out":
            each = tuple(self.after(part, known) for part in layer.parts)
            return tuple(_kept_by(layer, one) for one in each) if known is True else each
        if type(known) is tuple or maker == "parallel":
            return self._of_several(layer, maker, known)
        if maker in _IN_A_ROW and not (known is True and maker == "stacked"):
            found = self.through(layer.parts, known)
            if kept:
                return known if maker == "residual" else found  # what goes around is as it was
            return found if maker in ("serial", "named") else _kept_by(layer, found)
        if kept and self._mixes(layer, maker):
            self._refuse(known, layer)
        if known is None or maker in _NEW_TIME:
            return None
        return known if kept else layer if maker in _WITH_PADDING else None

    def _of_several(self, layer: Layer[Any], maker: str, known: Any) -> Any:
        """What is known after a layer of several inputs."""
        if maker == "parallel":
            each = known if type(known) is tuple else (None if known is True else known,) * len(layer.parts)
            return tuple(map(self.after, layer.parts, each))
        if maker == "on_first":
            return (self.through(layer.parts, known[0]), *known[1:])
        if maker == "pick" and layer.call is not None and -len(known) <= layer.call.args[0] < len(known):
            return known[layer.call.args[0]]
        if maker in ("serial", "named", "frozen", "remat", "tied"):
            return self.through(layer.parts, known)
        along = -1 if layer.call is None else layer.call.options.get("axis", -1)
        return next((one for one in known if isinstance(one, Layer)), None) if maker in _SUMS and along == -1 else None

    def _mixes(self, layer: Layer[Any], maker: str) -> bool:
        """Whether padding behind a sequence, or what a mask takes out, would change what the layer gives elsewhere."""
        options = {} if layer.call is None else layer.call.options
        if maker in _ATTENTION:
            return not (self.axes == 1 and options.get("causal"))
        if self.axes == 4 or maker not in _WITH_PADDING:  # a mask of pairs is for attention alone
            return False
        return maker not in _FORWARD or any(options.get(each) for each in ("last", "reverse", "return_state"))

    def _refuse(self, taker: Layer[Any], layer: Layer[Any]) -> None:
        one, two = brief(taker.name), brief(layer.name)
        data = "attend without it" if self.axes == 4 else "take padding for data"
        what = "the mask beside x ends" if self.axes == 4 else "the lengths or the mask beside x end"
        raise ValueError(
            f"{self.who}: {what} at {one}, and {two} would {data}: "
            f"write keep_rest({one}), which hands them on, and on_first(...) around what is between the two"
        )


def _kept_by(layer: Layer[Any], known: Any) -> Any:
    """A layer inside that kept the lengths is, for what comes after, the layer around it."""
    return layer if isinstance(known, Layer) else known
