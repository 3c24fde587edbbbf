"""Models and lines, from and to files or standard streams."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any

from whet.cli.arguments import STREAM

if TYPE_CHECKING:
    from whet.tabular import TabularModel

__all__ = ["check_writable", "load_table_model", "open_model", "output", "save"]


def load_table_model(path: str) -> TabularModel:
    """The model of a table in a file."""
    from whet.nn import Module
    from whet.tabular import TabularModel

    model = open_model(path)
    if not isinstance(model, TabularModel):
        given = "a network alone" if isinstance(model, Module) else f"{type(model).__name__}, for Python alone"
        raise ValueError(f"{path}: expected a model of a table, written by whet train; got {given}")
    return model


def open_model(path: str) -> Any:
    """The model in a file, or from standard input."""
    from whet.models import load

    if path != STREAM:
        with open(path, "rb") as file:
            _check_model(file.read(9), path)
        return load(path)
    if sys.stdin is None:
        raise ValueError("standard input is closed; expected a model there")
    content = sys.stdin.buffer.read()
    _check_model(content, "standard input")
    with _temporary() as name:
        with open(name, "wb") as stream:
            stream.write(content)
        try:
            return load(name)
        except ValueError as error:
            raise ValueError(str(error).replace(repr(name), "standard input")) from None


def _check_model(start: bytes, where: str) -> None:
    """Say in plain words what is no model file at all: those begin with eight bytes of length and a brace."""
    if start[8:9] != b"{":
        what = "something else" if start else "nothing"
        raise ValueError(f"{where}: expected a model file, written by whet train or save; got {what}")


def save(model: TabularModel, path: str) -> None:
    """Write a model to a file, or standard output."""
    if path != STREAM:
        model.save(path)
        return
    with _temporary() as file:
        model.save(file)
        with open(file, "rb") as stream:
            sys.stdout.buffer.write(stream.read())


@contextlib.contextmanager
def _temporary() -> Iterator[str]:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        yield os.path.join(folder, "m.whet")


@contextlib.contextmanager
def output(path: str) -> Iterator[IO[str]]:
    """Lines to a file, or standard output."""
    if path == STREAM:
        check_writable(path)
        yield sys.stdout
        return
    with open(path, "w", encoding="utf-8", newline="") as file:
        yield file


def check_writable(path: str | None) -> None:
    """Find out before a long training that its result could not be written."""
    if path == STREAM and sys.stdout is None:
        raise ValueError("standard output is closed; --out FILE writes to a file")
    if path in (None, STREAM):
        return
    folder = os.path.dirname(os.path.abspath(str(path)))
    if not os.path.isdir(folder):
        raise FileNotFoundError(2, "No such directory", folder)
    if os.path.isdir(str(path)):
        raise IsADirectoryError(21, "Is a directory", path)
    if not os.access(folder, os.W_OK):
        raise PermissionError(13, "Permission denied", folder)
