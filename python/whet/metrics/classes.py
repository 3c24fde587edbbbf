"""Metrics of labels: those that are right, and precision, recall and F1 with their averages over labels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from whet._arrays import Floats
from whet._checks import as_count, as_flag
from whet.losses import Loss
from whet.metrics.base import Named, mean, one_of, pair, weights_of
from whet.metrics.counts import Counts, flags
from whet.metrics.predictions import Predictions
from whet.metrics.sums import Sums

__all__ = [
    "F1",
    "Accuracy",
    "BalancedAccuracy",
    "Precision",
    "Recall",
    "TopK",
    "accuracy",
    "balanced_accuracy",
    "f1",
    "precision",
    "recall",
    "top_k",
]

Average: TypeAlias = Literal["auto", "binary", "macro", "micro", "weighted"]
_Ratio: TypeAlias = Callable[[Counts], "tuple[Floats, Floats]"]


def _labels(truth: ArrayLike, prediction: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
    a, b = pair(truth, prediction)
    if a.ndim > 2:
        raise ValueError(f"[metrics] expected labels of shape (rows,) or (rows, labels), got {a.shape}")
    return (a, b) if a.ndim == 1 else (flags(a), flags(b))


def _counts(truth: ArrayLike, prediction: ArrayLike, sample_weight: ArrayLike | None) -> Counts:
    a, b = _labels(truth, prediction)
    return Counts.of(a, b, weights_of(sample_weight, len(a)))


def accuracy(truth: ArrayLike, prediction: ArrayLike, *, sample_weight: ArrayLike | None = None) -> float:
    """The share of rows whose label is right, as sklearn.metrics.accuracy_score.

    Args:
        truth: Labels, shape (rows,); or 0 and 1, shape (rows, labels), where a row is right if all of its labels are.
        prediction: The same of a model.
        sample_weight: Weight of each row, shape (rows,).
    """
    a, b = _labels(truth, prediction)
    right = (a == b).reshape(len(a), -1).all(axis=1)
    return mean(right, weights_of(sample_weight, len(a)))


def balanced_accuracy(
    truth: ArrayLike, prediction: ArrayLike, *, adjusted: bool = False, sample_weight: ArrayLike | None = None
) -> float:
    """The mean over classes of the share of their rows that is right, as sklearn.metrics.balanced_accuracy_score.

    Args:
        truth: Labels, shape (rows,).
        prediction: The same of a model.
        adjusted: Whether 0 is what chance gives, in place of 1 / classes.
        sample_weight: Weight of each row, shape (rows,).
    """
    return _balanced(_counts(truth, prediction, sample_weight), as_flag(adjusted, "metrics", "adjusted"))


def _balanced(counts: Counts, adjusted: bool) -> float:
    if counts.several:
        raise ValueError("[metrics] expected one label a row for balanced_accuracy, got several")
    there = counts.true > 0
    score = float(np.mean(counts.hits[there] / counts.true[there]))
    chance = 1 / int(there.sum())
    if not adjusted:
        return score
    return (score - chance) / (1 - chance) if chance < 1 else float("nan")


def precision(
    truth: ArrayLike,
    prediction: ArrayLike,
    *,
    average: Average = "auto",
    pos_label: Any = 1,
    zero_division: float = 0.0,
    sample_weight: ArrayLike | None = None,
) -> float:
    """The share of the rows that were given a label that have it, as sklearn.metrics.precision_score.

    Args:
        truth: Labels, shape (rows,); or 0 and 1, shape (rows, labels), where a row may have several labels.
        prediction: The same of a model.
        average: "binary" for `pos_label` alone, "macro" for the mean over labels, "weighted" for the mean by rows that
            have them, "micro" for one score over all; "auto" is "binary" for labels 0 and 1, else "macro".
        pos_label: The label that "binary" looks at.
        zero_division: The score of a label that nothing can be said of: 0, 1, or NaN, which leaves it out of means.
        sample_weight: Weight of each row, shape (rows,).
    """
    return _averaged(_of_predicted, _counts(truth, prediction, sample_weight), average, pos_label, zero_division)


def recall(
    truth: ArrayLike,
    prediction: ArrayLike,
    *,
    average: Average = "auto",
    pos_label: Any = 1,
    zero_division: float = 0.0,
    sample_weight: ArrayLike | None = None,
) -> float:
    """The share of the rows of a label that were given it, as sklearn.metrics.recall_score.

    Arguments as `precision`.
    """
    return _averaged(_of_true, _counts(truth, prediction, sample_weight), average, pos_label, zero_division)


def f1(
    truth: ArrayLike,
    prediction: ArrayLike,
    *,
    average: Average = "auto",
    pos_label: Any = 1,
    zero_division: float = 0.0,
    sample_weight: ArrayLike | None = None,
) -> float:
    """The harmonic mean of precision and recall, as sklearn.metrics.f1_score.

    Arguments as `precision`.
    """
    return _averaged(_of_both, _counts(truth, prediction, sample_weight), average, pos_label, zero_division)


def _of_predicted(counts: Counts) -> tuple[Floats, Floats]:
    return counts.hits, counts.predicted


def _of_true(counts: Counts) -> tuple[Floats, Floats]:
    return counts.hits, counts.true


def _of_both(counts: Counts) -> tuple[Floats, Floats]:
    return 2 * counts.hits, counts.predicted + counts.true


def _averaged(ratio: _Ratio, counts: Counts, average: Average, pos_label: Any, zero_division: float) -> float:
    """The average over labels of hits by what `ratio` divides them by."""
    one_of(average, Average, "average")
    if zero_division not in (0, 1) and not zero_division != zero_division:
        raise ValueError(f"[metrics] expected zero_division 0, 1 or nan, got {zero_division!r}")
    if average == "auto":
        average = "binary" if counts.binary else "macro"
    above, below = ratio(counts)
    if average == "binary":
        chosen = _positive(counts, pos_label)
        above, below = above[chosen].sum(keepdims=True), below[chosen].sum(keepdims=True)
    elif average == "micro":
        above, below = above.sum(keepdims=True), below.sum(keepdims=True)
    each = np.divide(above, below, out=np.full(len(above), float(zero_division)), where=below > 0)
    known = ~np.isnan(each)
    if not known.any():
        return float("nan")
    weights = counts.true[known] if average == "weighted" else None
    if weights is not None and not weights.any():
        weights = None
    return float(np.average(each[known], weights=weights))


def _positive(counts: Counts, pos_label: Any) -> NDArray[np.bool_]:
    """Where the label of interest stands."""
    if counts.several or len(counts.labels) > 2:
        raise ValueError("[metrics] expected labels of two kinds for average 'binary'; 'macro' takes any number")
    chosen: NDArray[np.bool_] = counts.labels == pos_label
    if not chosen.any() and len(counts.labels) == 2:
        raise ValueError(f"[metrics] expected pos_label to be one of {counts.labels.tolist()}, got {pos_label!r}")
    return chosen


def top_k(truth: ArrayLike, score: ArrayLike, *, k: int = 2, sample_weight: ArrayLike | None = None) -> float:
    """The share of rows whose class is among the k of the highest scores, as sklearn.metrics.top_k_accuracy_score.

    Args:
        truth: Class indices, shape (rows,).
        score: Of every class, shape (rows, classes): probabilities or raw outputs. Of equal scores, those of later
            classes are taken first.
        k: How many classes.
        sample_weight: Weight of each row, shape (rows,).
    """
    labels, scores = np.asarray(truth).reshape(-1), np.asarray(score)
    if scores.ndim != 2 or len(scores) != len(labels) or scores.size == 0:
        raise ValueError(f"[metrics] expected a score for every row and class, got {labels.shape} and {scores.shape}")
    if labels.dtype.kind not in "biu" or labels.min() < 0 or labels.max() >= scores.shape[1]:
        raise ValueError(f"[metrics] expected class indices from 0 to {scores.shape[1] - 1}")
    own = scores[np.arange(len(labels)), labels][:, None]
    ahead = np.count_nonzero(scores > own, axis=1)
    same = scores == own
    if np.count_nonzero(same) > len(labels):  # ties
        ahead += np.count_nonzero(same & (np.arange(scores.shape[1]) > labels[:, None]), axis=1)
    return mean(ahead < as_count(k, "metrics", "k"), weights_of(sample_weight, len(labels)))


class _OfCounts(Named):
    """Made of how many rows have which label, and how many were given it."""

    needs = ("counts",)
    reads = "labels"
    greater_is_better = True

    def _of(self, counts: Counts) -> float:
        raise TypeError("[metrics] a metric of counts says what it makes of them")

    def whole(self, sums: Sums) -> float:
        """See `Metric.whole`."""
        return self._of(sums.counts)


class Accuracy(Named):
    """`accuracy`, for a fit."""

    key = "accuracy"
    _function = staticmethod(accuracy)
    needs = ("right",)
    reads = "labels"
    greater_is_better = True

    def whole(self, sums: Sums) -> float:
        """See `Metric.whole`."""
        return float(sums.means("right")[0])


class BalancedAccuracy(_OfCounts):
    """`balanced_accuracy` with its options, for a fit."""

    key = "balanced_accuracy"
    _function = staticmethod(balanced_accuracy)
    adjusted: bool = False

    def __post_init__(self) -> None:
        as_flag(self.adjusted, "BalancedAccuracy", "adjusted")
        super().__post_init__()

    def check_shapes(self, seen: Predictions) -> None:
        """See `Metric.check_shapes`: a row has one label."""
        super().check_shapes(seen)
        if seen.truth.ndim == 2:
            raise ValueError(f"[metrics] {self.name} needs one label a row, got {seen.truth.shape[1]}")

    def _of(self, counts: Counts) -> float:
        return _balanced(counts, self.adjusted)


class _Averaged(_OfCounts):
    """With the options of `precision`."""

    average: Average = "auto"
    pos_label: int = 1
    zero_division: float = 0.0

    def __post_init__(self) -> None:
        one_of(self.average, Average, "average")
        super().__post_init__()

    def check_shapes(self, seen: Predictions) -> None:
        """See `Metric.check_shapes`: "binary" needs two classes."""
        super().check_shapes(seen)
        if self.average == "binary" and not (seen.truth.ndim == 1 and seen.classes == 2):
            raise ValueError(f"[metrics] {self.name} with average 'binary' needs two classes; 'macro' takes any number")

    @staticmethod
    def _ratio(counts: Counts) -> tuple[Floats, Floats]:
        return counts.hits, counts.true

    def _of(self, counts: Counts) -> float:
        return _averaged(self._ratio, counts, self.average, self.pos_label, self.zero_division)


class Precision(_Averaged):
    """`precision` with its options, for a fit."""

    key = "precision"
    _function = staticmethod(precision)
    _ratio = staticmethod(_of_predicted)


class Recall(_Averaged):
    """`recall` with its options, for a fit."""

    key = "recall"
    _function = staticmethod(recall)
    _ratio = staticmethod(_of_true)


class F1(_Averaged):
    """`f1` with its options, for a fit."""

    key = "f1"
    _function = staticmethod(f1)
    _ratio = staticmethod(_of_both)


class TopK(Named):
    """`top_k` with its option, for a fit; by default its name is "top_3" for k = 3, but "top_k" for its own k, 2."""

    key = "top_k"
    _function = staticmethod(top_k)
    needs = ("ranks",)
    reads = "scores"
    greater_is_better = True
    k: int = 2

    def __post_init__(self) -> None:
        as_count(self.k, "TopK", "k")
        super().__post_init__()

    def _default_name(self) -> str:
        return self.key if self.k == 2 else f"top_{self.k}"

    def check(self, loss: Loss) -> None:
        """See `Metric.check`: a row has one of several classes."""
        if loss.kind != "classes":
            raise ValueError(f"[metrics] {self.name} needs a loss with classes, such as cross_entropy; got {loss.name}")

    def whole(self, sums: Sums) -> float:
        """See `Metric.whole`: of outputs, which have an order where probabilities are rounded to 0 or 1."""
        return float(sums.means("ranks")[: self.k].sum())
