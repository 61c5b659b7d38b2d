"""Data sets and what prepares them."""

from purenet.data.digits import digits

__all__ = ["digits"]
