"""Whether probabilities are right: of what is said with 80 %, 80 % should be so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from whet._arrays import as_array, as_weights
from whet._checks import as_count
from whet._show import as_axes, as_frame, html_table, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from pandas import DataFrame

__all__ = ["Reliability", "expected_calibration_error", "reliability"]

_WHERE = "reliability"
_STRATEGIES = ("uniform", "quantile")


@dataclass(frozen=True, eq=False, repr=False)
class Reliability:
    """What `reliability` found, for each bin of probabilities that has a row.

    Attributes:
        confidence: The mean probability in it.
        accuracy: The share of its rows for which it was so.
        share: Of all rows (or of their weights) that are in it.
        edges: Where bins begin and end, also those without a row.
    """

    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    share: NDArray[np.float64]
    edges: NDArray[np.float64]

    @property
    def expected_calibration_error(self) -> float:
        """The mean distance of confidence and accuracy, each bin by its share."""
        return float((self.share * np.abs(self.confidence - self.accuracy)).sum())

    @property
    def maximum_calibration_error(self) -> float:
        """The largest distance in a bin."""
        return float(np.abs(self.confidence - self.accuracy).max())

    def to_pandas(self) -> DataFrame:
        """A pandas.DataFrame with a row for each bin.

        Raises:
            ImportError: If pandas is not installed.
        """
        return as_frame({"confidence": self.confidence, "accuracy": self.accuracy, "share": self.share})

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draws the reliability diagram: accuracy over confidence, with the share of rows below.

        Raises:
            ImportError: If matplotlib is not installed.
        """
        place = as_axes(ax, (4.2, 4.0))
        low = float(self.edges[0])
        place.plot([low, 1], [low, 1], color="0.6", linewidth=1, linestyle="--", label="right")
        place.bar(self.confidence, self.share, width=0.02, color="0.8", label="share of rows")
        place.plot(self.confidence, self.accuracy, marker="o", color="C0", label="found")
        place.set_xlabel("confidence")
        place.set_ylabel("accuracy")
        place.set_ylim(0, 1.02)
        place.set_title(f"expected calibration error {number(self.expected_calibration_error)}", fontsize="medium")
        place.legend(loc="upper left")
        return place

    def __repr__(self) -> str:
        return (
            f"Reliability({len(self.confidence)} bins, expected_calibration_error="
            f"{number(self.expected_calibration_error)}, "
            f"maximum_calibration_error={number(self.maximum_calibration_error)})"
        )

    def _repr_html_(self) -> str:
        columns = zip(self.confidence, self.accuracy, self.share, strict=True)
        rows = [tuple(number(each) for each in row) for row in columns]
        return html_table(
            ("confidence", "accuracy", "share of rows"),
            rows,
            f"expected calibration error {number(self.expected_calibration_error)}",
        )


def reliability(
    truth: ArrayLike,
    probability: ArrayLike,
    *,
    classes: ArrayLike | None = None,
    n_bins: int = 15,
    strategy: str = "uniform",
    sample_weight: ArrayLike | None = None,
) -> Reliability:
    """How often what a model says with a probability is so, by bins of that probability.

    Of several classes, the probability of the class predicted, and whether it is the right one (Guo et al., "On
    calibration of modern neural networks", ICML 2017); of one column, that of label 1, and whether the label is 1, as
    sklearn.calibration.calibration_curve.

    Args:
        truth: Class indices, or labels among `classes`; 0 and 1 for one column. Shape (rows,).
        probability: Shape (rows, classes), or (rows,) or (rows, 1).
        classes: The labels, in the order of the columns, such as a TabularModel's `classes_`.
        n_bins: The number of bins.
        strategy: Bins of the same width, "uniform", or of as many rows each, "quantile".
        sample_weight: Of the rows, shape (rows,).

    Raises:
        TypeError: If an argument is of a wrong kind.
        ValueError: If shapes do not fit, there is no row, or a number is no probability.
    """
    bins = as_count(n_bins, _WHERE, "n_bins")
    if strategy not in _STRATEGIES:
        raise ValueError(f"[{_WHERE}] expected a strategy among {', '.join(_STRATEGIES)}, got {strategy!r}")
    confidence, right = _seen(truth, probability, classes)
    weights = as_weights(sample_weight, len(right), np.float64, _WHERE)
    each = np.ones(len(right)) if weights is None else weights
    edges = np.linspace(0, 1, bins + 1)
    if strategy == "quantile":
        edges = np.quantile(confidence, edges)
    place = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)  # (low, high], as in the paper
    total = np.bincount(place, each, bins)
    there = total > 0
    mean = [np.bincount(place, each * what, bins)[there] / total[there] for what in (confidence, right)]
    return Reliability(mean[0], mean[1], total[there] / total.sum(), edges)


def expected_calibration_error(
    truth: ArrayLike,
    probability: ArrayLike,
    *,
    classes: ArrayLike | None = None,
    n_bins: int = 15,
    sample_weight: ArrayLike | None = None,
) -> float:
    """The mean distance of how sure a model is and how often it is right, over bins of the same width.

    Args:
        truth: As all others, see `reliability`.
        probability: Shape (rows, classes), (rows,) or (rows, 1).
        classes: The labels, in the order of the columns.
        n_bins: The number of bins.
        sample_weight: Of the rows, shape (rows,).

    Raises:
        TypeError, ValueError: See `reliability`.
    """
    found = reliability(truth, probability, classes=classes, n_bins=n_bins, sample_weight=sample_weight)
    return found.expected_calibration_error


def _seen(
    truth: ArrayLike, probability: ArrayLike, classes: ArrayLike | None
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """How sure each row is, and whether it is right."""
    p = as_array(probability, _WHERE, "probability").astype(np.float64)
    p = p.reshape(-1) if p.ndim == 2 and p.shape[1] == 1 else p
    labels = np.asarray(truth).reshape(-1)
    if p.ndim not in (1, 2) or len(p) != len(labels) or not len(labels):
        raise ValueError(
            f"[{_WHERE}] expected probability of shape (rows,) or (rows, classes) and truth of shape (rows,), not "
            f"empty; got {p.shape} and {np.shape(truth)}"
        )
    if not ((p >= 0) & (p <= 1 + 1e-6)).all():
        raise ValueError(f"[{_WHERE}] expected probabilities from 0 to 1: predict_proba gives them")
    p = np.minimum(p, 1)
    known = np.arange(2 if p.ndim == 1 else p.shape[1]) if classes is None else np.asarray(classes)
    if len(known) != (2 if p.ndim == 1 else p.shape[1]):
        raise ValueError(f"[{_WHERE}] expected a class for each column, got {len(known)}")
    unknown = ~np.isin(labels, known)
    if unknown.any():
        raise ValueError(
            f"[{_WHERE}] expected truth among the classes {known[:10].tolist()}, got another first in row "
            f"{int(unknown.argmax())}; classes=... names them"
        )
    if p.ndim == 1:
        return p, labels == known[1]
    return p.max(axis=1), known[p.argmax(axis=1)] == labels
