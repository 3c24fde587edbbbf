"""One number that makes probabilities as sure as they are right."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from whet._arrays import Floats, as_weights
from whet._rows import AnyModel, Rows, rows_of
from whet.calibration.wrapped import Wrapped
from whet.errors import WhetWarning
from whet.losses import MemberLoss

__all__ = ["TemperatureScaled", "temperature_scaling"]

_LEAST, _MOST = 1e-3, 1e3  # of 1 / temperature
_STEPS = 100


class TemperatureScaled(Wrapped):
    """A classifier whose outputs are divided by a temperature before they become probabilities.

    What it predicts is what the model predicts; only how sure it is changes.

    Attributes:
        model: The model.
        temperature: Above 1, the model was surer than right.
        rows: How many rows it was learnt from.
    """

    kind = "temperature"
    temperature: float

    def __init__(self, model: AnyModel, temperature: float, rows: int) -> None:
        super().__init__(model, rows)
        self._set(temperature=temperature)

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """The model's probabilities at this temperature, shape (rows, classes), float64.

        Raises:
            TypeError, ValueError: As the model's.
        """
        rows = self._rows(X, "predict_proba")
        return _probabilities(_logits(rows) / self.temperature, rows)

    def _numbers(self) -> dict[str, Any]:
        return {"temperature": self.temperature}

    def _restore(self, description: Mapping[str, Any], arrays: Mapping[str, Floats]) -> None:
        self._set(temperature=float(description["temperature"]))


def temperature_scaling(
    model: AnyModel, X: Any, y: ArrayLike | None = None, *, sample_weight: ArrayLike | None = None
) -> TemperatureScaled:
    """The temperature at which held-out rows are likeliest.

    See Guo et al., "On calibration of modern neural networks", ICML 2017. The log loss is convex in 1 / temperature:
    Newton's method finds its minimum.

    Args:
        model: A fitted nn.Module or TabularModel for classes or labels.
        X: Rows that it was not trained on: features, or a table with the target.
        y: The target of features.
        sample_weight: Of the rows, shape (rows,).

    Raises:
        TypeError: If an argument is of a wrong kind.
        ValueError: If shapes do not fit, or the model has no probabilities.
        RuntimeError: If a TabularModel is not fitted.

    Warns:
        WhetWarning: If no finite temperature is best: every row is predicted right, or they are no better than chance.
    """
    where = "temperature_scaling"
    rows = rows_of(model, X, y, where, with_target=True)
    loss = rows.loss
    if loss is None or loss.link not in ("softmax", "sigmoid"):
        raise ValueError(f"[{where}] expected a model with probabilities, such as one trained with cross_entropy")
    weights = as_weights(sample_weight, len(rows.features), np.float64, where)
    truth = rows.truth()
    if truth.ndim == 1 and loss.kind == "classes" and (truth < 0).any():
        raise ValueError(f"[{where}] expected no row of a class that the loss ignores")
    sharpness = _sharpness(_logits(rows), truth, loss.kind == "classes", weights)
    if not _LEAST < sharpness < _MOST:
        warnings.warn(
            f"[{where}] no temperature is best: the rows are "
            + ("all predicted right" if sharpness >= _MOST else "predicted no better than by chance"),
            WhetWarning,
            stacklevel=2,
        )
    return TemperatureScaled(model, 1 / sharpness, len(rows.features))


def _logits(rows: Rows) -> NDArray[np.float64]:
    """What the link makes probabilities of, shape (rows, outputs): logarithms, for the mean of an ensemble."""
    outputs = rows.outputs()
    if isinstance(rows.loss, MemberLoss):
        p = rows.read(outputs).astype(np.float64)
        tiny = float(np.finfo(np.float32).tiny)
        if rows.loss.link == "softmax":
            return np.log(np.maximum(p, tiny))
        return np.log(np.maximum(p, tiny)) - np.log(np.maximum(1 - p, tiny))
    return outputs.astype(np.float64)


def _probabilities(logits: NDArray[np.float64], rows: Rows) -> NDArray[np.float64]:
    assert rows.loss is not None
    return softmax(logits) if rows.loss.link == "softmax" else 1 / (1 + np.exp(-np.clip(logits, -700, 700)))


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Over the last axis."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    probabilities: NDArray[np.float64] = shifted / shifted.sum(axis=-1, keepdims=True)
    return probabilities


def _sharpness(logits: NDArray[np.float64], truth: NDArray[Any], classes: bool, weights: Floats | None) -> float:
    """1 / temperature: where the slope of the mean log loss is zero, by Newton's method between bounds."""
    if not classes:  # each label is one of two classes, with outputs 0 and z
        logits = np.stack([np.zeros(logits.size), logits.ravel()], axis=1)
        labels = truth.reshape(len(truth), -1)
        weights = None if weights is None else np.repeat(weights, labels.shape[1])
        truth = labels.ravel().astype(np.intp)
    chosen = logits[np.arange(len(truth)), truth]
    counted = slice(None) if weights is None else weights > 0
    if (chosen == logits.max(axis=1))[counted].all():
        return _MOST
    if np.average(logits.mean(axis=1) - chosen, weights=weights) >= 0:
        return _LEAST
    low, high, beta = _LEAST, _MOST, 1.0
    for _ in range(_STEPS):
        p = softmax(logits * beta)
        mean = (p * logits).sum(axis=1)
        slope = float(np.average(mean - chosen, weights=weights))
        curvature = float(np.average((p * (logits - mean[:, None]) ** 2).sum(axis=1), weights=weights))
        low, high = (beta, high) if slope < 0 else (low, beta)
        step = beta - slope / curvature if curvature > 0 else math.nan
        beta, before = (step if low < step < high else math.sqrt(low * high)), beta
        if abs(beta - before) <= 1e-12 * beta:
            break
    return beta
