"""Rows to train on or to evaluate: checked and converted, as the core and the metrics take them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from whet import _core
from whet._arrays import CoreFeatures, Features, Floats, SparseFloats, as_floats, as_weights
from whet._checks import as_number
from whet.losses import Loss, TracedLoss
from whet.training.classes import ClassWeight, class_factors

if TYPE_CHECKING:
    from whet.training.model import Model

__all__ = ["Rows", "set_apart", "weighed"]


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
        some: bool = True,
    ) -> Rows:
        """Checks and converts, without copying what is right already. Of `some` rows at least, a weight is above 0."""
        features = model._features(X, where, width)
        if len(features) == 0:
            raise ValueError(f"[{where}] expected at least one row, got X with shape {features.shape}")
        outputs = model._width_of_output(features.shape[1])
        if not (model._has_one_output(features.shape[1]) or isinstance(loss, TracedLoss)):
            raise ValueError(f"[{where}] expected a loss that is a function of a tuple, as the model returns one")
        columns = model._width_of_target(features.shape[1], loss)
        target = loss.target(y, len(features), columns, model.dtype, where)
        given = as_weights(sample_weight, len(features), model.dtype, where, some)
        truth, weights = weighed(loss, target, outputs, model.dtype, given, where, some)
        return cls(features, target, truth, weights, given)

    def weighted(self, class_weight: ClassWeight, loss: Loss, outputs: int, some: bool = True) -> Rows:
        """These rows, each with its weight multiplied by that of its class."""
        if class_weight is None:
            return self
        factors = class_factors(class_weight, loss, self.target, outputs)
        weights = as_floats(factors, self.features.dtype, "fit", "class_weight")
        with np.errstate(over="ignore"):
            given = weights if self.given is None else weights * self.given
            weights = weights if self.weights is None else weights * self.weights
        if (some and not weights.any()) or not np.isfinite(weights).all():
            raise ValueError("[fit] expected class_weight to leave rows that count, and none that counts infinitely")
        return replace(self, weights=weights, given=given)

    def take(self, rows: NDArray[np.int64]) -> Rows:
        """A copy of some rows."""
        target = self.target[rows]
        truth = target if self.truth is self.target else self.truth[rows]
        weights, given = (None if each is None else each[rows] for each in (self.weights, self.given))
        return Rows(self.features[rows], target, truth, weights, given, rows)

    def cut(self, first: int, end: int) -> Rows:
        """A view of neighbouring rows."""
        return self._each(lambda array: array[first:end])

    def copy(self) -> Rows:
        """These rows, apart from those that they were cut out of."""
        return self._each(np.copy)

    @classmethod
    def joined(
        cls, pieces: Iterator[Rows], count: int, places: NDArray[np.int64] | None, ahead: Rows | None = None
    ) -> Rows:
        """The `count` rows of some pieces, one after the other or each at its place, behind those `ahead`."""
        start = 0 if ahead is None else len(ahead)
        one = next(pieces)
        made = one._each(lambda array: np.empty((start + count, *array.shape[1:]), array.dtype))
        if ahead is not None:
            made._put(slice(0, start), ahead)
        first = 0
        for piece in chain([one], pieces):
            rows: Any = slice(start + first, start + first + len(piece))
            made._put(rows if places is None else start + places[first : first + len(piece)], piece)
            first += len(piece)
        return made

    def _put(self, rows: Any, piece: Rows) -> None:
        for name in ("features", "target", "truth", "weights", "given", "places"):
            mine, other = getattr(self, name), getattr(piece, name)
            if (mine is None) != (other is None) or (mine is not None and mine.shape[1:] != other.shape[1:]):
                told = {"weights": "weights of all rows or of none", "given": "weights of all rows or of none"}
                raise ValueError(f"[fit] expected {told.get(name, 'targets of one form')}, got some in between")
            if mine is not None and not (name == "truth" and self.truth is self.target):
                mine[rows] = other

    def _each(self, change: Callable[[NDArray[Any]], NDArray[Any]]) -> Rows:
        assert not isinstance(self.features, SparseFloats)  # a stream has none
        target = change(self.target)
        truth = target if self.truth is self.target else change(self.truth)
        others = (None if each is None else change(each) for each in (self.weights, self.given, self.places))
        return Rows(change(self.features), target, truth, *others)

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


def set_apart(rows: Rows, fraction: float, seed: int) -> tuple[Rows, Rows | None]:
    """Training rows and validation rows."""
    if as_number(fraction, "fit", "validation_fraction", low=0, high=1) == 0:
        return rows, None
    count = round(fraction * len(rows))
    if count == 0 or count == len(rows):
        raise ValueError(f"[fit] a validation_fraction of {fraction} leaves no rows to one side of {len(rows)}")
    order = _core.random_permutation(seed, len(rows))
    return rows.take(np.sort(order[count:])), rows.take(np.sort(order[:count]))


def weighed(
    loss: Loss,
    target: NDArray[Any],
    outputs: int,
    dtype: DTypeLike,
    given: Floats | None,
    where: str,
    some: bool = True,
) -> tuple[NDArray[Any], Floats | None]:
    """What the kernel takes for a target, and the weight of each row: the one given times what the loss makes of it.

    Raises:
        ValueError: If no row counts, where `some` have to.
    """
    truth, factor = loss.encode(target, outputs, dtype)
    if factor is None:
        return truth, given
    weights = factor if given is None else given * factor
    if some and not weights.any():
        raise ValueError(f"[{where}] expected a row that counts: the loss gives all of them a weight of 0")
    return truth, weights
