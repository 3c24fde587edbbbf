"""How well one column alone tells the target."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whet.data.columns import Column, kind_of, texts

__all__ = ["ranks", "skill", "skills"]

_SIDE = 3  # neighbours on each side whose targets are averaged


def skills(columns: Mapping[str, Column], target: NDArray[np.float64], *, are_classes: bool) -> dict[str, float]:
    """The skill of each column; see `skill`."""
    order = np.random.default_rng(0).permutation(len(target))
    halves = order[::2], order[1::2]
    return {name: skill(ordered(column), target, halves, are_classes) for name, column in columns.items()}


def ordered(column: Column) -> NDArray[np.float64]:
    """Numbers in whose order neighbours are alike: the column's own, or codes of categories; gaps stand last."""
    if kind_of(column) == "category":
        names = [name or "" for name in texts(column)]
        codes = {name: code for code, name in enumerate(sorted(set(names)))}
        return np.array([codes[name] for name in names], np.float64)
    numbers = column.astype(np.float64)
    return np.where(np.isfinite(numbers), numbers, np.inf)


def ranks(target: NDArray[Any]) -> NDArray[np.float64]:
    """The place of each number among those of its column, so that a few that are far away do not count for all."""
    found = np.empty(target.shape)
    for column, numbers in zip(found.T, target.T, strict=True):
        ordered = np.sort(numbers)
        column[:] = (np.searchsorted(ordered, numbers, "left") + np.searchsorted(ordered, numbers, "right")) / 2
    return found


def skill(
    x: NDArray[np.float64],
    target: NDArray[np.float64],
    halves: tuple[NDArray[np.int64], NDArray[np.int64]],
    are_classes: bool,
) -> float:
    """What share of the error disappears when each row gets the mean target of its neighbours in the other half.

    Of few wrong classes, a standard error more is counted: what is right by chance in a small table is not skill. The
    error is that of the most frequent class, or the target's variance; `target` has a column for each class or
    number. Rows with the same x are neighbours, and at least three on each side.
    """
    missed = base = 0.0
    for known, asked in (halves, halves[::-1]):
        predicted = _neighbours(x[known], target[known], x[asked])
        truth = target[asked]
        if are_classes:
            codes, usual = truth.argmax(axis=1), target[known].sum(axis=0).argmax()
            missed += float((predicted.argmax(axis=1) != codes).sum())
            base += float((codes != usual).sum())
        else:
            missed += float(((predicted - truth) ** 2).sum())
            base += float(((truth - target[known].mean(axis=0)) ** 2).sum())
    if are_classes:
        missed += math.sqrt(missed + 1)
    return 1 - missed / base if base > 0 else 0.0


def _neighbours(x: NDArray[np.float64], target: NDArray[np.float64], asked: NDArray[np.float64]) -> NDArray[np.float64]:
    order = np.argsort(x, kind="stable")
    x = x[order]
    sums = np.concatenate([np.zeros((1, target.shape[1])), np.cumsum(target[order], axis=0)])
    left, right = np.searchsorted(x, asked, "left"), np.searchsorted(x, asked, "right")
    middle = (left + right) // 2
    low = np.maximum(np.minimum(left, middle - _SIDE), 0)
    high = np.minimum(np.maximum(right, middle + _SIDE), len(x))
    mean: NDArray[np.float64] = (sums[high] - sums[low]) / np.maximum(high - low, 1)[:, None]
    return mean
