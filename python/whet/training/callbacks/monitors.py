"""Callbacks that watch one number of the history: what they share, and those that stop, slow down or save."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping

from whet._arrays import Floats
from whet._checks import as_flag, as_name, as_number, as_path
from whet.training.callbacks.base import Callback, Logs

__all__ = ["EarlyStopping", "ModelCheckpoint", "ReduceLROnPlateau", "check_monitor"]


def check_monitor(callback: Callback, monitor: str, directions: Mapping[str, bool | None]) -> None:
    """Raises ValueError if the history will not have the number that a callback watches."""
    if monitor not in directions:
        hint = (
            "; give fit validation_data or a validation_fraction, an estimator X_val or early_stopping=True"
            if monitor == "val_loss"
            else ""
        )
        raise ValueError(
            f"[{type(callback).__name__}] expected monitor to be one of {', '.join(directions)}, got '{monitor}'{hint}"
        )


class _Monitor(Callback):
    """Watches one number of the history."""

    def __init__(self, monitor: str, mode: str, min_delta: float) -> None:
        where = type(self).__name__
        self.monitor = as_name(monitor, where, "monitor")
        if mode not in ("auto", "min", "max"):
            raise ValueError(f"[{where}] expected mode 'auto', 'min' or 'max', got {mode!r}")
        self.mode = mode
        self.min_delta = abs(as_number(min_delta, where, "min_delta"))
        self._greater = mode == "max"
        self.best = self._worst

    def _check_names(self, directions: Mapping[str, bool | None]) -> None:
        check_monitor(self, self.monitor, directions)
        greater = directions[self.monitor] if self.mode == "auto" else self.mode == "max"
        if greater is None:
            raise ValueError(
                f"[{type(self).__name__}] expected mode 'min' or 'max': nobody knows which is better of the function "
                f"'{self.monitor}'"
            )
        if greater != self._greater:
            self._greater = greater
            self.best = self._worst

    @property
    def _worst(self) -> float:
        return -math.inf if self._greater else math.inf

    def _improves(self, value: float, reference: float) -> bool:
        """Whether `value` is better than `reference` by more than `min_delta`; NaN never is."""
        return value - self.min_delta > reference if self._greater else value + self.min_delta < reference


class EarlyStopping(_Monitor):
    """Ends the training when a number of the history no longer improves.

    The end sets ``history.stopped_by`` to "EarlyStopping"; ``history.best_epoch`` is that of this callback in any case.

    Args:
        monitor: The number: "loss", the name of a metric, or one of them with "val_" before it.
        min_delta: A change of no more than this is no improvement.
        patience: So many epochs without improvement are the end.
        mode: "min" or "max" is better; "auto" knows it of the loss and of every metric.
        baseline: Epochs that do not improve on this number count as epochs without improvement, too.
        restore_best_weights: Whether the model gets the parameters back, bit for bit, that it had after the best epoch;
            running statistics of a normalisation are among them. This happens however the training ends, but for
            errors, and the best epoch need not be better than the baseline. With an optimizer that keeps an average, it
            is the average after that epoch.
        start_from_epoch: Epochs before this one do not count at all.

    Attributes:
        best: The best number so far.
        best_epoch: Its epoch, from 0.
        best_weights: Copies of the parameters after it, by name, if they are to be restored; else None.
        stopped_epoch: The last epoch of a training that this callback ended; 0 before.
        wait: Epochs without improvement so far.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.patience = _as_epochs(patience, "EarlyStopping", "patience")
        self.baseline = None if baseline is None else as_number(baseline, "EarlyStopping", "baseline")
        self.restore_best_weights = as_flag(restore_best_weights, "EarlyStopping", "restore_best_weights")
        self.start_from_epoch = _as_epochs(start_from_epoch, "EarlyStopping", "start_from_epoch")
        self.wait = self.stopped_epoch = self.best_epoch = 0
        self._kept = ("best", "wait", "stopped_epoch", "best_epoch", "best_weights")
        self.best_weights: dict[str, Floats] | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Forgets an earlier training."""
        self.best = self._worst
        self.wait = self.stopped_epoch = self.best_epoch = 0
        self.best_weights = None

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Looks at the number, and ends the training if it is time."""
        if logs is None or epoch < self.start_from_epoch:
            return
        value = logs[self.monitor]
        first = self.restore_best_weights and self.best_weights is None
        improves = self._improves(value, self.best)
        if first or improves:
            self.best_epoch = epoch
            if self.restore_best_weights:
                self.best_weights = {name: array.copy() for name, array in self.model.state_dict().items()}
            if self.model.history is not None:
                self.model.history.best_epoch = epoch
        self.wait += 1
        if improves:
            self.best = value
            if self.baseline is None or self._improves(value, self.baseline):
                self.wait = 0
        elif self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Restores the best parameters, if that is asked for."""
        if self.best_weights is not None:
            self.model.load_state_dict(self.best_weights)


class ReduceLROnPlateau(_Monitor):
    """Multiplies the learning rates by a factor when a number of the history no longer improves.

    Every group of the optimizer's parameters has its own rate multiplied, and a schedule all that is still to come.

    Args:
        monitor: The number: "loss", the name of a metric, or one of them with "val_" before it.
        factor: What rates are multiplied by, from 0 to below 1.
        patience: After so many epochs without improvement.
        mode: "min" or "max" is better; "auto" knows it of the loss and of every metric.
        min_delta: A change of no more than this is no improvement.
        cooldown: So many epochs after a reduction, epochs without improvement are counted again.
        min_lr: Rates are not reduced below this.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.factor = as_number(factor, "ReduceLROnPlateau", "factor", low=0, high=1)
        self.patience = _as_epochs(patience, "ReduceLROnPlateau", "patience")
        self.cooldown = _as_epochs(cooldown, "ReduceLROnPlateau", "cooldown")
        self.min_lr = as_number(min_lr, "ReduceLROnPlateau", "min_lr", low=0)
        self._kept = ("best", "wait", "cooldown_counter")
        self.wait = self.cooldown_counter = 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Forgets an earlier training."""
        self.best = self._worst
        self.wait = self.cooldown_counter = 0

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Looks at the number, and reduces the rates if it is time."""
        if logs is None:
            return
        value = logs[self.monitor]
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.wait = 0
        if self._improves(value, self.best):
            self.best = value
            self.wait = 0
        elif self.cooldown_counter == 0:
            self.wait += 1
            if self.wait >= self.patience and self._rates().highest > self.min_lr:
                self._rates().multiply(self.factor, self.min_lr)
                self.cooldown_counter = self.cooldown
                self.wait = 0


class ModelCheckpoint(_Monitor):
    """Saves the model after epochs, as `model.save` does: all or nothing, in a file that ``whet.load`` opens.

    Args:
        filepath: The file of the model, or of the network in a TabularModel. It may name the epoch, from 1, and numbers
            of the history in braces, with a format: "model-{epoch:02d}-{val_loss:.3f}.whet". Folders that are missing
            are made.
        monitor: The number that tells the best epoch: "loss", the name of a metric, or one of them with "val_" before
            it.
        save_best_only: Whether to save only after an epoch that is better than all before it. The best number is kept
            from one fit to the next.
        mode: "min" or "max" is better; "auto" knows it of the loss and of every metric.
    """

    def __init__(
        self,
        filepath: str | os.PathLike[str],
        monitor: str = "val_loss",
        save_best_only: bool = False,
        mode: str = "auto",
    ) -> None:
        super().__init__(monitor, mode, 0)
        self.filepath = as_path(filepath, "ModelCheckpoint")
        self.save_best_only = as_flag(save_best_only, "ModelCheckpoint", "save_best_only")
        self._kept = ("best",)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Saves the model, if this epoch is to be saved."""
        numbers = logs or {}
        if self.save_best_only:
            if not self._improves(numbers[self.monitor], self.best):
                return
            self.best = numbers[self.monitor]
        path = self._path(epoch, numbers)
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        self.model.save(path)

    def _path(self, epoch: int, numbers: Logs) -> str:
        return self.filepath.format(epoch=epoch + 1, **numbers)

    def _check_names(self, directions: Mapping[str, bool | None]) -> None:
        if self.save_best_only:
            super()._check_names(directions)
        try:
            self._path(0, {**dict.fromkeys(directions, 0.0), "lr": 0.0})
        except (KeyError, IndexError, ValueError) as error:
            raise ValueError(
                f"[ModelCheckpoint] expected filepath to name some of epoch, lr, {', '.join(directions)} in braces, "
                f"got {self.filepath!r}: {error}"
            ) from None


def _as_epochs(value: object, where: str, name: str) -> int:
    """A number of epochs, from 0 on."""
    number = as_number(value, where, name, low=0)
    if number != int(number):
        raise TypeError(f"[{where}] expected {name} to be a whole number of epochs, got {value!r}")
    return int(number)
