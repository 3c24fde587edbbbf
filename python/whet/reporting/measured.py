"""The numbers of a report: what a model says of some rows, and how right it is."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whet._arrays import as_dense
from whet.calibration import Reliability, reliability
from whet.data import Dataset
from whet.errors import WhetWarning
from whet.explain import (
    Attributions,
    PartialDependence,
    input_gradients,
    integrated_gradients,
    partial_dependence,
    permutation_importance,
)
from whet.losses import Loss
from whet.nn import Module
from whet.tabular import TabularModel

__all__ = ["Measured", "attributions", "calibration", "confusion", "dependence", "importance", "measure"]

Floats = NDArray[np.float64]

_BINS = 10
# Of a column's importance; all columns together look at so many cells at most, which take a second or two.
_ROWS, _REPEATS, _CELLS = 1000, 3, 60_000
_EXPLAINED = 200  # rows whose outputs are derived, and predicted for every value of a column


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
    features = as_dense(model._features(X, "report"), "report")
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


def calibration(found: Measured) -> tuple[str, Reliability] | None:
    """What was said, and how often it came true: the probability of the second of two classes, or of that predicted."""
    if found.probabilities is None or not found.rows or not np.isfinite(found.probabilities).all():
        return None
    if len(found.classes) == 2:
        what, said = f"said probability of {found.classes[1]}", found.probabilities[:, 1]
    else:
        what, said = "said probability of the class predicted", found.probabilities
    return what, reliability(found.truth, said, n_bins=_BINS)


def importance(model: Module | TabularModel, data: Any) -> list[tuple[str, float, float]]:
    """How much the loss rises when one column's cells change places: (name, mean, spread), the largest first."""
    X, y, names = _sample(model, data, _ROWS)
    found = permutation_importance(model, X, y, metric="loss", n_repeats=_REPEATS, feature_names=names)
    rises = zip(found.names, found.importances_mean.tolist(), found.importances_std.tolist(), strict=True)
    return sorted(rises, key=lambda each: -each[1])


def attributions(model: Module | TabularModel, data: Any) -> list[Attributions]:
    """Integrated gradients and gradients of some rows."""
    X, _, names = _sample(model, data, _EXPLAINED)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", WhetWarning)  # of columns that an embedding looks up
        return [explain(model, X, feature_names=names) for explain in (integrated_gradients, input_gradients)]


def dependence(model: Module | TabularModel, data: Any, columns: Sequence[str]) -> list[PartialDependence]:
    """The mean prediction of some rows where all have the same value in a column, for each of these."""
    X, _, names = _sample(model, data, _EXPLAINED)
    return [partial_dependence(model, X, name, feature_names=names) for name in columns]


def _sample(model: Module | TabularModel, data: Any, most: int) -> tuple[Any, Any, Sequence[str] | None]:
    """Some rows as whet.explain takes them: features, their target, and the names of an array's columns."""
    rows = data.rows if isinstance(data, Dataset) else len(data[1])
    width = len(model.preprocessor.kinds) if isinstance(model, TabularModel) else model._width()
    order = np.random.default_rng(0).permutation(rows)
    chosen = np.sort(order[: min(most, max(_CELLS // width, 100))])
    if isinstance(model, TabularModel):
        return data.take(chosen), None, None
    X = model._apart(as_dense(model._features(data[0], "report"), "report")[chosen])
    return X, np.asarray(data[1])[chosen], model._feature_names(data[0], width)
