"""The array API standard, as an engine has it: what every family of ops stands on."""

from __future__ import annotations

from typing import Any


class Standard:
    """The functions of an array namespace by their own names."""

    def __init__(self, namespace: Any) -> None:
        self.namespace = namespace

    def __getattr__(self, name: str) -> Any:
        """A function of the array API standard."""
        value = getattr(self.namespace, name)
        setattr(self, name, value)  # found at once from now on
        return value
