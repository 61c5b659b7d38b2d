"""Data sets and what prepares them."""

from purenet.data.arrays import batches, one_hot, split, standardize
from purenet.data.digits import digits
from purenet.data.mnist import mnist

__all__ = ["batches", "digits", "mnist", "one_hot", "split", "standardize"]
