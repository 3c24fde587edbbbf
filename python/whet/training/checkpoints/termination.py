"""SIGTERM while a fit keeps checkpoints: noted, and passed on once one is written."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Any

from whet import _core

__all__ = ["Termination"]


class Termination:
    """Inside, a SIGTERM ends the engine's call after the step being taken; `deliver` calls the handler that was there.

    In another thread than the main one, or where SIGTERM is ignored or the handler is not Python's, all stays as it is.

    Attributes:
        asked: Whether there was one that is not delivered yet.
    """

    def __init__(self) -> None:
        self.asked = False
        self._position: _core.EpochPosition | None = None
        self._frame: FrameType | None = None
        self._previous: Any = None

    def __enter__(self) -> Termination:
        previous = signal.getsignal(signal.SIGTERM)
        main = threading.current_thread() is threading.main_thread()
        if main and previous not in (None, signal.SIG_IGN):
            self._previous = previous
            signal.signal(signal.SIGTERM, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGTERM, self._previous)
        if self.asked:
            self.deliver()

    def watch(self, position: _core.EpochPosition) -> None:
        """From now on, this is the epoch to stop."""
        self._position = position

    def deliver(self) -> None:
        """Calls the handler that was there before; by default, that ends the process."""
        self.asked = False
        frame, self._frame = self._frame, None
        if self._position is not None:
            self._position.stop = False
        if callable(self._previous):
            self._previous(signal.SIGTERM, frame)
        else:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.asked, self._frame = True, frame
        if self._position is not None:
            self._position.stop = True
