"""How many rows have which label, and how many were given it: what most metrics of labels are made of."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Counts", "flags"]


class Counts(NamedTuple):
    """Rows, or the sums of their weights, by label. A row of several labels counts in each.

    Attributes:
        labels: Those that occur, sorted; or the numbers of the columns.
        hits: Rows of a label that were given it.
        predicted: Rows that were given it.
        true: Rows that have it.
        binary: Whether there are two labels, of which only one is of interest.
        several: Whether a row may have several labels.
    """

    labels: NDArray[Any]
    hits: NDArray[np.float64]
    predicted: NDArray[np.float64]
    true: NDArray[np.float64]
    binary: bool
    several: bool

    @classmethod
    def of(cls, truth: NDArray[Any], prediction: NDArray[Any], weights: NDArray[Any] | None) -> Counts:
        """Of labels of shape (rows,), or `flags` of shape (rows, labels).

        Args:
            truth: What is so.
            prediction: What was said, in the same shape.
            weights: Of the rows, or None.
        """
        if truth.ndim == 2:
            return cls._of_columns(truth, prediction, weights)
        labels, a, b = _codes(truth, prediction)
        same = a == b
        hits = np.bincount(a[same], None if weights is None else weights[same], len(labels))
        predicted, true = (np.bincount(each, weights, len(labels)) for each in (b, a))
        there = predicted + true > 0
        if weights is not None:  # rows that weigh nothing have labels, too
            there |= (np.bincount(a, None, len(labels)) + np.bincount(b, None, len(labels))) > 0
        binary = bool(np.isin(labels[there], (0, 1)).all()) if labels.dtype.kind in "biuf" else False
        kept = [each[there].astype(np.float64) for each in (hits, predicted, true)]
        return cls(labels[there], kept[0], kept[1], kept[2], binary, False)

    @classmethod
    def _of_columns(cls, a: NDArray[np.bool_], b: NDArray[np.bool_], weights: NDArray[Any] | None) -> Counts:
        each = np.ones(len(a)) if weights is None else np.asarray(weights, np.float64)
        hits, predicted, true = (each @ columns for columns in (a & b, b, a))
        return cls(np.arange(a.shape[1]), hits, predicted, true, False, True)


def flags(labels: NDArray[Any]) -> NDArray[np.bool_]:
    """Labels of shape (rows, labels) as booleans.

    Raises:
        ValueError: If some are neither 0 nor 1.
    """
    if not np.isin(labels, (0, 1)).all():
        raise ValueError("[metrics] expected labels 0 and 1 where a row has several")
    return labels.astype(np.bool_)


def _codes(truth: NDArray[Any], prediction: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """All labels, sorted, and the place of each row's among them."""
    if truth.dtype.kind in "biu" and prediction.dtype.kind in "biu":
        least = min(truth.min(), prediction.min())
        most = max(truth.max(), prediction.max())
        if least >= 0 and most < len(truth) + 256:  # no sort for class indices
            return np.arange(int(most) + 1), truth.astype(np.intp), prediction.astype(np.intp)
    labels, codes = np.unique(np.concatenate([truth, prediction]), return_inverse=True)
    return labels, codes[: len(truth)], codes[len(truth) :]
