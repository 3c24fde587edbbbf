"""Progress of a fit, as it can be shown: a line that moves in a terminal or a notebook, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import os
import sys
import time
import unicodedata
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from itertools import accumulate
from typing import Any, Protocol, TextIO

from whet._checks import as_number
from whet.training.callbacks.base import Callback, Logs

__all__ = ["Progress"]

# Showing takes at most this share of the time, whatever a terminal or a notebook takes for it.
_SHARE = 0.008
_MOVING, _LINES = 0.1, 10.0  # seconds from one update to the next, by default
_LOOK = 0.1  # seconds of steps after which to look at the clock
_BAR, _LEAST_BAR, _MOST_BAR, _NOTCH = 20, 5, 60, 5  # the width of the bar, which changes by notches


class Progress(Callback):
    """Shows how far the training is: epochs, loss and metrics, rows per second and the time left.

    In a terminal one line moves, as wide as that and no wider; in a notebook, one output. In a file or a pipe, lines
    follow each other, without control characters. It takes less than one percent of the time. ``fit(progress=True)``
    uses one.

    Args:
        seconds: From one update to the next: by default 0.1 where a line moves, else 10. The last one always shows.
        stream: Where to; by default standard error, or the notebook.
    """

    def __init__(self, seconds: float | None = None, stream: TextIO | None = None) -> None:
        self.seconds = None if seconds is None else as_number(seconds, "Progress", "seconds", low=0)
        if stream is not None and not hasattr(stream, "write"):
            raise TypeError(f"[Progress] expected stream to be a text file, got {type(stream).__name__}")
        self.stream = stream
        self._screen: _Screen | None = None
        self._news = False

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Starts the clock."""
        self._screen, seconds = _screen_of(self.stream)
        self._seconds = seconds if self.seconds is None else self.seconds
        self._began = self._last = self._looked = time.perf_counter()
        self._spent = 0.0
        self._step, self._news = 0, False
        self._first: int | None = None
        self._numbers: dict[str, float] = {}
        self.every_n_steps = 1

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Notes where the training begins."""
        if self._first is None:
            self._first = self._step = epoch * self.params["steps"]

    def on_step_end(self, step: int, logs: Logs | None = None) -> None:
        """Shows the step if it is time, and chooses when to look again."""
        now = time.perf_counter()
        if self._first is None:  # a fit that was taken up again within an epoch
            self._first = self._step = step - 1
        passed, steps = max(now - self._looked, 1e-9), max(step - self._step, 1)
        # At most ten times as many steps: these may have been quicker than others.
        self.every_n_steps = max(1, min(int(steps * _LOOK / passed), 10 * steps))
        self._looked, self._step = now, step
        self._numbers, self._news = {**self._numbers, **(logs or {})}, True
        if step % self.params["steps"]:  # else the end of the epoch follows, which has more to show
            self._show_if_time(now)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Shows the epoch if it is time."""
        self._step, self._numbers, self._news = (epoch + 1) * self.params["steps"], dict(logs or {}), True
        self._looked = now = time.perf_counter()
        self._show_if_time(now)

    def _close(self) -> None:
        if self._news:
            self._show(time.perf_counter())
        with self._quietly():
            if self._screen is not None:
                self._screen.close()
        self._screen = None

    def _show_if_time(self, now: float) -> None:
        if now - self._last >= self._seconds and self._spent <= _SHARE * (now - self._began):
            self._show(now)

    def _show(self, now: float) -> None:
        if self._screen is None:
            return
        self._news, self._last = False, now
        text = self._fitting(now - self._began)
        with self._quietly():
            self._screen.show(text)
        self._spent += time.perf_counter() - now

    @contextlib.contextmanager
    def _quietly(self) -> Iterator[None]:
        """Inside, a pipe that is closed or a letter that a file does not take ends the showing, not the training."""
        try:
            yield
        except (OSError, ValueError):
            self._screen = None

    def _fitting(self, seconds: float) -> str:
        """The text with a bar that is as wide as the screen has room for."""
        text = _printable(self._text(seconds, _BAR))
        room = None if self._screen is None else self._screen.room()
        if room is None:
            return text
        bar = _BAR + (room - _columns(text)) // _NOTCH * _NOTCH
        return _cut(_printable(self._text(seconds, min(max(bar, _LEAST_BAR), _MOST_BAR))), room)

    def _text(self, seconds: float, width: int) -> str:
        told, total = self.params, self.params["total_steps"]
        done = min(self._step / total, 1.0)
        filled = int(done * width)
        bar = "=" * filled + (">" if filled < width else "") + " " * (width - filled - 1)
        parts = [f"epoch {-(-self._step // told['steps'])}/{told['epochs']} [{bar}] {done:4.0%}"]
        parts += [f"{name}={value:.4g}" for name, value in self._numbers.items() if name != "lr"]
        taken = self._step - (self._first or 0)
        if taken > 0 and seconds > 0:
            parts.append(f"{taken / told['steps'] * told['rows'] / seconds:,.0f} rows/s")
            parts.append(f"{_clock(seconds / taken * (total - self._step))} left" if done < 1 else _clock(seconds))
        return "  ".join(parts)


class _Screen(Protocol):
    def room(self) -> int | None:
        """Columns of a line; None where there is no end to them."""

    def show(self, text: str) -> None:
        """Shows the present state, in place of the one before where that can be."""

    def close(self) -> None:
        """Leaves the last one."""


class _Terminal:
    """One line, written anew."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._before = stream, 0

    def room(self) -> int | None:
        """See `_Screen`."""
        width = 80
        with contextlib.suppress(OSError, ValueError, AttributeError):
            width = os.get_terminal_size(self._stream.fileno()).columns or width
        return width - 1  # a cursor behind the last column would begin a line

    def show(self, text: str) -> None:
        """See `_Screen`."""
        columns = _columns(text)
        self._stream.write("\r" + text + " " * (min(self._before, self.room() or 0) - columns))
        self._stream.flush()
        self._before = columns

    def close(self) -> None:
        """See `_Screen`."""
        if self._before:
            self._stream.write("\n")
            self._stream.flush()


class _Lines:
    """A line each time, for files and pipes."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def room(self) -> int | None:
        """See `_Screen`."""
        return None

    def show(self, text: str) -> None:
        """See `_Screen`."""
        self._stream.write(text + "\n")
        self._stream.flush()

    def close(self) -> None:
        """See `_Screen`."""


class _Notebook:
    """One output of a cell, which its kernel replaces."""

    def __init__(self, display: Callable[..., Any]) -> None:
        self._display, self._handle = display, None

    def room(self) -> int | None:
        """See `_Screen`."""
        return None

    def show(self, text: str) -> None:
        """See `_Screen`."""
        content: Mapping[str, str] = {"text/plain": text}
        if self._handle is None:
            self._handle = self._display(content, raw=True, display_id=True)
        else:
            self._handle.update(content, raw=True)

    def close(self) -> None:
        """See `_Screen`."""


def _screen_of(stream: TextIO | None) -> tuple[_Screen | None, float]:
    """Where to show, and how often."""
    if stream is None:
        ipython = sys.modules.get("IPython")  # in a notebook, it has been imported
        shell = ipython.get_ipython() if ipython is not None else None
        if getattr(shell, "kernel", None) is not None:
            from IPython.display import display

            return _Notebook(display), _MOVING
        stream = sys.stderr
    if stream is None:  # a process without one
        return None, _LINES
    isatty = getattr(stream, "isatty", None)
    if isatty is not None and isatty() and os.environ.get("TERM") != "dumb":
        return _Terminal(stream), _MOVING
    return _Lines(stream), _LINES


def _printable(text: str) -> str:
    return "".join(letter for letter in text if letter.isprintable())


def _width(letter: str) -> int:
    """Columns of a letter in a terminal."""
    if unicodedata.combining(letter):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


def _columns(text: str) -> int:
    return len(text) if text.isascii() else sum(map(_width, text))


def _cut(text: str, columns: int) -> str:
    """As much of the text as so many columns hold."""
    if text.isascii():
        return text[:columns]
    total = list(accumulate(map(_width, text)))
    return text[: bisect_right(total, columns)]


def _clock(seconds: float) -> str:
    """Like 0:07, 12:05 or 3:00:00."""
    whole = round(seconds)
    minutes = f"{whole // 60 % 60:02d}:{whole % 60:02d}"
    return f"{whole // 3600}:{minutes}" if whole >= 3600 else minutes.removeprefix("0")
