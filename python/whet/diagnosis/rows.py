"""The rows that a diagnosis looks at: a bounded sample, as the network takes them and as the user named them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from whet._arrays import Floats, as_dense
from whet.data.columns import Column
from whet.data.targets import LabelEncoder
from whet.losses import Loss
from whet.nn import Module
from whet.tabular import TabularModel

if TYPE_CHECKING:
    from whet.data.dataset import Dataset

__all__ = ["Rows", "read"]

# Enough for a loss known to a few percent, and few enough that a copy of a usual network trains on them in a second.
MOST_ROWS = 2000


@dataclass(frozen=True)
class Rows:
    """Rows of the data.

    Attributes:
        features: shape (rows, features), as the network takes them.
        names: of the features.
        columns: the user's own columns by name: those of the table, or the features again.
        target: as the loss takes it.
        classes: names of the classes in the order of their codes; () where the target holds none.
        total: how many rows there were before a sample was taken.
    """

    features: Floats
    names: Sequence[str]
    columns: Mapping[str, Column]
    target: NDArray[Any]
    classes: Sequence[str]
    total: int

    def __len__(self) -> int:
        return len(self.features)

    def take(self, rows: NDArray[np.int64]) -> Rows:
        """Some of the rows."""
        columns = {name: column[rows] for name, column in self.columns.items()}
        return replace(self, features=self.features[rows], columns=columns, target=self.target[rows])

    def sample(self) -> Rows:
        """A part of the rows, drawn by a fixed seed; all of them where they are few."""
        if len(self) <= MOST_ROWS:
            return self
        return self.take(np.sort(np.random.default_rng(0).permutation(len(self))[:MOST_ROWS]))


def read(model: Module | TabularModel, loss: Loss, X: Any, y: Any, where: str) -> Rows:
    """Rows of a table with the target, or of features and targets.

    Raises:
        TypeError: y beside a table, or none beside features; what the model does not take.
        ValueError: what does not fit the model, or no rows.
    """
    if isinstance(model, TabularModel):
        if y is not None:
            raise TypeError(f"[{where}] expected a table with the target and no y, as the model is a TabularModel")
        return _of_table(model, X, where)
    if y is None:
        raise TypeError(f"[{where}] expected X and y, as the model is a {type(model).__name__}; got no y")
    features = as_dense(model._features(X, where), where)
    if not len(features):
        raise ValueError(f"[{where}] expected at least one row, got none")
    target = loss.target(y, len(features), model._width_of_target(features.shape[1], loss), model.dtype, where)
    names = model._feature_names(X, features.shape[1])
    columns = {name: features[:, i] for i, name in enumerate(names)}
    return Rows(features, names, columns, target, _codes(loss, target), len(features))


def _of_table(model: TabularModel, data: Any, where: str) -> Rows:
    preprocessor, encoder, network = model._fitted()
    table: Dataset = model._read(data, preprocessor, encoder, with_target=True)
    features = as_dense(network._features(preprocessor.transform(table), where), where)
    loss = network._fitted_loss(where)
    codes = encoder.transform(table.labels if table.labels is not None else [])
    width = network._width_of_target(features.shape[1], loss)
    target = loss.target(codes, len(features), width, network.dtype, where)
    columns = {name: table.features[name] for name in preprocessor.kinds}
    classes = [str(each) for each in encoder.classes.tolist()] if isinstance(encoder, LabelEncoder) else []
    return Rows(features, preprocessor.feature_names, columns, target, classes, len(features))


def _codes(loss: Loss, target: NDArray[Any]) -> list[str]:
    if loss.kind == "classes":
        return [str(code) for code in range(int(loss.labels(target).max()) + 1)]
    if loss.kind == "labels" and target.shape[1] == 1:
        return ["0", "1"]
    return []
