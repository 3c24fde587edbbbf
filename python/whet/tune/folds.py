"""The rows that trials train on and are judged by: laid in order once, so that each part is a slice that all share."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from whet import losses
from whet._arrays import Features, as_array, is_sparse
from whet._checks import as_count, as_flag, as_number
from whet._prepared import Prepared, loss_of
from whet.data.dataset import Dataset
from whet.data.splits import split_indices
from whet.data.tables import as_dataset
from whet.files import checksum
from whet.metrics import Metric
from whet.optim import Optimizer
from whet.tabular import DEFAULT_OPTIMIZER, TabularModel
from whet.training.history import History

__all__ = ["Arrays", "Layout", "RowPlan", "Table"]

_BLOCK_ROWS = 1 << 12


@dataclass(frozen=True)
class RowPlan:
    """What the rows are cut by: see `search`."""

    validation: float = 0.2
    folds: int | None = None
    stratify: bool = True
    groups: ArrayLike | None = None
    time: ArrayLike | None = None

    def layout(self, rows: int, classes: ArrayLike | None, seed: int) -> Layout:
        """The parts of so many rows."""
        given = {"groups": self.groups, "time": self.time, "stratify": None}
        if as_flag(self.stratify, "search", "stratify") and self.groups is None and self.time is None:
            given["stratify"] = classes
        if self.folds is None:
            share = as_number(self.validation, "search", "validation", low=0, high=1)
            train, held = split_indices(rows, (1 - share, share), seed=seed, **given)
            cut, end = len(train), len(train) + len(held)
            return Layout(np.concatenate([train, held]), [(slice(0, cut), slice(cut, end))])
        folds = as_count(self.folds, "search", "folds")
        if self.time is not None:
            raise ValueError("[search] expected no folds with time: rows of the future would train the past")
        if not 2 <= folds <= rows:
            raise ValueError(f"[search] expected from 2 to {rows} folds of {rows} rows, got {folds}")
        blocks = split_indices(rows, [rows // folds + (i < rows % folds) for i in range(folds)], seed=seed, **given)
        ends = np.cumsum([len(block) for block in blocks]).tolist()
        parts = [
            (slice(end, end - len(block) + rows), slice(end - len(block), end))
            for block, end in zip(blocks, ends, strict=True)
        ]
        return Layout(np.concatenate(blocks + blocks[:-1]), parts)


@dataclass(frozen=True)
class Layout:
    """How to take parts of rows that lie in this order: (training rows, validation rows) of each part.

    Of k folds, the rows of all but the last lie there twice: then the training rows of every fold follow each other,
    and memory does not depend on k.
    """

    order: NDArray[np.int64]
    parts: list[tuple[slice, slice]]

    def digest(self) -> tuple[NDArray[np.int64], str]:
        """What a checksum of it is of."""
        return self.order, str(self.parts)


class _Once:
    """Values that threads share, each made by the first that asks for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: dict[Any, Any] = {}

    def get(self, key: Any, make: Callable[[], Any]) -> Any:
        with self._lock:
            if key not in self._values:
                self._values[key] = make()
            return self._values[key]


class Arrays:
    """Features and targets for networks.

    Args:
        X: Features.
        y: Targets.
        sample_weight: Weights, or None.
    """

    default_optimizer: str | Optimizer = "adam"
    default_epochs = 10

    def __init__(self, X: Features, y: ArrayLike, sample_weight: ArrayLike | None) -> None:
        if is_sparse(X):
            raise TypeError("[search] expected a dense X, got a sparse one; X.toarray() is dense")
        self._X: Any
        if isinstance(X, Mapping):
            self._X = {name: as_array(each, "search", name) for name, each in X.items()}
        else:
            self._X = as_array(np.asarray(X), "search", "X")
        self._y = as_array(y, "search", "y")
        self._weights = None if sample_weight is None else as_array(sample_weight, "search", "sample_weight")
        self._laid = _Once()
        features = list(self._X.values()) if isinstance(X, Mapping) else [self._X]
        self._whole = [each for each in (*features, self._y, self._weights) if each is not None]
        self.rows = len(self._y)
        for each in self._whole:
            if each.ndim == 0 or len(each) != self.rows:
                raise ValueError(f"[search] expected X, y and sample_weight with the same rows, got {each.shape}")

    def classes(self, loss: Any) -> NDArray[Any] | None:
        """What to stratify by: classes, where the loss is one of those."""
        if loss is None:
            return None
        described = losses.get(loss)
        return self._y if described.kind == "classes" and self._y.ndim == 1 else None

    def digest(self) -> str:
        """A checksum of all, and of the parts."""
        return checksum(*self._whole, *self._layout.digest())

    def lay(self, layout: Layout) -> None:
        """Takes the parts from now on that the layout says."""
        self._layout = layout

    def train(self, model: Any, part: int, watched: bool, **options: Any) -> History:
        """Fits a network to the training rows of a part."""
        train, held = self._layout.parts[part]
        X, y, weights = self._rows(model.dtype)
        if watched:
            options["validation_data"] = tuple(_cut(each, held) for each in (X, y, weights) if each is not None)
        history: History = model.fit(_cut(X, train), _cut(y, train), sample_weight=_cut(weights, train), **options)
        return history

    def train_all(self, model: Any, **options: Any) -> History:
        """Fits a network to all rows."""
        history: History = model.fit(self._X, self._y, sample_weight=self._weights, **options)
        return history

    def check(self, metrics: Sequence[Metric], loss: Any) -> None:
        """Raises ValueError for a metric that a model of this loss cannot have."""
        for metric in metrics if loss is not None else ():
            metric.check(losses.get(loss))

    def score(self, model: Any, part: int, metrics: Sequence[Metric]) -> dict[str, float]:
        """The loss and metrics of the validation rows of a part."""
        X, y, weights = (_cut(each, self._layout.parts[part][1]) for each in self._rows(model.dtype))
        found: dict[str, float] = model._evaluate_with(metrics, X, y, weights)
        return found

    def _rows(self, dtype: str) -> tuple[Any, Any, Any]:
        order = self._layout.order
        y = self._laid.get("y", lambda: self._y[order])
        weights = self._laid.get("weights", lambda: None if self._weights is None else self._weights[order])
        return self._laid.get(dtype, lambda: self._features(dtype)), y, weights

    def _features(self, dtype: str) -> Any:
        order = self._layout.order
        if isinstance(self._X, Mapping):
            return {name: _laid(each, order, dtype) for name, each in self._X.items()}
        return _laid(self._X, order, dtype)


def _laid(array: Any, order: NDArray[np.int64], dtype: str) -> NDArray[Any]:
    """Rows in this order and dtype, without a second copy of them on the way."""
    out = np.empty((len(order), *array.shape[1:]), dtype)
    for first in range(0, len(order), _BLOCK_ROWS):
        rows = order[first : first + _BLOCK_ROWS]
        out[first : first + len(rows)] = array[rows]
    return out


def _cut(array: Any, rows: slice) -> Any:
    if isinstance(array, Mapping):
        return {name: each[rows] for name, each in array.items()}
    return None if array is None else array[rows]


class Table:
    """A table for TabularModels, whose rows are preprocessed once for all trials of a part that do it alike.

    Args:
        data: The table.
        model: One of the models.
    """

    default_optimizer: str | Optimizer = DEFAULT_OPTIMIZER
    default_epochs = 40

    def __init__(self, data: Any, model: TabularModel) -> None:
        self._table = as_dataset(data).with_target(model.target)
        model._check_target(self._table)
        self._task = model._task(self._table)
        self._prepared = _Once()
        self.rows = self._table.rows

    def classes(self, loss: Any) -> Any:
        """What to stratify by."""
        return self._table.labels if self._task == "classification" else None

    def digest(self) -> str:
        """A checksum of all, and of the parts."""
        columns = [self._table[name] for name in self._table]
        if self._table.labels is not None:
            columns.append(self._table.labels)
        cells = [each if each.dtype.kind in "biuf" else "\0".join(map(str, each.tolist())) for each in columns]
        return checksum(*self._table, *cells, *self._layout.digest())

    def lay(self, layout: Layout) -> None:
        """Takes the parts from now on that the layout says."""
        self._layout = layout

    def train(self, model: TabularModel, part: int, watched: bool, *, loss: Any = None, **options: Any) -> History:
        """Fits a model to the training rows of a part."""
        prepared, X, y, _ = self._rows(model, part, loss)
        return model._fit_prepared(prepared, (X, y) if watched else None, **{"epochs": self.default_epochs, **options})

    def train_all(self, model: TabularModel, **options: Any) -> History:
        """Fits a model to all rows."""
        return model.fit(self._table, **options)

    def check(self, metrics: Sequence[Metric], loss: Any) -> None:
        """Raises ValueError for a metric that a model of this loss cannot have."""
        for metric in metrics:
            metric.check(loss_of(self._task, loss))

    def score(self, model: TabularModel, part: int, metrics: Sequence[Metric]) -> dict[str, float]:
        """The loss and metrics of the validation rows of a part."""
        X, y, labels = self._rows(model, part, model.network._fitted_loss("search"))[1:]
        return model._evaluate_prepared(X, y, labels, metrics)

    def _rows(self, model: TabularModel, part: int, loss: Any) -> tuple[Prepared, Any, Any, Any]:
        described = loss_of(self._task, loss)
        key = part, described.standardizes, pickle.dumps(model._unfitted)
        prepared, *held = self._prepared.get(key, lambda: self._prepare(model, part, described))
        return (prepared._replace(loss=described), *held)

    def _prepare(self, model: TabularModel, part: int, loss: losses.Loss) -> tuple[Prepared, Any, Any, Any]:
        order, (train, held) = self._layout.order, self._layout.parts[part]
        prepared = model._prepare(self._table.take(order[train]), loss)
        aside: Dataset = self._table.take(order[held])
        return (prepared, *prepared.arrays(aside), aside.labels)
