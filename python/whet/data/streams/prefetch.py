"""A thread that makes the next thing while the last one is being used."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Generic, TypeVar

__all__ = ["Prefetched"]

T = TypeVar("T")

_PATIENCE = 5.0  # seconds for what is being read; a generator that hangs is left to end with the process


class _End:
    """What stands for the end, or for the error that ended it."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


class Prefetched(Generic[T]):
    """An iterator whose next item is made in a thread: one is waiting at most. As a context, it ends the thread.

    Args:
        made: Returns what is iterated over; it is called, and closed, in the thread.
    """

    def __init__(self, made: Callable[[], Iterator[T]]) -> None:
        self._made = made
        self._items: queue.SimpleQueue[T | _End] = queue.SimpleQueue()
        self._room = threading.Semaphore(1)
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="whet-reader", daemon=True)

    def __enter__(self) -> Iterator[T]:
        self._thread.start()
        return self._taken()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed = True
        self._room.release()
        self._thread.join(_PATIENCE)

    def _taken(self) -> Iterator[T]:
        while True:
            item = self._items.get()
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            self._room.release()
            yield item
            del item  # before the next one is waited for

    def _run(self) -> None:
        end: BaseException | None = None
        try:
            with contextlib.closing(self._made()) as items:  # type: ignore[type-var]
                while True:
                    self._room.acquire()
                    if self._closed:
                        break
                    try:
                        self._items.put(next(items))
                    except StopIteration:
                        break
        except BaseException as error:
            end = error
        self._items.put(_End(end))
