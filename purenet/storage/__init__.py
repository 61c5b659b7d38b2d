"""Params and runs on disk."""

from purenet.storage.callbacks import checkpoint_best, csv_log, log_to
from purenet.storage.checkpoint import checkpoints, from_dict, load, save, to_dict

__all__ = ["checkpoint_best", "checkpoints", "csv_log", "from_dict", "load", "log_to", "save", "to_dict"]
