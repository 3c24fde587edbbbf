"""Metrics of probabilities and scores: log loss, Brier score, area under the ROC curve."""

from __future__ import annotations

import math
import warnings
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from whet import _core
from whet._arrays import Floats
from whet._checks import as_flag
from whet.errors import WhetWarning
from whet.metrics.base import Named, mean, one_of, pair, weights_of
from whet.metrics.predictions import Predictions
from whet.metrics.sums import Sums

__all__ = ["ROCAUC", "Brier", "LogLoss", "auc", "brier", "log_loss", "roc_auc"]

Average: TypeAlias = Literal["macro", "micro", "weighted"]


def _likely(truth: ArrayLike, probability: ArrayLike) -> tuple[NDArray[Any], NDArray[Any], bool]:
    """Labels, probabilities of them, and whether these are of several classes, checked."""
    labels, p = np.asarray(truth), np.asarray(probability)
    if p.dtype.kind not in "biuf" or (p.size and not (p.min() >= 0 and p.max() <= 1)):
        raise ValueError("[metrics] expected probabilities from 0 to 1")
    if labels.ndim != 1 or p.ndim != 2 or p.shape[1] == 1:
        labels, p = pair(labels, p)
        if not np.isin(labels, (0, 1)).all():
            raise ValueError("[metrics] expected labels 0 and 1")
        return labels, p, False
    if len(labels) != len(p) or len(p) == 0:
        raise ValueError(f"[metrics] expected as many labels as rows, not none; got {labels.shape} and {p.shape}")
    whole = labels.dtype.kind in "biu" or (labels == np.floor(labels)).all()
    if not whole or labels.min() < 0 or labels.max() >= p.shape[1]:
        raise ValueError(f"[metrics] expected class indices from 0 to {p.shape[1] - 1}")
    return labels.astype(np.intp), p, True


def log_loss(truth: ArrayLike, probability: ArrayLike, *, sample_weight: ArrayLike | None = None) -> float:
    """The mean of -log(probability of the true class), as sklearn.metrics.log_loss.

    A fit computes it of the raw outputs, where no probability is rounded to 0.

    Args:
        truth: Labels: class indices of shape (rows,) for probabilities (rows, classes), else 0 or 1.
        probability: Of every class, (rows, classes); or of label 1, in the shape of `truth`, whose mean over columns
            counts.
        sample_weight: Weight of each row, shape (rows,).
    """
    labels, p, classes = _likely(truth, probability)
    chosen = p[np.arange(len(p)), labels] if classes else np.where(labels > 0.5, p, 1 - p)
    # Clipped as in scikit-learn, by the resolution of the predictions.
    eps = np.finfo(p.dtype if p.dtype.kind == "f" else np.float64).eps
    return mean(-np.log(np.clip(chosen.astype(np.float64), eps, 1)), weights_of(sample_weight, len(p)))


def brier(
    truth: ArrayLike,
    probability: ArrayLike,
    *,
    scale_by_half: bool | Literal["auto"] = "auto",
    sample_weight: ArrayLike | None = None,
) -> float:
    """The mean squared distance of probabilities from what was so, as sklearn.metrics.brier_score_loss.

    Args:
        truth: Labels as for `log_loss`.
        probability: As for `log_loss`.
        scale_by_half: Whether the sum over classes is halved, so that the score lies between 0 and 1; "auto" does so
            for two classes. Probabilities of label 1 alone count half of it anyway.
        sample_weight: Weight of each row, shape (rows,).
    """
    labels, p, classes = _likely(truth, probability)
    scale = _scale(scale_by_half, p.shape[1] if classes else 0)
    weights = weights_of(sample_weight, len(p))
    if not classes:
        return mean(np.square(labels - p.astype(np.float64)), weights) * scale
    # The sum over classes of (p - [class is true])^2.
    each = np.einsum("ij,ij->i", p, p) + (1 - 2 * p[np.arange(len(p)), labels].astype(np.float64))
    return mean(each, weights) * scale


def _scale(half: bool | Literal["auto"], classes: int) -> float:
    """What multiplies the squares summed over classes, or those of label 1 alone, which are half of both labels'."""
    if half == "auto":
        return 1.0 if classes == 0 else 0.5 if classes == 2 else 1.0
    return (0.5 if classes else 1.0) * (1 if as_flag(half, "metrics", "scale_by_half") else 2)


def roc_auc(
    truth: ArrayLike, score: ArrayLike, *, average: Average = "macro", sample_weight: ArrayLike | None = None
) -> float:
    """The area under the ROC curve, as sklearn.metrics.roc_auc_score: the chance that a row of a class scores above one
    of the others, ties counting half (Mann and Whitney). Of several classes each is compared with the rest.

    Args:
        truth: Class indices, shape (rows,), or 0 and 1, shape (rows, labels).
        score: Of class 1, shape (rows,) or (rows, 1), or of every class or label, (rows, classes).
        average: For several classes or labels: "macro" is the mean, "weighted" that by rows which have them, "micro"
            the area of all rows and classes in one.
        sample_weight: Weight of each row, shape (rows,).

    Returns:
        The area; NaN, with a warning, where a class does not occur or only one does.
    """
    one_of(average, Average, "average")
    labels, scores = np.asarray(truth), np.asarray(score)
    if scores.dtype.kind not in "biuf" or labels.dtype.kind not in "biuf" or np.isnan(scores).any():
        raise ValueError("[metrics] expected class indices and scores that are numbers, without NaN")
    if len(labels) != len(scores) or len(labels) == 0:
        raise ValueError(f"[metrics] expected as many labels as scores, got {len(labels)} and {len(scores)}")
    scores = scores.reshape(len(scores), -1)
    weights = weights_of(sample_weight, len(scores))
    if labels.ndim == 2 and labels.shape[1] > 1:
        positive = pair(labels, scores)[0] > 0.5
    elif scores.shape[1] <= 2:
        return _area(labels.reshape(-1) > 0.5, scores[:, -1], weights)
    else:
        positive = labels.reshape(-1, 1) == np.arange(scores.shape[1])
    if average == "micro":
        each = None if weights is None else np.repeat(weights, scores.shape[1])
        return _area(positive.reshape(-1), scores.reshape(-1), each)
    areas = [_area(positive[:, k], scores[:, k], weights) for k in range(scores.shape[1])]
    share = positive.sum(axis=0) if weights is None else weights @ positive
    return float(np.average(areas, weights=share if average == "weighted" and share.any() else None))


auc = roc_auc


def _area(positive: NDArray[np.bool_], score: NDArray[Any], weights: Floats | None) -> float:
    """Of rows that are positive over the others."""
    scores = np.ascontiguousarray(score, np.float32 if score.dtype == np.float32 else np.float64)
    area = _core.roc_area(scores, np.ascontiguousarray(positive), weights)
    if math.isnan(area):
        message = "roc_auc is defined only where both classes occur; it is nan here"
        warnings.warn(message, WhetWarning, stacklevel=4)
    return area


class LogLoss(Named):
    """`log_loss`, for a fit, which computes it of the raw outputs."""

    key = "log_loss"
    _function = staticmethod(log_loss)
    needs = ("log_loss",)
    reads = "probabilities"
    greater_is_better = False

    def whole(self, sums: Sums) -> float:
        """See `Metric.whole`."""
        return float(sums.means("log_loss")[0])


class Brier(Named):
    """`brier` with its option, for a fit."""

    key = "brier"
    _function = staticmethod(brier)
    needs = ("brier",)
    reads = "probabilities"
    greater_is_better = False
    scale_by_half: bool | Literal["auto"] = "auto"

    def __post_init__(self) -> None:
        if self.scale_by_half != "auto":
            as_flag(self.scale_by_half, "Brier", "scale_by_half")
        super().__post_init__()

    def whole(self, sums: Sums) -> float:
        """See `Metric.whole`."""
        columns = sums.columns if sums.kind == "classes" else 0
        return float(sums.means("brier")[0]) * _scale(self.scale_by_half, columns)


class ROCAUC(Named):
    """`roc_auc` with its option, for a fit."""

    key = "roc_auc"
    _function = staticmethod(roc_auc)
    reads = "scores"
    greater_is_better = True
    average: Average = "macro"

    def __post_init__(self) -> None:
        one_of(self.average, Average, "average")
        super().__post_init__()

    def score(self, seen: Predictions) -> float:
        """See `Metric.score`."""
        truth, score = seen.read(self.reads)
        return roc_auc(truth, score, average=self.average, sample_weight=seen.weights)
