"""What the readers of files share."""

from __future__ import annotations

import contextlib
import os
from typing import IO, Any, TypeAlias

__all__ = ["Source", "is_path", "name_of", "opened"]

Source: TypeAlias = str | os.PathLike[str] | IO[str] | IO[bytes]


def is_path(source: object) -> bool:
    """Tell whether a source is a path rather than an open file."""
    return isinstance(source, (str, os.PathLike))


def name_of(source: Any) -> str:
    """Name a source for an error message."""
    if is_path(source):
        return "standard input" if source == "-" else str(os.fspath(source))
    return str(getattr(source, "name", type(source).__name__))


def opened(source: Any) -> contextlib.AbstractContextManager[Any]:
    """Open a path for reading bytes; a file that is open already stays open.

    Raises:
        OSError: a file that is not there or cannot be read.
    """
    return open(source, "rb") if is_path(source) else contextlib.nullcontext(source)
