"""The numbers of a report: what a model says of some rows, and how right it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whet.data import Dataset
from whet.losses import Loss
from whet.nn import Module
from whet.tabular import TabularModel

__all__ = ["Measured", "Reliability", "confusion", "measure", "permutation_importance", "reliability"]

Floats = NDArray[np.float64]

_BINS = 10
# Of a column's importance; all columns together look at so many cells at most, which take a second or two.
_ROWS, _REPEATS, _CELLS = 1000, 3, 60_000


@dataclass(frozen=True)
class Measured:
    """What a model says of some rows.

    Attributes:
        rows: how many.
        scores: of the model, by name.
        classes: their names; () for numbers.
        truth: codes of classes, or numbers; shape (rows,).
        predicted: the same of the model.
        probabilities: shape (rows, classes); None for numbers, or where the loss has none.
    """

    rows: int
    scores: dict[str, float]
    classes: Sequence[str]
    truth: NDArray[Any]
    predicted: NDArray[Any]
    probabilities: Floats | None


@dataclass(frozen=True)
class Reliability:
    """Said probabilities in bins, beside what came true.

    Attributes:
        what: what was said.
        said: the mean of each bin.
        true: the share of its rows where it came true.
        counts: of its rows.
        error: the mean distance of the two, by rows.
    """

    what: str
    said: Floats
    true: Floats
    counts: NDArray[np.int64]
    error: float


def measure(model: Module | TabularModel, data: Any) -> Measured | None:
    """What a model says of a table, or of (X, y); None where it is no table of classes or of one number."""
    return _of_table(model, data) if isinstance(model, TabularModel) else _of_arrays(model, *data)


def _of_table(model: TabularModel, table: Dataset) -> Measured:
    scores = model.evaluate(table)
    labels = table.labels if table.labels is not None else np.empty(0)
    if model.task == "regression":
        return Measured(table.rows, scores, (), labels.astype(np.float64), model.predict(table), None)
    probabilities = model.predict_proba(table).astype(np.float64) if _has_link(model.network._loss) else None
    codes = {label: code for code, label in enumerate(model.classes_.tolist())}
    encoded = np.array([codes[each] for each in model.predict(table).tolist()], np.int64)
    truth = model._fitted()[1].transform(labels)
    classes = [str(each) for each in model.classes_.tolist()]
    return Measured(table.rows, scores, classes, truth, encoded, probabilities)


def _of_arrays(model: Module, X: Any, y: Any) -> Measured | None:
    loss = model._fitted_loss("report")
    features = model._features(X, "report")
    width = model._width_of_target(features.shape[1], loss)
    target = loss.target(y, len(features), width, model.dtype, "report")
    outputs = model.predict(X)
    if isinstance(outputs, tuple) or (loss.kind != "classes" and width != 1):
        return None
    flat, scores = outputs.reshape(len(features), -1), model.evaluate(X, y)
    if loss.kind == "values":
        values = loss.values(flat)[:, 0].astype(np.float64)
        return Measured(len(values), scores, (), target[:, 0].astype(np.float64), values, None)
    probabilities = loss.probabilities(flat).astype(np.float64) if _has_link(loss) else None
    truth = loss.labels(target).astype(np.int64)
    if loss.kind == "labels":
        predicted = (flat[:, 0] > 0).astype(np.int64)
        if probabilities is not None:
            probabilities = np.column_stack([1 - probabilities, probabilities])
        return Measured(len(truth), scores, ("0", "1"), truth, predicted, probabilities)
    classes = [str(code) for code in range(width if target.ndim == 2 else flat.shape[1])]
    return Measured(len(truth), scores, classes, truth, flat.argmax(axis=1), probabilities)


def _has_link(loss: Loss | None) -> bool:
    return loss is not None and loss.link in ("softmax", "sigmoid")


def confusion(found: Measured) -> NDArray[np.int64]:
    """Rows by true class and predicted class: shape (classes, classes)."""
    count = len(found.classes)
    flat = np.bincount(found.truth * count + found.predicted, minlength=count * count)
    return flat.reshape(count, count).astype(np.int64)


def reliability(found: Measured) -> Reliability | None:
    """Of two classes the probability of the second; of more, that of the class predicted."""
    if found.probabilities is None or not found.rows:
        return None
    if len(found.classes) == 2:
        said, true = found.probabilities[:, 1], found.truth == 1
        what = f"said probability of {found.classes[1]}"
    else:
        said, true = found.probabilities.max(axis=1), found.probabilities.argmax(axis=1) == found.truth
        what = "said probability of the class predicted"
    bins = np.minimum((said * _BINS).astype(np.int64), _BINS - 1)
    counts = np.bincount(bins, minlength=_BINS)
    full = counts > 0
    means, shares = (np.bincount(bins, weights=each, minlength=_BINS)[full] / counts[full] for each in (said, true))
    error = float((counts[full] * abs(means - shares)).sum() / len(said))
    return Reliability(what, means, shares, counts[full], error)


def permutation_importance(model: Module | TabularModel, data: Any) -> list[tuple[str, float, float]]:
    """How much the loss rises when one column's cells change places: (name, mean, spread), the largest first."""
    rng = np.random.default_rng(0)
    rows = data.rows if isinstance(data, Dataset) else len(data[1])
    width = len(model.preprocessor.kinds) if isinstance(model, TabularModel) else model._width()
    chosen = np.sort(rng.permutation(rows)[: min(_ROWS, max(_CELLS // width, 100))])
    orders = [rng.permutation(len(chosen)) for _ in range(_REPEATS)]
    if isinstance(model, TabularModel):
        table = data.take(chosen)
        usual = model.evaluate(table)["loss"]
        found = [
            (name, [model.evaluate(_mixed(table, name, order))["loss"] for order in orders])
            for name in model.preprocessor.kinds
        ]
    else:
        X, y = np.array(model._features(data[0], "report")[chosen]), np.asarray(data[1])[chosen]
        usual = model.evaluate(X, y)["loss"]
        found = [(f"x{i}", [_loss_without(model, X, y, i, order) for order in orders]) for i in range(X.shape[1])]
    rises = [(name, float(np.mean(losses)) - usual, float(np.std(losses))) for name, losses in found]
    return sorted(rises, key=lambda each: -each[1])


def _mixed(table: Dataset, name: str, order: NDArray[np.int64]) -> Dataset:
    columns = {**table.features, name: table.features[name][order]}
    return Dataset(columns, labels=table.labels, kinds=table.kinds, target=table.target)


def _loss_without(model: Module, X: NDArray[Any], y: NDArray[Any], column: int, order: NDArray[np.int64]) -> float:
    kept = X[:, column].copy()
    X[:, column] = kept[order]
    loss = model.evaluate(X, y)["loss"]
    X[:, column] = kept
    return loss
