"""What a fit is given: the arguments and the rows, checked, on the way into the loop."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from whet import _core, losses, optim
from whet._arrays import CoreFeatures, Features, Floats, SparseFloats, as_floats, as_weights
from whet._checks import as_count, as_flag, as_number, as_seed
from whet.errors import WhetWarning
from whet.losses import Loss, TracedLoss
from whet.metrics import Asked
from whet.metrics import get as get_metrics
from whet.optim import Optimizer
from whet.training.callbacks.base import Callback, check
from whet.training.checkpoints.checkpoint import Directory
from whet.training.classes import ClassWeight, check_class_weight, class_factors
from whet.training.history import History
from whet.training.loop import Loop
from whet.training.model import weighed

if TYPE_CHECKING:
    from whet.training.model import Model

__all__ = ["Plan", "Rows", "run"]


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

    def total_steps(self, epoch_steps: int) -> int:
        """Steps of the whole training, if nothing ends it before."""
        return int(min(self.max_steps, self.epochs * epoch_steps))

    def met(self, history: History) -> bool:
        """Whether the last epoch meets every target of `stop_at`."""
        directions = self.directions(validates=True)
        for name, goal in self.stop_at.items():
            value = history[name][-1]
            if not ((value >= goal) if directions[name] else (value <= goal)):  # NaN, of half an epoch, meets none
                return False
        return bool(self.stop_at)

    def directions(self, validates: bool) -> dict[str, bool | None]:
        """What the history will have of losses and metrics, and whether greater is better; None if nobody knows."""
        found: dict[str, bool | None] = {
            "loss": False,
            **{metric.name: metric.greater_is_better for metric in self.metrics},
        }
        found |= {f"val_{name}": greater for name, greater in found.items()} if validates else {}
        return found | ({"gradient_norm": None} if self.record else {})

    def described(self, rows: Rows, validation: Rows | None, weighed: bool) -> dict[str, Any]:
        """These arguments and what they were given with, as plain data; see `History.arguments`."""
        weight = self.class_weight
        return {
            "loss": repr(self.loss),
            "optimizer": repr(self.optimizer),
            "epochs": self.epochs,
            "batch_size": self.batch_size,
            "batch_rows": self.batch_rows(len(rows)),
            "class_weight": dict(weight) if isinstance(weight, Mapping) else weight,
            "sample_weight": weighed,
            "validation": 0 if validation is None else len(validation),
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


@dataclass(frozen=True)
class Rows:
    """Features and targets as the core takes them, and targets as metrics do.

    `weights` are those of the loss; `given` are those that a user gave, without what the loss makes of its options;
    `places` are the rows' indices in what a user gave, None where they are all of it.
    """

    features: CoreFeatures
    target: NDArray[Any]
    truth: NDArray[Any]
    weights: Floats | None = None
    given: Floats | None = None
    places: NDArray[np.int64] | None = None

    @classmethod
    def of(
        cls,
        model: Model,
        loss: Loss,
        X: Features,
        y: ArrayLike,
        sample_weight: ArrayLike | None,
        where: str,
        width: int | None = None,
    ) -> Rows:
        """Checks and converts, without copying what is right already."""
        features = model._features(X, where, width)
        if len(features) == 0:
            raise ValueError(f"[{where}] expected at least one row, got X with shape {features.shape}")
        outputs = model._width_of_output(features.shape[1])
        if not (model._has_one_output(features.shape[1]) or isinstance(loss, TracedLoss)):
            raise ValueError(f"[{where}] expected a loss that is a function of a tuple, as the model returns one")
        columns = model._width_of_target(features.shape[1], loss)
        target = loss.target(y, len(features), columns, model.dtype, where)
        given = as_weights(sample_weight, len(features), model.dtype, where)
        truth, weights = weighed(loss, target, outputs, model.dtype, given, where)
        return cls(features, target, truth, weights, given)

    def weighted(self, class_weight: ClassWeight, loss: Loss, outputs: int) -> Rows:
        """These rows, each with its weight multiplied by that of its class."""
        if class_weight is None:
            return self
        factors = class_factors(class_weight, loss, self.target, outputs)
        weights = as_floats(factors, self.features.dtype, "fit", "class_weight")
        with np.errstate(over="ignore"):
            given = weights if self.given is None else weights * self.given
            weights = weights if self.weights is None else weights * self.weights
        if not weights.any() or not np.isfinite(weights).all():
            raise ValueError("[fit] expected class_weight to leave rows that count, and none that counts infinitely")
        return replace(self, weights=weights, given=given)

    def take(self, rows: NDArray[np.int64]) -> Rows:
        """A copy of some rows."""
        target = self.target[rows]
        truth = target if self.truth is self.target else self.truth[rows]
        weights, given = (None if each is None else each[rows] for each in (self.weights, self.given))
        return Rows(self.features[rows], target, truth, weights, given, rows)

    def feature_arrays(self) -> list[NDArray[Any]]:
        """What the features are held in."""
        if isinstance(self.features, SparseFloats):
            return [self.features.values, self.features.columns, self.features.starts]
        return [self.features]

    def given_arrays(self) -> list[NDArray[Any]]:
        """Features, targets and, if there are some, weights, as they were given."""
        return [*self.feature_arrays(), self.target, *([] if self.given is None else [self.given])]

    def __len__(self) -> int:
        return len(self.features)


def _set_apart(rows: Rows, fraction: float, seed: int) -> tuple[Rows, Rows | None]:
    """Training rows and validation rows."""
    if as_number(fraction, "fit", "validation_fraction", low=0, high=1) == 0:
        return rows, None
    count = round(fraction * len(rows))
    if count == 0 or count == len(rows):
        raise ValueError(f"[fit] a validation_fraction of {fraction} leaves no rows to one side of {len(rows)}")
    order = _core.random_permutation(seed, len(rows))
    return rows.take(np.sort(order[count:])), rows.take(np.sort(order[:count]))


def warn_of_links(graph: _core.Graph, loss: Loss) -> None:
    """Warns where the model ends in what the loss does itself."""
    last = next((node["op"] for node in graph.nodes if node["output"] == graph.output), "")
    if loss.link is not None and last == loss.link:
        message = f"{loss.name} applies {loss.link} itself and expects raw outputs, but the model ends in {last}"
        warnings.warn(message, WhetWarning, stacklevel=4)


def run(
    model: Model,
    plan: Plan,
    X: Features,
    y: ArrayLike,
    sample_weight: ArrayLike | None,
    validation_data: tuple[Features, ArrayLike] | tuple[Features, ArrayLike, ArrayLike] | None,
    validation_fraction: float,
) -> History:
    """See `Model.fit`."""
    rows = Rows.of(model, plan.loss, X, y, sample_weight, "fit")
    model._check_indices(rows.features, "fit")
    if validation_data is not None:
        if validation_fraction:
            raise ValueError("[fit] expected validation_data or validation_fraction, got both")
        if not isinstance(validation_data, (tuple, list)) or len(validation_data) not in (2, 3):
            raise TypeError("[fit] expected validation_data to be (X, y) or (X, y, sample_weight)")
        width = rows.features.shape[1]
        X, y, held_weight = (*validation_data, None)[:3]
        validation: Rows | None
        validation = Rows.of(model, plan.loss, X, y, held_weight, "validation_data", width)
        model._check_indices(validation.features, "validation_data")
    else:
        rows, validation = _set_apart(rows, validation_fraction, plan.seed)
    rows = rows.weighted(plan.class_weight, plan.loss, model._width_of_output(rows.features.shape[1]))
    plan.check_names(validation is not None)
    model._check_metrics(plan.metrics, rows.target, plan.loss, rows.features.shape[1])
    if plan.precision == "bfloat16" and model.dtype != "float32":
        raise ValueError(f"[fit] expected a float32 model for precision 'bfloat16', got {model.dtype}")
    warn_of_links(model._graph(rows.features.shape[1]), plan.loss)
    plan.batch_rows(len(rows))  # refuses what the optimizer cannot take
    plan.optimizer.check_names(model._parameter_names())
    history = History(plan.seed)
    history.arguments = plan.described(rows, validation, sample_weight is not None)
    with model._exclusive("fit", plan.seed) as state:
        training = Loop(model, state, plan, rows, validation, history).train()
    training.end()  # when the parameters can be written again
    return history
