"""The array API standard, as an engine has it: what every family of ops stands on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any


class Standard:
    """The functions of an array namespace by their own names."""

    def __init__(self, namespace: Any) -> None:
        self.namespace = namespace
        own = dir(type(self))
        # not by __getattr__, which would make each op slower to find
        vars(self).update({name: value for name, value in vars(namespace).items() if name not in own})

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """A function of the array API standard."""
