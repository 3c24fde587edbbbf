"""What arguments may be: the types of argparse, which say what was expected, and arguments of several commands."""

from __future__ import annotations

import argparse
import contextlib
import re
from typing import Any, TypeAlias

__all__ = [
    "FILE",
    "STREAM",
    "TABLE",
    "TABLES",
    "Commands",
    "batch",
    "count",
    "fraction",
    "path",
    "rate",
    "seed",
    "widths",
]

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

STREAM = "-"
TABLES = (".csv", ".csv.gz", ".npz", ".parquet", ".pq")

_MOST = 2**62  # what the compiled core surely takes


def count(value: str) -> int:
    """A number of things."""
    return _whole(value, 1, "a whole number of at least 1")


def seed(value: str) -> int:
    """A seed."""
    return _whole(value, 0, "a whole number of at least 0", 2**64 - 1)


def _whole(value: str, least: int, what: str, most: int = _MOST) -> int:
    if not re.fullmatch(r"[0-9]{1,4000}", value) or int(value) < least:
        raise argparse.ArgumentTypeError(f"expected {what}, got {value!r}")
    if int(value) > most:
        raise argparse.ArgumentTypeError(f"expected {what} and at most {most}, got {value!r}")
    return int(value)


def batch(value: str) -> int | str:
    """Rows of a step."""
    return value if value == "auto" else _whole(value, 1, "auto or a whole number of at least 1")


def rate(value: str) -> float:
    """A learning rate."""
    with contextlib.suppress(ValueError):
        if 0 < float(value) < float("inf"):
            return float(value)
    raise argparse.ArgumentTypeError(f"expected a positive number, got {value!r}")


def fraction(value: str) -> float:
    """A share."""
    with contextlib.suppress(ValueError):
        if 0 < float(value) < 1:
            return float(value)
    raise argparse.ArgumentTypeError(f"expected a number between 0 and 1, got {value!r}")


def path(value: str) -> str:
    """The name of a file."""
    if not value:
        raise argparse.ArgumentTypeError("expected the name of a file or -, got nothing")
    return value


def widths(value: str) -> tuple[int, ...]:
    """Widths of hidden layers."""
    return tuple(_whole(width, 1, "widths such as 128,128") for width in value.split(",")) if value else ()


TABLE: dict[str, Any] = {
    "type": path,
    "metavar": "TABLE",
    "help": "a CSV file with a header, gzipped or not, or a Parquet or npz file; - is CSV from standard input",
}
FILE: dict[str, Any] = {"type": path, "metavar": "m.whet", "help": "a file written by whet train; - is standard input"}
