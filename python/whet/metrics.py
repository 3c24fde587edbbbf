"""Metrics: functions of (truth, prediction), and their names for ``fit`` and ``evaluate``.

Definitions follow scikit-learn's functions of the same meaning.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from whet._arrays import Floats
from whet.errors import WhetWarning
from whet.losses import Loss

__all__ = ["Metric", "accuracy", "auc", "f1", "get", "log_loss", "mae", "r2", "rmse"]

Reads = Literal["labels", "probabilities", "values", "outputs"]


@dataclass(frozen=True)
class Metric:
    """A function of (truth, prediction) with what `fit` has to know of it.

    Attributes:
        name: The key in histories and results.
        function: Returns one number.
        reads: What it takes as prediction: "labels" or "probabilities" of classes, "values" of a regression, or the raw
            "outputs" of any model.
        greater_is_better: The direction of improvement.
    """

    name: str
    function: Callable[[NDArray[Any], NDArray[Any]], float]
    reads: Reads
    greater_is_better: bool

    def check(self, loss: Loss) -> None:
        """Raises ValueError if the metric cannot be told of models trained with `loss`."""
        if self.reads != "outputs" and (self.reads == "values") != (loss.kind == "values"):
            kind = "without classes, such as mse" if self.reads == "values" else "with classes, such as cross_entropy"
            raise ValueError(f"[metrics] {self.name} needs a loss {kind}; got {loss.name}")
        if self.reads == "probabilities" and loss.link is None:
            raise ValueError(f"[metrics] {self.name} needs a loss of probabilities; got {loss.name}")

    def __call__(self, target: NDArray[Any], output: Floats, loss: Loss) -> float:
        """The metric of a model's raw outputs, for targets as the loss takes them.

        Raises:
            ValueError: If the metric needs classes and the loss has none, or the other way round.
        """
        self.check(loss)
        counted = loss.counted(target)
        if counted is not None:
            target, output = target[counted], output[counted]
        if self.reads == "outputs":
            return float(self.function(target, output))
        if self.reads == "values":
            return float(self.function(target, loss.values(output)))
        binary = loss.kind == "labels"
        truth = target > 0.5 if binary else _labels(target)
        if self.reads == "labels":
            return float(self.function(truth, output > 0 if binary else output.argmax(axis=1)))
        return float(self.function(truth, loss.probabilities(output)))


def _labels(target: NDArray[Any]) -> NDArray[Any]:
    return target if target.ndim == 1 else target.argmax(axis=1)


def _pair(truth: ArrayLike, prediction: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
    a, b = np.asarray(truth), np.asarray(prediction)
    if a.shape[:1] == b.shape[:1] and a.size == b.size == len(a):
        a, b = a.reshape(-1), b.reshape(-1)  # (rows,) and (rows, 1) are equal
    if a.shape != b.shape or a.size == 0:
        raise ValueError(
            f"[metrics] expected truth and prediction of one shape, not empty; got {a.shape} and {b.shape}"
        )
    return a, b


def accuracy(truth: ArrayLike, prediction: ArrayLike) -> float:
    """The share of labels that are right. Both of shape (rows,), or (rows, outputs) for several labels a row."""
    a, b = _pair(truth, prediction)
    return float(np.mean(a == b))


def mae(truth: ArrayLike, prediction: ArrayLike) -> float:
    """The mean of |truth - prediction|, in the target's unit."""
    a, b = _pair(truth, prediction)
    return float(np.mean(np.abs(a.astype(np.float64) - b)))


def rmse(truth: ArrayLike, prediction: ArrayLike) -> float:
    """The square root of the mean squared error, in the target's unit."""
    a, b = _pair(truth, prediction)
    return float(np.sqrt(np.mean(np.square(a.astype(np.float64) - b))))


def r2(truth: ArrayLike, prediction: ArrayLike) -> float:
    """1 - residual / total sum of squares, the mean over outputs.

    A truth that is constant scores 1 if it is met exactly, else 0.
    """
    a, b = _pair(truth, prediction)
    a, b = a.reshape(len(a), -1).astype(np.float64), b.reshape(len(b), -1)
    residual = np.square(a - b).sum(axis=0)
    total = np.square(a - a.mean(axis=0)).sum(axis=0)
    score = np.where(residual == 0, 1.0, 0.0)
    np.divide(total - residual, total, out=score, where=total > 0)
    return float(score.mean())


def log_loss(truth: ArrayLike, probability: ArrayLike) -> float:
    """The mean of -log(probability of the true class).

    Args:
        truth: Labels: class indices of shape (rows,) for probabilities (rows, classes), else 0 or 1.
        probability: Of every class, (rows, classes); or of class 1, in the shape of `truth`.
    """
    labels, p = np.asarray(truth), np.asarray(probability, dtype=np.float64)
    if not ((p >= 0) & (p <= 1)).all():
        raise ValueError("[metrics] expected probabilities from 0 to 1")
    if labels.ndim == 1 and p.ndim == 2 and p.shape[1] > 1:
        if len(labels) != len(p) or len(p) == 0:
            raise ValueError(f"[metrics] expected as many labels as rows, not none; got {labels.shape} and {p.shape}")
        if not np.isin(labels, np.arange(p.shape[1])).all():
            raise ValueError(f"[metrics] expected class indices from 0 to {p.shape[1] - 1}")
        chosen = p[np.arange(len(p)), labels.astype(np.intp)]
    else:
        labels, p = _pair(labels, p)
        if not np.isin(labels, (0, 1)).all():
            raise ValueError("[metrics] expected labels 0 and 1")
        chosen = np.where(labels > 0.5, p, 1 - p)
    # Clipped as in scikit-learn, by the resolution of the predictions.
    return float(-np.mean(np.log(np.clip(chosen, np.finfo(np.asarray(probability).dtype).eps, 1))))


def _rank_auc(positive: NDArray[np.bool_], score: Floats) -> float:
    """The chance that a positive row scores above a negative one, ties counting half (Mann and Whitney)."""
    positives = int(positive.sum())
    negatives = len(positive) - positives
    if positives == 0 or negatives == 0:
        message = "auc is defined only where both classes occur; it is nan here"
        warnings.warn(message, WhetWarning, stacklevel=4)
        return math.nan
    _, group, size = np.unique(score, return_inverse=True, return_counts=True)
    rank = (np.cumsum(size) - (size - 1) / 2)[group]
    return float((rank[positive].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def auc(truth: ArrayLike, score: ArrayLike) -> float:
    """The area under the ROC curve; for more than two classes the mean over classes, each against the rest.

    Args:
        truth: Class indices, (rows,).
        score: Of class 1, (rows,) or (rows, 1), or of every class, (rows, classes).

    Raises:
        ValueError: If a class does not occur, or only one does.
    """
    labels, scores = np.asarray(truth).reshape(-1), np.asarray(score)
    scores = scores.reshape(len(scores), -1)
    if scores.dtype.kind not in "biuf" or labels.dtype.kind not in "biuf" or np.isnan(scores.astype(np.float64)).any():
        raise ValueError("[metrics] expected class indices and scores that are numbers, without NaN")
    if len(labels) != len(scores):
        raise ValueError(f"[metrics] expected as many labels as scores, got {len(labels)} and {len(scores)}")
    if scores.shape[1] <= 2:
        return _rank_auc(labels > 0.5, scores[:, -1])
    return float(np.mean([_rank_auc(labels == k, scores[:, k]) for k in range(scores.shape[1])]))


def f1(truth: ArrayLike, prediction: ArrayLike) -> float:
    """The harmonic mean of precision and recall: of class 1 for labels 0 and 1, else the mean over classes."""
    a, b = _pair(truth, prediction)
    a, b = a.reshape(-1), b.reshape(-1)
    classes = np.union1d(a, b)
    if np.isin(classes, (0, 1)).all():
        classes = np.array([1])
    hits = np.array([np.sum((a == k) & (b == k)) for k in classes], dtype=np.float64)
    named = np.array([np.sum(a == k) + np.sum(b == k) for k in classes], dtype=np.float64)
    return float(np.mean(np.divide(2 * hits, named, out=np.zeros_like(hits), where=named > 0)))


_METRICS = {
    metric.name: metric
    for metric in (
        Metric("accuracy", accuracy, "labels", True),
        Metric("mae", mae, "values", False),
        Metric("rmse", rmse, "values", False),
        Metric("r2", r2, "values", True),
        Metric("log_loss", log_loss, "probabilities", False),
        Metric("auc", auc, "probabilities", True),
        Metric("f1", f1, "labels", True),
    )
}


def own(metrics: Sequence[Metric]) -> list[str]:
    """The names of those that are whet's own, for files: a function of a user's is no data."""
    return [metric.name for metric in metrics if _METRICS.get(metric.name) == metric]


def get(metrics: str | Metric | Sequence[str | Metric] | None) -> tuple[Metric, ...]:
    """The metrics that strings or objects name.

    Raises:
        TypeError: If one is neither.
        ValueError: If there is no metric of a name; the message lists the valid ones.
    """
    if metrics is None:
        return ()
    if isinstance(metrics, (str, Metric)):
        metrics = (metrics,)
    if not isinstance(metrics, Sequence):
        raise TypeError(f"[metrics] expected names, got {type(metrics).__name__}")
    found = []
    for metric in metrics:
        if isinstance(metric, Metric):
            found.append(metric)
        elif not isinstance(metric, str):
            raise TypeError(
                f"[metrics] expected strings or objects of whet.metrics.Metric, got {type(metric).__name__}"
            )
        elif metric in _METRICS:
            found.append(_METRICS[metric])
        else:
            raise ValueError(f"[metrics] expected one of {', '.join(_METRICS)}, got '{metric}'")
    return tuple(found)
