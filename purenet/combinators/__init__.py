"""Layers made of layers."""

from purenet.combinators.bidirectional import bidirectional
from purenet.combinators.branches import fan_out, keep_rest, on_first, parallel, residual
from purenet.combinators.chain import named, serial
from purenet.combinators.several import pick, swap
from purenet.combinators.wrappers import frozen, map_time, remat, tied

__all__ = [
    "bidirectional",
    "fan_out",
    "frozen",
    "keep_rest",
    "map_time",
    "named",
    "on_first",
    "parallel",
    "pick",
    "remat",
    "residual",
    "serial",
    "swap",
    "tied",
]
