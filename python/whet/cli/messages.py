"""What is printed: lines of results, and messages on standard error."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from whet.data import Dataset
    from whet.tabular import TabularModel
    from whet.training.history import History

__all__ = [
    "describe",
    "describe_history",
    "describe_network",
    "describe_task",
    "discard_output",
    "line",
    "message_of",
    "say",
    "warnings_as_messages",
    "watched",
]

# The name of the function that found an error, which says little to who did not call it; an environment variable does.
_WHERE = re.compile(r"^\[(?!WHET_)\w+\] ")


def describe(table: Dataset) -> str:
    """A table in words."""
    return re.sub(r"^Dataset\((.*)\)$", r"\1", repr(table))


def describe_task(model: TabularModel) -> str:
    """What a model learns."""
    return f"classification, {len(model.classes_)} classes" if model.task == "classification" else model.task


def describe_network(model: TabularModel) -> str:
    """A model's layers."""
    shapes = [array.shape for array in model.network.state_dict().values()]
    widths = [str(shape[1]) for shape in shapes if len(shape) == 2] + [str(shapes[-1][0])] if shapes else []
    number = sum(array.size for array in model.network.state_dict().values())
    return f"{type(model.network).__name__} {'-'.join(widths)}, {number:,} parameters"


def describe_history(history: History) -> str:
    """A training in words."""
    losses = history["loss"]
    epochs = f"{len(losses)} epoch{'' if len(losses) == 1 else 's'}"
    resumed = "" if history.resumed_at is None else f", the last of them from step {history.resumed_at} on,"
    return (
        f"{epochs}{resumed} in {history.seconds:.1f} s, "
        f"loss {losses[0]:.4g} at first, {losses[-1]:.4g} at last, on the training rows"
    )


def describe_layers(history: History) -> dict[str, str]:
    """What the last epoch recorded of each layer, in words by name."""
    found: dict[str, list[str]] = {}
    for kind, layers in history.layers.items():
        for name, numbers in layers.items():
            found.setdefault(name, []).append(f"{kind.replace('_', ' ')} {numbers[-1]:.3g}")
    return {name: ", ".join(words) for name, words in found.items()}


def watched() -> bool:
    """Tell whether someone looks at standard error, where a progress bar goes."""
    return sys.stderr is not None and sys.stderr.isatty()


def line(name: str, value: str, stream: IO[str] | None = None) -> None:
    """Print a result."""
    print(f"{name:<23} {value}".rstrip(), file=stream)


def say(message: str) -> None:
    """Print a message."""
    print(f"whet: {message}", file=sys.stderr)


def message_of(error: Exception) -> str:
    """Put an error into one line."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{os.fsdecode(error.filename)}: {error.strerror}"
    message = " ".join(str(error).split())
    return _WHERE.sub("", message) or type(error).__name__


@contextlib.contextmanager
def warnings_as_messages() -> Iterator[None]:
    """Show warnings in one line each on standard error."""
    import warnings

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        say("warning: " + _WHERE.sub("", str(message)))

    with warnings.catch_warnings():
        from whet.errors import WhetWarning

        warnings.simplefilter("always", WhetWarning)
        warnings.showwarning = show
        yield


def discard_output() -> None:
    """Send what is still buffered nowhere, so that Python does not complain at exit."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
