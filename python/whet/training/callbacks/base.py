"""Callbacks: objects whose methods `fit` calls between epochs or steps, with Keras' names, arguments and rules.

To add one: a subclass of `Callback` here, in monitors.py if it watches a number, or in a file of its own; and its name
in whet/callbacks.py.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from whet._checks import as_count, as_flag, as_name, as_number, as_path
from whet.training.rates import LearningRates

if TYPE_CHECKING:
    from whet.training.engine import Continuation
    from whet.training.model import Model

__all__ = [
    "CSVLogger",
    "Callback",
    "LambdaCallback",
    "LearningRateScheduler",
    "Pause",
    "Run",
    "TerminateOnNaN",
    "check",
]

Logs = Mapping[str, float]


class Callback:
    """The base of callbacks. A subclass writes the methods that it needs; each does nothing here.

    `fit` calls them in the order of the callbacks that it was given. Epochs count from 0. An epoch is one call of the
    compiled core, unless a callback asks for calls between steps: `on_step_end` then follows as many steps as its
    `every_n_steps` says. Where the optimizer keeps an average of the parameters, the model holds it in `on_epoch_end`
    and `on_train_end`, as it does for evaluation.

    To end the training after this epoch, or this step, set ``self.model.stop_training = True``. Parameters can be read
    at any time, and written in `on_train_end`; a fit holds them before that. What a callback raises ends the training
    and comes out of `fit`; the model then stands at a whole step and `model.history` has the epochs so far.

    Attributes:
        model: The nn.Module that is trained, from `on_train_begin` on. Its `history` has the epochs so far.
        params: From `on_train_begin` on, what is to be done: "epochs", "steps" of an epoch, "total_steps" unless
            something ends the training before, "rows", "batch_rows", and, as text, "loss" and "optimizer".
        every_n_steps: Steps from one call of `on_step_end` to the next; None for no calls. It may change.
    """

    model: Any
    params: Mapping[str, Any] = MappingProxyType({})
    every_n_steps: int | None = None
    _training_run: Run | None = None
    _kept: tuple[str, ...] = ()  # attributes that a fit which is resumed needs

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Called before the first epoch; `logs` is empty."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Called when the training ends, unless an error ends it; `logs` are those of the last epoch."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Called before each epoch; `logs` is empty."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Called after each epoch; `logs` has what the history has of it: "loss", "lr", "val_loss" and so on."""

    def on_step_end(self, step: int, logs: Logs | None = None) -> None:
        """Called where the number of steps so far, `step`, is a multiple of `every_n_steps`, if that is a number.

        `logs` has "loss", the mean of this epoch so far, and "lr", the learning rate of the next step.
        """

    def state(self) -> dict[str, Any]:
        """What this callback has to remember, for the checkpoints of a fit: numbers, text, None, lists, mappings by
        name and NumPy arrays. An array that changes in place is to be copied.
        """
        return {name: getattr(self, name) for name in self._kept}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Takes back what `state` returned in a fit that this one resumes; tuples have become lists.

        Called after `on_train_begin`. The next call is `on_epoch_end` of the epoch in which the fit stopped, or
        `on_epoch_begin` of the one after it.
        """
        for name in self._kept:
            setattr(self, name, state[name])

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next step, of parameters in no group. Setting it multiplies all others alike.

        Raises:
            RuntimeError: Before the callback is given to a fit.
            ValueError: If it is set where a schedule is at 0.
        """
        return self._rates().current

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        self._rates().set(as_number(value, type(self).__name__, "learning_rate", low=0))

    def _rates(self) -> LearningRates:
        if self._training_run is None:
            raise RuntimeError(f"[{type(self).__name__}] has no learning rate before it is given to a fit")
        return self._training_run.rates

    def _close(self) -> None:
        """Called however the training ends, also by an error."""

    def _check_names(self, directions: Mapping[str, bool | None]) -> None:
        """Raises ValueError if the names of the history, each with whether greater is better, are not enough."""


class Run:
    """One training and its callbacks.

    Args:
        model: What is trained.
        callbacks: Those that `fit` was given.
        rates: Learning rates, which they may set.
        params: See `Callback`.
        shown: Those of the fit itself, which remember nothing.
        continuation: What a Trainer would go on from; there until the fit has ended.
    """

    def __init__(
        self,
        model: Model,
        callbacks: Sequence[Callback],
        rates: LearningRates,
        params: Mapping[str, Any],
        shown: Sequence[Callback] = (),
        continuation: Callable[[], Continuation] | None = None,
    ) -> None:
        self.model = model
        self.callbacks = callbacks
        self.rates = rates
        self.resumed = False
        self.continuation = continuation
        self._params = params
        self._all = (*callbacks, *shown)
        self._of_steps: list[Callback] = []
        self._asked: str | None = None  # who asked for an end between steps
        self._logs: Logs = {}

    def state(self) -> list[dict[str, Any]]:
        """What the callbacks have to remember."""
        return [callback.state() for callback in self.callbacks]

    def load_state(self, states: Sequence[Mapping[str, Any]]) -> None:
        """Gives callbacks what they had, and the logs of the last epoch."""
        for callback, state in zip(self.callbacks, states, strict=True):
            callback.load_state(state)
        self._logs = {name: numbers[-1] for name, numbers in (self.model.history or {}).items()}

    def begin(self, resumed: bool = False) -> None:
        """Before the first epoch, or the first that a fit takes up again."""
        self.resumed = resumed
        if self._all:
            self.model.stop_training = False
        for callback in self._all:
            callback.model, callback._training_run, callback.params = self.model, self, self._params
        for callback in self._all:
            callback.on_train_begin({})
        self._of_steps = [callback for callback in self._all if callback.every_n_steps is not None]

    def begin_epoch(self, epoch: int) -> None:
        """Before each epoch."""
        for callback in self._all:
            callback.on_epoch_begin(epoch, {})

    def steps(self, most: int, taken: int) -> int:
        """How many steps the engine may take, after those taken, until a callback is to be called."""
        for callback in self._of_steps:
            if callback.every_n_steps is not None:
                as_count(callback.every_n_steps, type(callback).__name__, "every_n_steps")  # it may have changed
                most = min(most, callback.every_n_steps - taken % callback.every_n_steps)
        return most

    def after_steps(self, step: int, loss: Callable[[], float]) -> bool:
        """Between calls of the engine. Returns whether callbacks that remember something were called."""
        due = [each for each in self._of_steps if each.every_n_steps is not None and step % each.every_n_steps == 0]
        if not due:
            return False
        self.rates.steps = step
        mean = loss()
        for callback in due:
            callback.on_step_end(step, {"loss": mean, "lr": self.rates.current})
            if self.model.stop_training and self._asked is None:
                self._asked = type(callback).__name__
        return any(callback in self.callbacks for callback in due)

    @property
    def is_asked_to_end(self) -> bool:
        """Whether a callback asked for an end between steps."""
        return self._asked is not None

    def end_epoch(self, epoch: int, numbers: Logs) -> str | None:
        """After each epoch: the name of the first callback that asks for an end, or None."""
        if not self._all:
            return None
        self._logs = {name: float(number) for name, number in numbers.items()}
        # One may have asked already, in another of its methods.
        stopped_by = self._asked or ("stop_training" if self.model.stop_training else None)
        for callback in self._all:
            callback.on_epoch_end(epoch, dict(self._logs))
            if self.model.stop_training and stopped_by is None:
                stopped_by = type(callback).__name__
        return stopped_by

    def close(self) -> None:
        """However the training ends."""
        for callback in self._all:
            callback._close()
        self.continuation = None

    def end(self) -> None:
        """After the last epoch. Callbacks are let go, for they have this: nothing waits for the garbage collector."""
        for callback in self._all:
            callback.on_train_end(dict(self._logs))
        self.callbacks = self._all = ()
        self._of_steps = []


def check(callbacks: object) -> tuple[Callback, ...]:
    """The callbacks that a fit was given: one, several, or None.

    Raises:
        TypeError: If one of them is no `Callback`, or has methods for batches.
    """
    if callbacks is None:
        return ()
    several = (callbacks,) if isinstance(callbacks, Callback) else callbacks
    if not isinstance(several, Sequence) or isinstance(several, str):
        raise TypeError(f"[fit] expected callbacks to be a sequence of whet.callbacks, got {type(several).__name__}")
    for each in several:
        if not isinstance(each, Callback):
            hint = (
                " itself: make one, with parentheses" if isinstance(each, type) and issubclass(each, Callback) else ""
            )
            name = each.__name__ if isinstance(each, type) else type(each).__name__
            raise TypeError(f"[fit] expected callbacks to be objects of whet.callbacks.Callback, got {name}{hint}")
        for method in _OF_BATCHES:
            if hasattr(each, method):
                raise TypeError(
                    f"[fit] expected callbacks without {method}, which fit never calls, got {type(each).__name__}; "
                    "on_step_end is called every_n_steps steps, and whet.Trainer takes batches one by one"
                )
        if each.every_n_steps is not None:
            as_count(each.every_n_steps, type(each).__name__, "every_n_steps")
    return tuple(several)


_OF_BATCHES = ("on_batch_begin", "on_batch_end", "on_train_batch_begin", "on_train_batch_end")


class LearningRateScheduler(Callback):
    """Sets the learning rate before every epoch; other groups keep the ratio of their rates to it.

    The objects of whet.schedules change a rate, or any other number of an optimizer, at every step.

    Args:
        schedule: A function of the epoch, from 0, and the present rate, that returns the new one.
    """

    def __init__(self, schedule: Callable[[int, float], float]) -> None:
        if not callable(schedule):
            raise TypeError(f"[LearningRateScheduler] expected a function, got {type(schedule).__name__}")
        self.schedule = schedule

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Sets the rate."""
        self.learning_rate = self.schedule(epoch, self.learning_rate)


class TerminateOnNaN(Callback):
    """Lets a fit return where the loss, a gradient or a parameter becomes NaN or infinite.

    Without this callback such a fit raises `whet.NonFiniteError`. Either way the model has the parameters before the
    step; with it, ``history.stopped_by`` is "TerminateOnNaN".
    """


class Pause(Callback):
    """Lets a fit return after so many of its epochs, to go on later.

    With `checkpoint`, the fit that is resumed goes on as if there had been no pause: schedules have the length of the
    whole training, where a smaller `epochs` would make them shorter. ``history.stopped_by`` is then "Pause".

    Args:
        epochs: How many, from the beginning of the training; one that is resumed may have another number.
    """

    def __init__(self, epochs: int) -> None:
        self.epochs = as_count(epochs, "Pause", "epochs")


class CSVLogger(Callback):
    """Writes a line per epoch to a file of separated values: "epoch", from 0, and the history's names in sorted order.

    Args:
        filename: The file.
        separator: What stands between values.
        append: Whether to go on with a file that is there; its first line stays the only one with names, and these have
            to be the training's.
    """

    def __init__(self, filename: str | os.PathLike[str], separator: str = ",", append: bool = False) -> None:
        self.filename = as_path(filename, "CSVLogger")
        if len(as_name(separator, "CSVLogger", "separator")) != 1:
            raise ValueError(f"[CSVLogger] expected separator to be one character, got {separator!r}")
        self.separator = separator
        self.append = as_flag(append, "CSVLogger", "append")
        self._names: list[str] | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Starts the file; a fit that is resumed goes on with it."""
        self._names = None
        resumed = self._training_run is not None and self._training_run.resumed
        with open(self.filename, "a" if self.append or resumed else "w", encoding="utf-8"):
            pass  # an error before the first epoch, not after it

    def state(self) -> dict[str, Any]:
        """The order of names, and how long the file is."""
        return {"names": self._names, "bytes": os.path.getsize(self.filename)}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Takes the lines of later epochs out of the file: they come again."""
        self._names = state["names"]
        if os.path.getsize(self.filename) > state["bytes"]:
            os.truncate(self.filename, state["bytes"])

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Writes the line."""
        numbers = logs or {}
        # Opened for each line: whatever ends the training leaves a whole file.
        with open(self.filename, "a", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, delimiter=self.separator, lineterminator="\n")
            if self._names is None:
                self._names = sorted(numbers)
                if file.tell() == 0:
                    writer.writerow(["epoch", *self._names])
            writer.writerow([epoch, *(numbers[name] for name in self._names)])

    def _check_names(self, directions: Mapping[str, bool | None]) -> None:
        if not self.append or not os.path.exists(self.filename):
            return
        with open(self.filename, encoding="utf-8", newline="") as file:
            there = next(csv.reader(file, delimiter=self.separator), None)
        always = {"epoch", "lr", "gradient_norm"}
        if there is not None and set(there) - always != set(directions) - always:
            raise ValueError(
                f"[CSVLogger] expected {self.filename!r} to have the columns {', '.join(directions)}, as this training "
                f"has; got {', '.join(there)}"
            )


class LambdaCallback(Callback):
    """Calls functions.

    Args:
        on_epoch_begin: A function of (epoch, logs).
        on_epoch_end: A function of (epoch, logs).
        on_train_begin: A function of (logs).
        on_train_end: A function of (logs).
        on_step_end: A function of (step, logs), called as often as `every_n_steps` says.
        every_n_steps: Steps from one of these calls to the next.
    """

    def __init__(
        self,
        on_epoch_begin: Callable[[int, Logs], Any] | None = None,
        on_epoch_end: Callable[[int, Logs], Any] | None = None,
        on_train_begin: Callable[[Logs], Any] | None = None,
        on_train_end: Callable[[Logs], Any] | None = None,
        on_step_end: Callable[[int, Logs], Any] | None = None,
        every_n_steps: int = 1,
    ) -> None:
        if on_step_end is not None:
            self.every_n_steps = as_count(every_n_steps, "LambdaCallback", "every_n_steps")
        given = {
            "on_step_end": on_step_end,
            "on_epoch_begin": on_epoch_begin,
            "on_epoch_end": on_epoch_end,
            "on_train_begin": on_train_begin,
            "on_train_end": on_train_end,
        }
        for name, function in given.items():
            if function is None:
                continue
            if not callable(function):
                raise TypeError(f"[LambdaCallback] expected {name} to be a function, got {type(function).__name__}")
            setattr(self, name, function)
