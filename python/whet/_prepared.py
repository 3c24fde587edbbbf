"""A table or a stream on its way to a network: its rows and target as a network takes them, and the task's defaults."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from whet import losses
from whet import metrics as _metrics
from whet.data.columns import Column, Kind
from whet.data.dataset import Dataset
from whet.data.preprocessing import Preprocessor
from whet.data.splits import split_indices
from whet.data.targets import LabelEncoder, TargetScaler

if TYPE_CHECKING:
    from whet import nn
    from whet.losses import Loss
    from whet.metrics import Asked, Metric

__all__ = [
    "Prepared",
    "by_code",
    "default_scores",
    "encoded",
    "encoder_of",
    "kind_of_target",
    "labels_of",
    "loss_of",
    "scores_of",
    "set_aside",
    "usual_scores",
]

_LOSSES = {"classification": "cross_entropy", "regression": "mse"}
_SCORES = {"classification": ("accuracy", "log_loss"), "regression": ("rmse", "mae", "r2")}


class Prepared(NamedTuple):
    """The rows of a table or a stream as a network takes them, and what was learnt from them on the way."""

    task: str
    loss: Loss
    preprocessor: Preprocessor
    encoder: LabelEncoder | TargetScaler
    X: Any  # an array, or a stream that has the target, too
    y: npt.NDArray[Any] | None

    @property
    def outputs(self) -> int:
        """How many numbers the network returns for a row."""
        return len(self.encoder.classes) if isinstance(self.encoder, LabelEncoder) else 1

    def arrays(self, table: Dataset) -> tuple[npt.NDArray[np.float32], npt.NDArray[Any]]:
        """Features and targets of another table."""
        return self.preprocessor.transform(table), encoded(self.encoder, labels_of(table))

    def checked(self, network: nn.Module) -> nn.Module:
        """The network, if it has an output for each class.

        Raises:
            ValueError: other outputs, of which nobody would know the classes.
        """
        width = len(self.preprocessor.feature_names)
        if self.task == "classification" and network._has_one_output(width):
            graph = network._graph(width)
            outputs = graph.shape(graph.output)[-1]
            if outputs != self.outputs:
                raise ValueError(
                    f"[TabularModel] expected a network with {self.outputs} outputs, one for each class; got {outputs}"
                )
        return network


def labels_of(table: Dataset) -> Column:
    """Give the target of a table."""
    if table.labels is None:
        raise ValueError("[TabularModel] expected a table with a target")
    return table.labels


def scores_of(metrics: Asked | Sequence[Asked] | None, task: str) -> tuple[Metric, ...]:
    """Look metrics up, and refuse those of another task."""
    scores = _metrics.get(metrics)
    for score in scores:
        if score.reads not in ("outputs", "predictions") and (score.reads == "values") != (task == "regression"):
            raise ValueError(f"[TabularModel] expected metrics for a {task}, got {score.name}")
    return scores


def usual_scores(task: str) -> tuple[Metric, ...]:
    """Those of a task."""
    return _metrics.get(_SCORES[task])


def default_scores(task: str, loss: Loss) -> tuple[Metric, ...]:
    """Those that the loss has a meaning for."""
    return tuple(score for score in usual_scores(task) if task == "regression" or loss.kind == "classes")


def loss_of(task: str, loss: str | Loss | None) -> Loss:
    """Look the loss up, or take that of the task."""
    return losses.get(_LOSSES[task] if loss is None else loss)


def kind_of_target(encoder: LabelEncoder | TargetScaler) -> Kind | None:
    """Tell how to read the target of a later table: text stays text, even where it looks like numbers."""
    if isinstance(encoder, TargetScaler):
        return "number"
    return "category" if encoder.classes.dtype.kind == "U" else None


def encoder_of(task: str) -> LabelEncoder | TargetScaler:
    """Make what learns a target."""
    return LabelEncoder() if task == "classification" else TargetScaler()


def by_code(weights: Mapping[Any, float], encoder: LabelEncoder) -> dict[int, float]:
    """Give class_weight by the codes of labels."""
    try:
        codes = encoder.transform(list(weights)).tolist() if weights else []
    except ValueError as error:
        raise ValueError(f"[TabularModel] expected class_weight to name labels of the target: {error}") from None
    return dict(zip(codes, weights.values(), strict=True))


def encoded(encoder: LabelEncoder | TargetScaler, labels: Column) -> npt.NDArray[Any]:
    """Give the target as the network takes it: codes, or float32; shape (rows,)."""
    y = encoder.transform(labels)
    return y if isinstance(encoder, LabelEncoder) else y.astype(np.float32)


def set_aside(table: Dataset, task: str, fraction: float, seed: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Rows to train on, and the share of them that `validation_fraction` sets aside; each class keeps its share.

    Raises:
        ValueError: a share of all rows.
    """
    stratify = table.labels if task == "classification" else None
    if fraction * table.rows > table.rows - 1:
        raise ValueError(f"[fit] a validation_fraction of {fraction} leaves none of {table.rows} rows to train on")
    kept, aside = split_indices(table.rows, (1 - fraction, fraction), seed=seed, stratify=stratify)
    return kept, aside
