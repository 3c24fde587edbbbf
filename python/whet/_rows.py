"""A module or a table model with rows for it: the features, and the columns that people know them by."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from whet import metrics
from whet._arrays import Floats, as_array, as_dense, as_floats, as_weights, check_finite
from whet.losses import Loss, MemberLoss
from whet.metrics import Asked, Metric
from whet.nn import Module
from whet.tabular import TabularModel

if TYPE_CHECKING:
    from whet.data import Dataset

__all__ = ["AnyModel", "Columns", "Rows", "rows_of"]

AnyModel: TypeAlias = Module | TabularModel
Columns: TypeAlias = int | str | Sequence[int | str]


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows that a network is asked about.

    Args:
        where: The caller's name, for messages.
        network: What computes.
        features: As the network takes them, shape (rows, features).
        names: Of the columns that people know.
        groups: The features that each of these columns became.
    """

    where: str
    network: Module
    features: Floats
    names: tuple[str, ...]
    groups: tuple[NDArray[np.intp], ...]

    @property
    def classes(self) -> NDArray[Any] | None:
        """What the outputs are called, if they are classes."""
        raise TypeError(f"[{type(self).__name__}] is a base class")

    @property
    def scale(self) -> float:
        """The units of the target in one unit of an output."""
        return 1.0

    @property
    def offset(self) -> float:
        """The target where an output is zero."""
        return 0.0

    @property
    def categories(self) -> frozenset[int]:
        """The columns whose features are not numbers of theirs."""
        return frozenset()

    @property
    def loss(self) -> Loss | None:
        """Of the last fit."""
        return self.network._loss

    def default_metric(self) -> Metric | None:
        """The first metric of the last fit; None for its loss."""
        raise TypeError(f"[{type(self).__name__}] is a base class")

    def cells(self, column: int) -> NDArray[Any]:
        """Of a column, as people know them."""
        raise TypeError(f"[{type(self).__name__}] is a base class")

    def encoded(self, column: int, cells: NDArray[Any]) -> Floats:
        """The features that cells of a column become."""
        raise TypeError(f"[{type(self).__name__}] is a base class")

    def truth(self) -> NDArray[Any]:
        """Class indices of the target, whether labels are 1, or its values as float64 in its own units."""
        raise TypeError(f"[{type(self).__name__}] is a base class")

    def score(self, metric: Metric | None, features: Floats, sample_weight: ArrayLike | None) -> float:
        """A metric, or the loss, if the rows had these features."""
        raise TypeError(f"[{type(self).__name__}] is a base class")

    def outputs(self) -> Floats:
        """Raw outputs, shape (rows, all elements)."""
        return self.network._outputs(self.features)

    def read(self, outputs: Floats) -> Floats:
        """What raw outputs say: probabilities, or values in the target's units; (rows, outputs)."""
        if self.loss is None:
            return outputs
        if self.loss.kind != "values" and self.loss.link is not None:
            return self.loss.probabilities(outputs.reshape(self._shape(outputs)))
        values: Floats = self.loss.values(outputs.reshape(self._shape(outputs)))
        return values if self.scale == 1 and self.offset == 0 else values.astype(np.float64) * self.scale + self.offset

    def _shape(self, outputs: Floats) -> tuple[int, ...]:
        return (len(outputs), *self.output_shape())

    def output_shape(self) -> tuple[int, ...]:
        """Of a row.

        Raises:
            ValueError: If the model returns several arrays, or its rows are matrices that are no ensemble's.
        """
        width = self.features.shape[1]
        if not self.network._has_one_output(width):
            raise ValueError(f"[{self.where}] expected a model with one output, got one with several")
        graph = self.network._graph(width)
        shape = tuple(graph.shape(graph.output))
        if len(shape) > 1 and not isinstance(self.loss, MemberLoss):
            raise ValueError(
                f"[{self.where}] expected a model with outputs of shape (rows, outputs), got (rows, "
                f"{', '.join(map(str, shape))}): nn.Flatten or a mean over an axis make it so"
            )
        return shape

    def find(self, column: int | str) -> int:
        """The position of a column that is named or numbered.

        Raises:
            TypeError: If it is neither a name nor a whole number.
            ValueError: If there is none.
        """
        if isinstance(column, str):
            if column in self.names:
                return self.names.index(column)
            raise ValueError(f"[{self.where}] expected a column among {', '.join(self.names)}, got {column!r}")
        if isinstance(column, bool) or not isinstance(column, Integral):
            raise TypeError(f"[{self.where}] expected a column by name or number, got {column!r}")
        position = int(column)
        if not -len(self.names) <= position < len(self.names):
            raise ValueError(f"[{self.where}] expected a column below {len(self.names)}, got {column}")
        return position % len(self.names)

    def find_all(self, columns: Columns) -> list[int]:
        """The positions of columns; of the one that is named or numbered alone.

        Raises:
            TypeError: If one is neither a name nor a whole number.
            ValueError: If one is not there.
        """
        if isinstance(columns, str) or not isinstance(columns, Iterable):
            return [self.find(columns)]
        return [self.find(each) for each in columns]

    def metric(self, asked: Asked | None) -> tuple[str, Metric | None, float]:
        """The name of a metric, it itself (None for the loss), and 1 if greater is better, else -1.

        Raises:
            TypeError: If it is no metric.
            ValueError: If there is none of that name, or nobody knows its direction.
        """
        found = self.default_metric() if asked is None else None if asked == "loss" else metrics.get(asked)[0]
        if found is None:
            return "loss", None, -1.0
        if self.loss is not None:
            found.check(self.loss)
        if found.greater_is_better is None:
            raise ValueError(
                f"[{self.where}] expected a metric whose direction is known, got {found.name}: "
                "metrics.Metric(name, function, reads, greater_is_better) tells it"
            )
        return found.name, found, 1.0 if found.greater_is_better else -1.0


@dataclass(frozen=True, eq=False)
class ArrayRows(Rows):
    """Arrays for a module."""

    target: NDArray[Any] | None

    @property
    def classes(self) -> NDArray[Any] | None:
        """See `Rows.classes`: indices."""
        if self.loss is None or self.loss.kind != "classes":
            return None
        return np.arange(self.output_shape()[-1])

    def default_metric(self) -> Metric | None:
        """See `Rows.default_metric`."""
        return self.network._metrics[0] if self.network._metrics else None

    def cells(self, column: int) -> NDArray[Any]:
        """See `Rows.cells`."""
        cells: NDArray[Any] = self.features[:, column]
        return cells

    def encoded(self, column: int, cells: NDArray[Any]) -> Floats:
        """See `Rows.encoded`."""
        name = f"values of {self.names[column]}"
        values = as_floats(as_array(cells, self.where, name).reshape(-1, 1), self.features.dtype, self.where, name)
        check_finite(values, self.where, name)
        return values

    def _target(self) -> tuple[Loss, NDArray[Any]]:
        loss = self.network._fitted_loss(self.where)
        if self.target is None:
            raise TypeError(f"[{self.where}] expected y, the target of the rows")
        width = self.network._width_of_target(self.features.shape[1], loss)
        return loss, loss.target(self.target, len(self.features), width, self.network.dtype, self.where)

    def truth(self) -> NDArray[Any]:
        """See `Rows.truth`."""
        loss, target = self._target()
        return target.astype(np.float64) if loss.kind == "values" else loss.labels(target)

    def score(self, metric: Metric | None, features: Floats, sample_weight: ArrayLike | None) -> float:
        """See `Rows.score`."""
        loss, target = self._target()
        weights = as_weights(sample_weight, len(features), self.network.dtype, self.where)
        found = self.network._evaluate(features, target, loss, () if metric is None else (metric,), weights)
        return found["loss" if metric is None else metric.name]


@dataclass(frozen=True, eq=False)
class TableRows(Rows):
    """A table for a table model."""

    model: TabularModel
    table: Dataset

    @property
    def classes(self) -> NDArray[Any] | None:
        """See `Rows.classes`: labels."""
        return self.model.classes_ if self.model.task == "classification" else None

    @property
    def scale(self) -> float:
        """See `Rows.scale`."""
        return self.model._target_scale()[1]

    @property
    def offset(self) -> float:
        """See `Rows.offset`."""
        return self.model._target_scale()[0]

    @property
    def categories(self) -> frozenset[int]:
        """See `Rows.categories`."""
        kinds = self.model.preprocessor.kinds.values()
        return frozenset(i for i, kind in enumerate(kinds) if kind == "category")

    def default_metric(self) -> Metric | None:
        """See `Rows.default_metric`."""
        return self.model._scores[0] if self.model._scores else None

    def cells(self, column: int) -> NDArray[Any]:
        """See `Rows.cells`."""
        return self.table.features[self.names[column]]

    def encoded(self, column: int, cells: NDArray[Any]) -> Floats:
        """See `Rows.encoded`."""
        row = self.table.take(np.zeros(len(cells), np.intp)).with_columns({self.names[column]: cells})
        encoded: Floats = self.model.preprocessor.transform(row)[:, self.groups[column]]
        return encoded

    def _labels(self) -> NDArray[Any]:
        if self.table.labels is None:
            raise ValueError(f"[{self.where}] expected a table with the target {self.model.target!r}")
        return self.table.labels

    def truth(self) -> NDArray[Any]:
        """See `Rows.truth`."""
        if self.classes is None:
            return self._labels().astype(np.float64).reshape(-1, 1)
        return self.model._codes(self._labels())

    def score(self, metric: Metric | None, features: Floats, sample_weight: ArrayLike | None) -> float:
        """See `Rows.score`."""
        scores = () if metric is None else (metric,)
        return self.model._evaluate_features(scores, features, self._labels(), sample_weight)[
            "loss" if metric is None else metric.name
        ]


def rows_of(
    model: AnyModel,
    X: Any,
    y: ArrayLike | None,
    where: str,
    *,
    with_target: bool,
    names: Sequence[str] | None = None,
) -> Rows:
    """The rows that a user gave: arrays for a module, a table for a table model.

    Raises:
        TypeError: If `model` is none, or the target is not where it belongs.
        ValueError: If there is no row, or names do not fit.
        RuntimeError: If a table model is not fitted.
    """
    if isinstance(model, TabularModel):
        if y is not None or names is not None:
            raise TypeError(f"[{where}] expected no y and no names for a TabularModel: its table has them")
        rows: Rows = _of_table(model, X, where, with_target)
    elif isinstance(model, Module):
        if with_target and y is None:
            raise TypeError(f"[{where}] expected y, the target of the rows")
        rows = _of_arrays(model, X, y, where, names)
    else:
        raise TypeError(f"[{where}] expected an nn.Module or a TabularModel, got {type(model).__name__}")
    if not len(rows.features):
        raise ValueError(f"[{where}] expected at least one row, got none")
    return rows


def _of_table(model: TabularModel, data: Any, where: str, with_target: bool) -> TableRows:
    preprocessor, encoder, network = model._fitted()
    table = model._read(data, preprocessor, encoder, with_target=with_target)
    names = tuple(preprocessor.kinds)
    columns = np.array(preprocessor.feature_columns, object)
    groups = tuple(np.flatnonzero(columns == name) for name in names)
    features = preprocessor.transform(table)
    if network.dtype != features.dtype.name:
        features = features.astype(network.dtype)
    return TableRows(where, network, features, names, groups, model, table)


def _of_arrays(model: Module, X: Any, y: ArrayLike | None, where: str, names: Sequence[str] | None) -> ArrayRows:
    features = as_dense(model._features(X, where), where)
    model._check_indices(features, where)
    width = features.shape[1]
    if names is not None and (isinstance(names, str) or not isinstance(names, Iterable)):
        raise TypeError(f"[{where}] expected feature_names to be a sequence of names, got {names!r}")
    found = model._feature_names(X, width) if names is None else tuple(map(str, names))
    if len(found) != width or len(set(found)) != width:
        raise ValueError(f"[{where}] expected {width} different names, got {len(found)}: {', '.join(found)}")
    groups = tuple(np.array([i]) for i in range(width))
    return ArrayRows(where, model, features, found, groups, None if y is None else np.asarray(y))
