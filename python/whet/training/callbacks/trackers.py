"""Callbacks that hand numbers to TensorBoard, MLflow and Optuna; each imports its package when it is used."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any

from whet._checks import as_count, as_flag, as_name, as_path
from whet.training.callbacks.base import Callback, Logs
from whet.training.callbacks.monitors import check_monitor

__all__ = ["MLflow", "OptunaPruning", "TensorBoard"]


class TensorBoard(Callback):
    """Writes event files for TensorBoard: ``tensorboard --logdir logs`` shows them. Needs the package tensorboard.

    As in Keras, numbers of training go to the folder "train", those of validation to "validation": "epoch_loss",
    "epoch_accuracy" and so on, "epoch_learning_rate", and "batch_loss" between epochs.

    Args:
        log_dir: The folder.
        update_freq: "epoch", or so many steps: then the loss of the epoch so far is written between epochs, too.
    """

    def __init__(self, log_dir: str | os.PathLike[str] = "logs", update_freq: int | str = "epoch") -> None:
        self.log_dir = as_path(log_dir, "TensorBoard")
        if isinstance(update_freq, str) and update_freq != "epoch":
            raise ValueError(f"[TensorBoard] expected update_freq 'epoch' or a number of steps, got {update_freq!r}")
        self.update_freq = update_freq
        if not isinstance(update_freq, str):
            self.every_n_steps = as_count(update_freq, "TensorBoard", "update_freq")
        self._writers: dict[str, Any] = {}

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Looks for the package."""
        _event_file_writer()

    def on_step_end(self, step: int, logs: Logs | None = None) -> None:
        """Writes the loss of the epoch so far, and the rate."""
        numbers = logs or {}
        self._write("train", {"batch_loss": numbers["loss"], "batch_learning_rate": numbers["lr"]}, step)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Writes the epoch."""
        folders: dict[str, dict[str, float]] = {}
        for name, value in (logs or {}).items():
            folder = "validation" if name.startswith("val_") else "train"
            short = "learning_rate" if name == "lr" else name.removeprefix("val_")
            folders.setdefault(folder, {})[f"epoch_{short}"] = value
        for folder, numbers in folders.items():
            self._write(folder, numbers, epoch)
        for writer in self._writers.values():
            writer.flush()

    def _write(self, folder: str, numbers: Mapping[str, float], step: int) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        if folder not in self._writers:
            self._writers[folder] = _event_file_writer()(os.path.join(self.log_dir, folder))
        values = [Summary.Value(tag=tag, simple_value=value) for tag, value in numbers.items()]
        event = Event(wall_time=time.time(), step=step, summary=Summary(value=values))
        self._writers[folder].add_event(event)

    def _close(self) -> None:
        for writer in self._writers.values():
            writer.close()
        self._writers = {}


def _event_file_writer() -> Any:
    try:
        from tensorboard.summary.writer.event_file_writer import EventFileWriter
    except ImportError:
        raise ImportError("[TensorBoard] needs the package tensorboard: pip install tensorboard") from None
    return EventFileWriter


class MLflow(Callback):
    """Logs to MLflow: what the fit is given as parameters, the numbers of every epoch as metrics. Needs mlflow.

    Logs to the run that is active; if none is, to one of its own, which ends with the fit. A number that is NaN, as the
    metrics of an epoch that was cut short, is left out.

    Args:
        run_name: Of a run of its own.
        log_params: Whether parameters are logged: loss, optimizer, epochs, rows and steps.
    """

    def __init__(self, run_name: str | None = None, log_params: bool = True) -> None:
        self.run_name = None if run_name is None else as_name(run_name, "MLflow", "run_name")
        self.log_params = as_flag(log_params, "MLflow", "log_params")
        self._own_run = False

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Starts a run, if none is active."""
        mlflow = _mlflow()
        self._own_run = mlflow.active_run() is None
        if self._own_run:
            mlflow.start_run(run_name=self.run_name)
        if self.log_params:
            mlflow.log_params(dict(self.params))

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Logs the epoch."""
        _mlflow().log_metrics({name: value for name, value in (logs or {}).items() if value == value}, step=epoch)

    def _close(self) -> None:
        if self._own_run:
            ends = {None: "FAILED", "interrupt": "KILLED"}
            _mlflow().end_run(ends.get(self.model.history.stopped_by, "FINISHED"))
            self._own_run = False


def _mlflow() -> Any:
    try:
        import mlflow
    except ImportError:
        raise ImportError("[MLflow] needs the package mlflow: pip install mlflow") from None
    return mlflow


class OptunaPruning(Callback):
    """Reports a number to a trial of Optuna after every epoch, and ends trials that are not worth going on with.

    The fit of such a trial raises ``optuna.TrialPruned``, which the study's ``optimize`` expects. Needs optuna.

    Args:
        trial: The optuna.trial.Trial of the objective function.
        monitor: The number: "loss", the name of a metric, or one of them with "val_" before it.
    """

    def __init__(self, trial: Any, monitor: str = "val_loss") -> None:
        if not hasattr(trial, "report") or not hasattr(trial, "should_prune"):
            raise TypeError(f"[OptunaPruning] expected an optuna.trial.Trial, got {type(trial).__name__}")
        self.trial = trial
        self.monitor = as_name(monitor, "OptunaPruning", "monitor")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Reports the number, and asks whether to go on."""
        value = (logs or {})[self.monitor]
        self.trial.report(value, step=epoch)
        if self.trial.should_prune():
            from optuna import TrialPruned

            raise TrialPruned(f"{self.monitor} is {value:.6g} after epoch {epoch}")

    def _check_names(self, directions: Mapping[str, bool | None]) -> None:
        check_monitor(self, self.monitor, directions)
