"""Data sets and what prepares them."""

from purenet.data.arrays import batches, one_hot, split, standardize
from purenet.data.digits import digits

__all__ = ["batches", "digits", "one_hot", "split", "standardize"]
