"""How much of an output each column made, on the way from a baseline to the row."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from whet._arrays import as_array
from whet._checks import as_count, as_number
from whet._rows import AnyModel, Rows, rows_of
from whet.errors import WhetWarning
from whet.explain.derivatives import Derivatives, Target, targets_of
from whet.explain.gradients import Attributions, named, warn_of_lookups

__all__ = ["integrated_gradients"]

_HALVINGS = 24  # of a path, until a kink on it does not count
# Between two kinks of ReLU the gradient is constant, and few points are enough. With 4 instead of 8, a model of two
# hidden layers of 128 took 0.6 times as long, and single values were off by 0.7 % instead of 0.1 %.
_POINTS_OF_HALVES = 8
_PIECES = 1024  # of a row, on average of a block: a way that needs more is left as it is
_BLOCK_ROWS, _BLOCK_NUMBERS = 256, 1 << 16  # at most, of rows and of their features
_LEAST = 1e-9  # tolerance: below, roundings would be halved


def integrated_gradients(
    model: AnyModel,
    X: Any,
    *,
    baseline: ArrayLike | str | None = None,
    target: Target = None,
    n_steps: int = 50,
    tolerance: float = 1e-4,
    feature_names: Sequence[str] | None = None,
) -> Attributions:
    """What each column adds to an output on the straight way from a baseline to the row; a row's values sum to it.

    (x - baseline) times the mean gradient on the way (Sundararajan et al., "Axiomatic attribution for deep networks",
    ICML 2017), at the points of Gauss and Legendre, as captum.attr.IntegratedGradients. Where a row's values miss the
    difference of its outputs by more than `tolerance`, because the way crosses the kinks of ReLU, the pieces at fault
    are halved until they do not. All is computed in float64. Columns that an embedding looks up stay as they are on the
    way: their values are zero, and a warning says so.

    Args:
        model: An nn.Module or a fitted TabularModel.
        X: Features, or a table.
        baseline: Features: one number, or one for each; None for zero; or "mean", that of these rows. Of a table, zero
            stands for a number where the scaler puts it, by default the median, and for no category.
        target: See `input_gradients`.
        n_steps: Points on the way, before any piece of it is halved.
        tolerance: What a row's values may miss the difference of its outputs by, as a share of that difference where
            it is larger than 1.
        feature_names: Of the columns of an array; those of a DataFrame are known.

    Returns:
        With `baseline_outputs` and `convergence_delta`.

    Raises:
        TypeError: If an argument is of a wrong kind.
        ValueError: If shapes do not fit, or there is no such output.
        RuntimeError: If a TabularModel is not fitted.

    Warns:
        WhetWarning: For columns that an embedding looks up, and for a difference that could not be met.
    """
    where = "integrated_gradients"
    rows = rows_of(model, X, None, where, with_target=False, names=feature_names)
    steps = as_count(n_steps, where, "n_steps")
    share = as_number(tolerance, where, "tolerance", low=_LEAST)
    chosen = targets_of(rows, target)
    derivatives, every = Derivatives(rows, chosen), np.arange(len(chosen))
    warn_of_lookups(rows, derivatives)
    start = np.repeat(_one_baseline(rows, baseline), len(every), axis=0)
    start[:, derivatives.looked_up] = derivatives.x[:, derivatives.looked_up]
    begin, end = derivatives.outputs(start, every), derivatives.outputs(derivatives.x, every)
    path, rise = _Path(derivatives, start, steps), end - begin
    allowed = share * np.maximum(1, np.abs(rise))
    size = max(1, min(_BLOCK_ROWS, _BLOCK_NUMBERS // start.shape[1]))
    blocks = [every[first : first + size] for first in range(0, len(every), size)]
    found = np.concatenate([path.integral(block, rise[block], allowed[block]) for block in blocks])
    delta = found.sum(axis=1) - rise
    missed = np.abs(delta) > allowed
    if missed.any():
        warnings.warn(
            f"[{where}] the values of {int(missed.sum())} rows miss the difference of outputs by up to "
            f"{np.abs(delta).max():.1e}: the model jumps on the way, or needs more than {steps} steps",
            WhetWarning,
            stacklevel=2,
        )
    values = np.stack([found[:, group].sum(axis=1) for group in rows.groups], axis=1)
    return Attributions(rows.names, values, named(rows, chosen), end, "integrated gradients", begin, delta)


def _one_baseline(rows: Rows, baseline: ArrayLike | str | None) -> NDArray[np.float64]:
    """The features that a path begins with, shape (1, features)."""
    width = rows.features.shape[1]
    if baseline is None:
        return np.zeros((1, width))
    if isinstance(baseline, str):
        if baseline != "mean":
            raise ValueError(f"[{rows.where}] expected a baseline of numbers or 'mean', got {baseline!r}")
        mean: NDArray[np.float64] = rows.features.mean(axis=0, dtype=np.float64, keepdims=True)
        return mean
    given = as_array(baseline, rows.where, "baseline").astype(np.float64).reshape(1, -1)
    if given.shape[1] not in (1, width) or not np.isfinite(given).all():
        raise ValueError(
            f"[{rows.where}] expected a baseline of one finite number or of {width}, one for each feature, "
            f"got shape {np.shape(baseline)}"
        )
    return given if given.shape[1] == width else np.full((1, width), given[0, 0])


@dataclass(frozen=True)
class _Pieces:
    """Parts of the ways of rows: from `low` to `high`, as shares of the way; each of the row at that place."""

    row: NDArray[np.intp]
    low: NDArray[np.float64]
    high: NDArray[np.float64]

    def take(self, chosen: NDArray[Any]) -> _Pieces:
        return _Pieces(self.row[chosen], self.low[chosen], self.high[chosen])

    def halves(self) -> _Pieces:
        middle = (self.low + self.high) / 2
        return _Pieces(
            np.concatenate([self.row, self.row]),
            np.concatenate([self.low, middle]),
            np.concatenate([middle, self.high]),
        )


class _Path:
    """The ways from `start` to the rows, and integrals along them."""

    def __init__(self, derivatives: Derivatives, start: NDArray[np.float64], steps: int) -> None:
        self._derivatives, self._start, self._way = derivatives, start, derivatives.x - start
        self._steps = steps

    def integral(
        self, rows: NDArray[np.intp], rise: NDArray[np.float64], allowed: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Of the gradient along the way of each of these rows, times the way: shape (rows, features).

        Pieces are halved until the sum of a row misses its `rise` by no more than is `allowed`.
        """
        count = len(rows)
        pieces = _Pieces(np.arange(count), np.zeros(count), np.ones(count))
        found = self._along(rows, pieces, self._steps)
        gap = found.sum(axis=1) - rise
        total: NDArray[np.float64] = found.copy()
        missed = gap.copy()
        for level in range(1, _HALVINGS):
            # What is not at fault misses less than the row may in sum: the shares of all levels add up to 0.9.
            of_row = np.bincount(pieces.row, minlength=count)[pieces.row]
            at_fault = np.abs(gap) > allowed[pieces.row] / (4 * level * of_row)
            chosen = at_fault & (np.abs(missed[pieces.row]) > allowed[pieces.row])
            if not 0 < chosen.sum() <= _PIECES * count:
                break
            whole = pieces.take(chosen)
            np.subtract.at(total, whole.row, found[chosen])
            np.subtract.at(missed, whole.row, gap[chosen])
            pieces = whole.halves()
            found = self._along(rows, pieces, _POINTS_OF_HALVES)
            gap = found.sum(axis=1) - self._rise(rows, pieces)
            np.add.at(total, pieces.row, found)
            np.add.at(missed, pieces.row, gap)
        return total

    def _points(self, row: NDArray[np.intp], share: NDArray[np.float64]) -> NDArray[np.float64]:
        points: NDArray[np.float64] = self._start[row] + share[:, None] * self._way[row]
        return points

    def _rise(self, rows: NDArray[np.intp], pieces: _Pieces) -> NDArray[np.float64]:
        """What the output gains on each piece."""
        of = rows[pieces.row]
        high, low = self._points(of, pieces.high), self._points(of, pieces.low)
        return self._derivatives.outputs(high, of) - self._derivatives.outputs(low, of)

    def _along(self, rows: NDArray[np.intp], pieces: _Pieces, steps: int) -> NDArray[np.float64]:
        """The integral of each piece, shape (pieces, features), by the rule of Gauss and Legendre."""
        mean = np.zeros((len(pieces.row), self._start.shape[1]))
        length, of = pieces.high - pieces.low, rows[pieces.row]
        for node, weight in zip(*np.polynomial.legendre.leggauss(steps), strict=True):
            points = self._points(of, pieces.low + (node + 1) / 2 * length)
            mean += weight / 2 * self._derivatives.gradients(points, of)
        mean *= length[:, None] * self._way[of]
        return mean
