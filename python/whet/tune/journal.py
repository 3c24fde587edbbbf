"""The journal of a search: a line of JSON for each thing that is done, on disk before the next begins."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
from types import TracebackType
from typing import IO, Any

from whet._checks import as_path

__all__ = ["Journal", "NoJournal", "plain"]

Record = dict[str, Any]


def plain(value: Any) -> Any:
    """A value as JSON holds it; what it does not know becomes text, without addresses in memory."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (tuple, list)):
        return [plain(each) for each in value]
    if isinstance(value, dict):
        return {str(name): plain(each) for name, each in value.items()}
    name = getattr(value, "__qualname__", None)
    return name if isinstance(name, str) else re.sub(r" at 0x[0-9a-f]+", "", repr(value))


class NoJournal:
    """What a search asks of its journal; nothing is kept."""

    def __enter__(self) -> list[Record]:
        return []

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def append(self, record: Record) -> None:
        """Adds what is done."""


class Journal(NoJournal):
    """A journal in a file, whose first line says of which search it is.

    Args:
        path: The file; it is made if it is not there.
        search: What the search is of.

    Raises:
        TypeError: If `path` is no path.
    """

    def __init__(self, path: str | os.PathLike[str], search: Record) -> None:
        self._path = as_path(path, "search")
        self._search = plain(search)

    def __enter__(self) -> list[Record]:
        """Opens it. Returns what was done before; a last line that was torn off is cut away.

        Raises:
            OSError: If the file cannot be written.
            ValueError: If it is no journal, or of another search.
            RuntimeError: If another search writes to it.
        """
        with contextlib.ExitStack() as stack:
            self._file: IO[bytes] = stack.enter_context(open(self._path, "a+b"))
            self._lock()
            records = self._read()
            if not records:
                self.append({"search": self._search})
                self._sync_folder()
            self._stack = stack.pop_all()
        return records[1:]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def append(self, record: Record) -> None:
        """Adds a line, which is on disk when this returns."""
        self._file.write(json.dumps(plain(record)).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RuntimeError(f"[search] another search is writing to {self._path!r}") from None
        except OSError:
            pass  # a file system without locks

    def _read(self) -> list[Record]:
        self._file.seek(0)
        text = self._file.read()
        whole = text.rfind(b"\n") + 1
        records = [self._parsed(i, line) for i, line in enumerate(text[:whole].splitlines(), 1)]
        if records:
            self._check(records[0])
        elif text and not b'{"search": '.startswith(text[:11]):
            raise ValueError(f"[search] expected a journal of a search, got {self._path!r}")
        if whole < len(text):
            self._file.truncate(whole)
        return records

    def _parsed(self, number: int, line: bytes) -> Record:
        try:
            record = json.loads(line)
        except ValueError:
            record = None
        if not isinstance(record, dict):
            raise ValueError(f"[search] expected a journal of a search: line {number} of {self._path!r} is damaged")
        return record

    def _check(self, first: Record) -> None:
        before = first.get("search")
        if not isinstance(before, dict):
            raise ValueError(f"[search] expected a journal of a search, got {self._path!r}")
        now = json.loads(json.dumps(self._search))
        other = [name for name in {**before, **now} if before.get(name) != now.get(name)]
        if other:
            raise ValueError(
                f"[search] expected the journal of this search; {self._path!r} is of one with other {', '.join(other)}"
            )

    def _sync_folder(self) -> None:
        folder = os.open(os.path.dirname(os.path.abspath(self._path)), os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
