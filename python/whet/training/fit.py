"""What a fit is given: the arguments and the rows, checked, on the way into the loop."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from whet import _core, losses, optim
from whet._checks import as_count, as_flag, as_number, as_seed
from whet.errors import WhetWarning
from whet.losses import Loss
from whet.metrics import Asked
from whet.metrics import get as get_metrics
from whet.optim import Optimizer
from whet.training.callbacks.base import Callback, check
from whet.training.checkpoints.checkpoint import Directory
from whet.training.classes import ClassWeight, check_class_weight
from whet.training.history import History
from whet.training.loop import Loop
from whet.training.rows import Rows, set_apart
from whet.training.sources import Memory, Source, as_stream

if TYPE_CHECKING:
    from whet.data.streams.stream import Stream
    from whet.training.model import Model

__all__ = ["Plan", "run"]


class Plan:
    """The arguments of a fit that say how to train, checked."""

    def __init__(
        self,
        *,
        loss: str | Loss,
        optimizer: str | Optimizer,
        epochs: int,
        batch_size: int | str,
        metrics: Asked | Sequence[Asked] | None,
        class_weight: ClassWeight,
        shuffle: bool,
        callbacks: Callback | Sequence[Callback] | None,
        stop_at: Mapping[str, float] | None,
        max_steps: int | None,
        max_seconds: float | None,
        precision: str,
        seed: int,
        checkpoint: str | os.PathLike[str] | None,
        checkpoint_every: int | None,
        checkpoint_keep: int,
        resume: bool,
        on_interrupt: str,
        on_nonfinite: str,
        record: bool,
        progress: bool,
    ) -> None:
        self.loss = losses.get(loss)
        self.optimizer = optim.get(optimizer)
        self.epochs = as_count(epochs, "fit", "epochs")
        self.metrics = get_metrics(metrics)
        for metric in self.metrics:
            metric.check(self.loss)
        self.class_weight = check_class_weight(class_weight, self.loss)
        self.shuffle = as_flag(shuffle, "fit", "shuffle")
        self.callbacks = check(callbacks)
        if stop_at is not None and not isinstance(stop_at, Mapping):
            raise TypeError(f"[fit] expected stop_at to map names to targets, got {type(stop_at).__name__}")
        self.stop_at = {name: as_number(goal, "fit", f"stop_at[{name!r}]") for name, goal in (stop_at or {}).items()}
        self.max_steps = math.inf if max_steps is None else as_count(max_steps, "fit", "max_steps")
        self.max_seconds = math.inf if max_seconds is None else as_number(max_seconds, "fit", "max_seconds", low=0)
        if precision not in ("float32", "bfloat16"):
            raise ValueError(f"[fit] expected precision 'float32' or 'bfloat16', got {precision!r}")
        self.precision = precision
        self.seed = as_seed(seed, "fit")
        if on_nonfinite not in ("raise", "rollback"):
            raise ValueError(f"[fit] expected on_nonfinite 'raise' or 'rollback', got {on_nonfinite!r}")
        self.on_nonfinite = on_nonfinite
        self._set_checkpoints(checkpoint, checkpoint_every, checkpoint_keep, resume)
        if on_interrupt not in ("raise", "return"):
            raise ValueError(f"[fit] expected on_interrupt 'raise' or 'return', got {on_interrupt!r}")
        self.on_interrupt = on_interrupt
        self.record = as_flag(record, "fit", "record")
        self.progress = as_flag(progress, "fit", "progress")
        if isinstance(batch_size, str) and batch_size != "auto":
            raise ValueError(f"[fit] expected batch_size 'auto' or an integer, got '{batch_size}'")
        self.batch_size = batch_size if isinstance(batch_size, str) else as_count(batch_size, "fit", "batch_size")

    def _set_checkpoints(
        self, directory: str | os.PathLike[str] | None, every: int | None, keep: int, resume: bool
    ) -> None:
        self.checkpoint = None if directory is None else Directory.of(directory)
        self.checkpoint_every = None if every is None else as_count(every, "fit", "checkpoint_every")
        self.checkpoint_keep = as_count(keep, "fit", "checkpoint_keep")
        self.resume = as_flag(resume, "fit", "resume")
        for name, given in (("checkpoint_every", every is not None), ("resume", self.resume)):
            if given and self.checkpoint is None:
                raise ValueError(f"[fit] expected checkpoint to name a directory, as {name} is given")

    def batch_rows(self, rows: int) -> int:
        """Rows of a step on a training set of `rows` rows."""
        if self.optimizer.full_batch:
            if self.batch_size != "auto" and int(self.batch_size) < rows:
                raise ValueError(
                    f"[fit] {type(self.optimizer).__name__} takes all {rows} rows in a step, "
                    f"got batch_size {self.batch_size}; optim.SGD takes batches"
                )
            return rows
        if isinstance(self.batch_size, str):
            return min(max(1 << (max(rows // 64, 1).bit_length() - 1), 32), 256) * self.optimizer.accumulate
        return min(self.batch_size * self.optimizer.accumulate, rows)

    def total_steps(self, epoch_steps: int | None) -> int | None:
        """Steps of the whole training, if nothing ends it before; None where nobody knows."""
        most = min(self.max_steps, math.inf if epoch_steps is None else self.epochs * epoch_steps)
        return None if most == math.inf else int(most)

    def met(self, history: History) -> bool:
        """Whether the last epoch meets every target of `stop_at`."""
        if not self.stop_at:
            return False
        directions = self.directions(validates=True)
        for name, goal in self.stop_at.items():
            value = history[name][-1]
            if not ((value >= goal) if directions[name] else (value <= goal)):  # NaN, of half an epoch, meets none
                return False
        return True

    def directions(self, validates: bool) -> dict[str, bool | None]:
        """What the history will have of losses and metrics, and whether greater is better; None if nobody knows."""
        found: dict[str, bool | None] = {
            "loss": False,
            **{metric.name: metric.greater_is_better for metric in self.metrics},
        }
        found |= {f"val_{name}": greater for name, greater in found.items()} if validates else {}
        return found | ({"gradient_norm": None} if self.record else {})

    def described(self, source: Source, validation: Rows | Stream | None, weighed: bool) -> dict[str, Any]:
        """These arguments and what they were given with, as plain data; see `History.arguments`."""
        weight = self.class_weight
        held_out = len(validation) if isinstance(validation, Rows) else validation.rows if validation is not None else 0
        return {
            "loss": repr(self.loss),
            "optimizer": repr(self.optimizer),
            "epochs": self.epochs,
            "batch_size": self.batch_size,
            "batch_rows": source.batch_rows,
            "class_weight": dict(weight) if isinstance(weight, Mapping) else weight,
            "sample_weight": weighed,
            "validation": held_out,
            "callbacks": [type(each).__name__ for each in self.callbacks],
        }

    def check_names(self, validates: bool) -> None:
        """Raises ValueError if `stop_at` or a callback names what the history will not have."""
        directions = self.directions(validates)
        for name in self.stop_at:
            if name not in directions:
                raise ValueError(f"[fit] expected stop_at to name some of {', '.join(directions)}, got '{name}'")
            if directions[name] is None:
                raise ValueError(
                    f"[fit] expected stop_at to name what has a direction, got the function '{name}': "
                    "whet.metrics.Metric(name, function, reads, greater_is_better) gives it one"
                )
        for callback in self.callbacks:
            callback._check_names(directions)


def warn_of_links(graph: _core.Graph, loss: Loss) -> None:
    """Warns where the model ends in what the loss does itself."""
    last = next((node["op"] for node in graph.nodes if node["output"] == graph.output), "")
    if loss.link is not None and last == loss.link:
        message = f"{loss.name} applies {loss.link} itself and expects raw outputs, but the model ends in {last}"
        warnings.warn(message, WhetWarning, stacklevel=4)


def _warn_of_large_map(X: Any) -> None:
    """Warns of a map of a file larger than memory, whose rows would be read one by one from all over the file."""
    if not isinstance(X, np.memmap):
        return
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if X.nbytes > memory:
        message = f"X is a map of {X.nbytes:,} bytes, more than the memory: whet.data.Stream((X, y)) reads it in blocks"
        warnings.warn(message, WhetWarning, stacklevel=4)


def _validation(model: Model, plan: Plan, data: Any, width: int) -> Rows | Stream | None:
    """Rows to evaluate after every epoch."""
    if data is None:
        return None
    stream = None if isinstance(data, Sequence) else as_stream(data)
    if stream is not None:
        from whet.training.streaming import check_validation

        check_validation(stream, plan)
        return stream
    if not isinstance(data, (tuple, list)) or len(data) not in (2, 3):
        raise TypeError("[fit] expected validation_data to be (X, y), (X, y, sample_weight) or a whet.data.Stream")
    X, y, weight = (*data, None)[:3]
    rows = Rows.of(model, plan.loss, X, y, weight, "validation_data", width)
    model._check_indices(rows.features, "validation_data")
    return rows


def run(
    model: Model,
    plan: Plan,
    X: Any,
    y: ArrayLike | None,
    sample_weight: ArrayLike | None,
    validation_data: Any,
    validation_fraction: float,
) -> History:
    """See `Model.fit`."""
    source: Source
    stream = as_stream(X)
    if stream is not None:
        if y is not None or sample_weight is not None or validation_fraction:
            raise ValueError(
                "[fit] expected y and sample_weight in the batches or columns of a stream, and its validation rows "
                "as validation_data"
            )
        from whet.training.streaming import Streamed

        source = Streamed(stream, model, plan)
        validation = _validation(model, plan, validation_data, source.head.features.shape[1])
    else:
        if y is None:
            raise TypeError("[fit] expected y: only a stream has the right answers beside X")
        if plan.shuffle:
            _warn_of_large_map(X)
        rows = Rows.of(model, plan.loss, X, y, sample_weight, "fit")
        model._check_indices(rows.features, "fit")
        if validation_data is not None and validation_fraction:
            raise ValueError("[fit] expected validation_data or validation_fraction, got both")
        width = rows.features.shape[1]
        validation = _validation(model, plan, validation_data, width)
        if validation is None:
            rows, validation = set_apart(rows, validation_fraction, plan.seed)
        source = Memory(rows.weighted(plan.class_weight, plan.loss, model._width_of_output(width)), plan)
    width = source.head.features.shape[1]
    plan.check_names(validation is not None)
    model._check_metrics(plan.metrics, source.head.target, plan.loss, width)
    if plan.precision == "bfloat16" and model.dtype != "float32":
        raise ValueError(f"[fit] expected a float32 model for precision 'bfloat16', got {model.dtype}")
    warn_of_links(model._graph(width), plan.loss)
    plan.optimizer.check_names(model._parameter_names())
    history = History(plan.seed)
    history.arguments = plan.described(source, validation, sample_weight is not None)
    with model._exclusive("fit", plan.seed) as state:
        training = Loop(model, state, plan, source, validation, history).train()
    training.end()  # when the parameters can be written again
    return history
