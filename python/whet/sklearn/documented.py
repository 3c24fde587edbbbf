"""Docstrings of estimators that share arguments and attributes: each is written once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["shares_with"]

_Class = TypeVar("_Class", bound=type)


def shares_with(base: Any) -> Callable[[_Class], _Class]:
    """Completes the docstring of a class by the arguments and attributes of `base`, behind its own."""
    _, of_base = (base.__doc__ or "").split("    Args:\n")
    arguments, attributes = of_base.split("    Attributes:\n")

    def complete(cls: _Class) -> _Class:
        text = cls.__doc__ or ""
        own, _, have = text.partition("    Attributes:\n")
        if "    Args:\n" not in own:
            own = f"{own.rstrip()}\n\n    Args:\n"
        cls.__doc__ = f"{own.rstrip()}\n{arguments}    Attributes:\n{have.rstrip()}\n{attributes}".replace(
            "\n\n\n", "\n\n"
        )
        return cls

    return complete
