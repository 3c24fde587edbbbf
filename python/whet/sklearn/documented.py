"""Docstrings of estimators that share arguments and attributes: each is written once."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["shares_with"]

_Class = TypeVar("_Class", bound=type)
_ARGUMENTS, _ATTRIBUTES = "    Args:\n", "    Attributes:\n"


def shares_with(base: Any, without: str | None = None) -> Callable[[_Class], _Class]:
    """Completes the docstring of a class by the arguments and attributes of `base`, behind its own.

    Args:
        base: A class whose docstring has attributes.
        without: An argument of `base` that the class does not take.
    """
    before, _, attributes = (base.__doc__ or "").partition(_ATTRIBUTES)
    arguments = before.partition(_ARGUMENTS)[2]
    if without is not None:
        arguments = re.sub(rf" {{8}}{without}: .*\n(?: {{12}}.*\n)*", "", arguments)

    def complete(cls: _Class) -> _Class:
        own, _, have = (cls.__doc__ or "").partition(_ATTRIBUTES)
        if arguments and _ARGUMENTS not in own:
            own = f"{own.rstrip()}\n\n{_ARGUMENTS}"
        text = f"{own.rstrip()}\n{arguments.rstrip()}\n\n{_ATTRIBUTES}{have.rstrip()}\n{attributes}"
        cls.__doc__ = re.sub(r"\n{2,}", "\n\n", text.replace(f"{_ATTRIBUTES}\n", _ATTRIBUTES))
        return cls

    return complete
