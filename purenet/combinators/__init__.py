"""Layers made of layers."""

from purenet.combinators.branches import fan_out, parallel, residual
from purenet.combinators.chain import named, serial
from purenet.combinators.wrappers import frozen, map_time, remat, tied

__all__ = ["fan_out", "frozen", "map_time", "named", "parallel", "remat", "residual", "serial", "tied"]
