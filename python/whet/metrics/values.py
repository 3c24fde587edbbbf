"""Metrics of numbers: errors of a regression."""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from whet._arrays import Floats
from whet.metrics.base import Named, mean, one_of, pair, weights_of
from whet.metrics.predictions import Predictions
from whet.metrics.sums import Sums

__all__ = ["MAE", "MAPE", "R2", "RMSE", "mae", "mape", "r2", "rmse"]

Outputs: TypeAlias = Literal["uniform_average", "variance_weighted"]


def _columns(
    truth: ArrayLike, prediction: ArrayLike, sample_weight: ArrayLike | None
) -> tuple[Floats, Floats, Floats | None]:
    a, b = pair(truth, prediction)
    try:
        a, b = (each.reshape(len(a), -1).astype(np.float64) for each in (a, b))
    except (TypeError, ValueError):
        raise TypeError(f"[metrics] expected numbers, got {a.dtype} and {b.dtype}") from None
    return a, b, weights_of(sample_weight, len(a))


def mae(truth: ArrayLike, prediction: ArrayLike, *, sample_weight: ArrayLike | None = None) -> float:
    """The mean of |truth - prediction|, in the target's unit, as sklearn.metrics.mean_absolute_error.

    Args:
        truth: Floats, shape (rows,) or (rows, outputs), of which the mean over outputs counts.
        prediction: The same of a model.
        sample_weight: Weight of each row, shape (rows,).
    """
    a, b, weights = _columns(truth, prediction, sample_weight)
    return mean(np.abs(a - b), weights)


def rmse(truth: ArrayLike, prediction: ArrayLike, *, sample_weight: ArrayLike | None = None) -> float:
    """The square root of the mean squared error, in the target's unit, as sklearn.metrics.root_mean_squared_error.

    Arguments as `mae`; of several outputs, the mean of their roots.
    """
    a, b, weights = _columns(truth, prediction, sample_weight)
    return float(np.sqrt(np.average(np.square(a - b), axis=0, weights=weights)).mean())


def mape(truth: ArrayLike, prediction: ArrayLike, *, sample_weight: ArrayLike | None = None) -> float:
    """The mean of |truth - prediction| / |truth|, as sklearn.metrics.mean_absolute_percentage_error: 1 is 100 %.

    Arguments as `mae`. A truth of 0 counts as the resolution of float64, which makes the error huge.
    """
    a, b, weights = _columns(truth, prediction, sample_weight)
    return mean(np.abs(a - b) / np.maximum(np.abs(a), np.finfo(np.float64).eps), weights)


def r2(
    truth: ArrayLike,
    prediction: ArrayLike,
    *,
    multioutput: Outputs = "uniform_average",
    sample_weight: ArrayLike | None = None,
) -> float:
    """1 - residual / total sum of squares, as sklearn.metrics.r2_score.

    A truth that is constant scores 1 if it is met exactly, else 0.

    Args:
        truth: Floats, shape (rows,) or (rows, outputs).
        prediction: The same of a model.
        multioutput: The mean over outputs, or that by the variance of their truth.
        sample_weight: Weight of each row, shape (rows,).
    """
    one_of(multioutput, Outputs, "multioutput")
    a, b, weights = _columns(truth, prediction, sample_weight)
    each = np.ones(len(a)) if weights is None else weights
    residual = each @ np.square(a - b)
    total = each @ np.square(a - np.average(a, axis=0, weights=weights))
    return _score(residual, total, multioutput)


def _score(residual: Floats, total: Floats, multioutput: Outputs) -> float:
    score = np.where(residual == 0, 1.0, 0.0)
    np.divide(total - residual, total, out=score, where=total > 0)
    by_variance = multioutput == "variance_weighted" and total.any()
    return float(np.average(score, weights=total if by_variance else None))


class _OfValues(Named):
    """Reads values, of which there are as many as targets."""

    reads = "values"
    greater_is_better = False

    def check_shapes(self, seen: Predictions) -> None:
        """See `Metric.check_shapes`: a value for each target."""
        super().check_shapes(seen)
        truth, values = seen.read(self.reads)
        if truth.shape != values.shape:
            raise ValueError(
                f"[metrics] {self.name} needs an output for each column of y, got {values.shape[1:]} for "
                f"{truth.shape[1:]}: with a loss that is a function, a function of (truth, prediction) takes any"
            )


class MAE(_OfValues):
    """`mae`, for a fit."""

    key = "mae"
    _function = staticmethod(mae)
    needs = ("absolute",)

    def whole(self, sums: Sums) -> float:
        """See `Metric.whole`."""
        return float(sums.means("absolute").mean())


class RMSE(_OfValues):
    """`rmse`, for a fit."""

    key = "rmse"
    _function = staticmethod(rmse)
    needs = ("squares",)

    def whole(self, sums: Sums) -> float:
        """See `Metric.whole`."""
        return float(np.sqrt(sums.means("squares")).mean())


class MAPE(_OfValues):
    """`mape`, for a fit."""

    key = "mape"
    _function = staticmethod(mape)
    needs = ("relative",)

    def whole(self, sums: Sums) -> float:
        """See `Metric.whole`."""
        return float(sums.means("relative").mean())


class R2(_OfValues):
    """`r2` with its option, for a fit."""

    key = "r2"
    _function = staticmethod(r2)
    greater_is_better = True
    needs = ("squares", "deviations")
    multioutput: Outputs = "uniform_average"

    def __post_init__(self) -> None:
        one_of(self.multioutput, Outputs, "multioutput")
        super().__post_init__()

    def whole(self, sums: Sums) -> float:
        """See `Metric.whole`."""
        return _score(sums.section("squares"), sums.section("deviations"), self.multioutput)
