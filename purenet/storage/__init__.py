"""Params and runs on disk."""

from purenet.storage.checkpoint import checkpoints, from_dict, load, save, to_dict

__all__ = ["checkpoints", "from_dict", "load", "save", "to_dict"]
