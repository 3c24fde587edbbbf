"""Intervals and sets that hold the truth as often as they promise, whatever the model (split-conformal prediction)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from whet._arrays import Floats, as_array
from whet._checks import as_number, as_seed
from whet._rows import AnyModel, Rows, rows_of
from whet.calibration.wrapped import Wrapped
from whet.losses import QuantileLoss
from whet.nn import Module
from whet.tabular import TabularModel

__all__ = ["ConformalClassifier", "ConformalRegressor", "conformal_classification", "conformal_regression"]

Spread = AnyModel | Callable[[Any], ArrayLike]

_METHODS = ("lac", "aps")
_INTERVAL = "predict_interval"


class ConformalRegressor(Wrapped):
    """A regression with intervals; made by `conformal_regression`.

    Attributes:
        model: The model.
        method: "absolute", "normalized" or "quantile".
        scores: How far off the held-out rows were, sorted.
        rows: How many they were.
    """

    kind = "conformal regression"
    method: str
    scores: NDArray[np.float64]
    spread: Spread | None

    def __init__(self, model: AnyModel, method: str, scores: NDArray[np.float64], spread: Spread | None) -> None:
        super().__init__(model, len(scores))
        self._set(method=method, scores=np.sort(scores), spread=spread)

    def predict_interval(self, X: Any, confidence_level: float = 0.9) -> NDArray[np.float64]:
        """From and to which value the target lies with that probability.

        Of rows drawn as the held-out ones were: over both, the share of intervals that hold the target is at least the
        level, and above it by less than 1 / (held-out rows + 1).

        Args:
            X: As for the model.
            confidence_level: That probability.

        Returns:
            Shape (rows, 2), in the target's own units.

        Raises:
            TypeError, ValueError: As the model's; also for a level that asks for more held-out rows.
        """
        margin = np.array(_quantile(self.scores, confidence_level, _INTERVAL))
        low, high = _bounds(self._rows(X, _INTERVAL), self.method)
        if self.method == "normalized":
            margin = margin * _spread(self.spread, X, len(low), _INTERVAL)
        # Quantiles that a model crosses, and a margin below zero, leave no more than a point.
        low, high = low - margin, high + margin
        middle = (low + high) / 2
        return np.stack([np.minimum(low, middle), np.maximum(high, middle)], axis=1)

    def save(self, path: Any) -> None:
        """Writes the model and what was learnt to one file that ``whet.load`` opens, all or nothing.

        Raises:
            OSError: If the file cannot be written; an earlier file of that name is then whole.
            TypeError: If there is a spread besides the model.
        """
        if self.spread is not None:
            raise TypeError("[save] expected a model alone: its spread is another; save both and calibrate anew")
        super().save(path)

    def _numbers(self) -> dict[str, Any]:
        return {"method": self.method}

    def _arrays(self) -> dict[str, Floats]:
        return {"scores": self.scores}

    def _restore(self, description: Mapping[str, Any], arrays: Mapping[str, Floats]) -> None:
        self._set(method=str(description["method"]), scores=arrays["scores"], spread=None)

    def _told(self) -> str:
        return f"method={self.method!r}"


def conformal_regression(
    model: AnyModel, X: Any, y: ArrayLike | None = None, *, spread: Spread | None = None
) -> ConformalRegressor:
    """Intervals from how far off the model is on held-out rows.

    A model of several quantiles (`losses.QuantileLoss`) has its lowest and highest one widened or narrowed (Romano et
    al., "Conformalized quantile regression", NeurIPS 2019): wide where it is unsure. Any other has its prediction plus
    and minus one margin, or that times a spread (Lei et al., "Distribution-free predictive inference for regression",
    JASA 2018).

    Args:
        model: A fitted nn.Module with one target, or a TabularModel, for numbers.
        X: Rows that it was not trained on, drawn as the later ones will be: features, or a table with the target.
        y: The target of features.
        spread: What says how far off the model may be, for each row more than 0: another model with such predictions,
            or a function of X.

    Raises:
        TypeError: If an argument is of a wrong kind.
        ValueError: If shapes do not fit, the model has classes or several targets, or a spread is not above 0.
        RuntimeError: If a TabularModel is not fitted.
    """
    where = "conformal_regression"
    rows = rows_of(model, X, y, where, with_target=True)
    if rows.loss is None or rows.loss.kind != "values":
        raise ValueError(f"[{where}] expected a fitted model of numbers; conformal_classification is for classes")
    method = "quantile" if _has_quantiles(rows) else "absolute" if spread is None else "normalized"
    if method == "quantile" and spread is not None:
        raise ValueError(f"[{where}] expected no spread for a model of quantiles: they tell it")
    truth = rows.truth()
    if truth.shape[1] != 1:
        raise ValueError(f"[{where}] expected a model with one target, got {truth.shape[1]}")
    low, high = _bounds(rows, method)
    scores = np.maximum(low - truth[:, 0], truth[:, 0] - high)
    if method == "normalized":
        scores = scores / _spread(spread, X, len(scores), where)
    return ConformalRegressor(model, method, scores, spread)


def _has_quantiles(rows: Rows) -> bool:
    return isinstance(rows.loss, QuantileLoss) and isinstance(rows.loss.quantile, tuple) and len(rows.loss.quantile) > 1


def _bounds(rows: Rows, method: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The lowest and the highest quantile that is predicted, or the one value twice; shapes (rows,)."""
    outputs = rows.outputs()
    if method != "quantile":
        value = rows.read(outputs)[:, 0].astype(np.float64)
        return value, value
    assert isinstance(rows.loss, QuantileLoss)
    order = np.argsort(rows.loss.quantile)
    values = outputs.astype(np.float64) * rows.scale + rows.offset
    return values[:, order[0]], values[:, order[-1]]


def _spread(spread: Spread | None, X: Any, rows: int, where: str) -> NDArray[np.float64]:
    if not (callable(spread) or isinstance(spread, TabularModel)):
        raise TypeError(f"[{where}] expected a spread that is a model or a function of X, got {type(spread).__name__}")
    found = spread.predict(X) if isinstance(spread, Module | TabularModel) else spread(X)
    each = as_array(found, where, "spread").astype(np.float64).reshape(-1)
    if each.shape != (rows,) or not (np.isfinite(each) & (each > 0)).all():
        raise ValueError(f"[{where}] expected a spread of {rows} finite numbers above 0, one for each row")
    return each


def _quantile(scores: NDArray[np.float64], confidence_level: float, where: str) -> float:
    """What a score stays below with that probability, where the scores and it come in any order alike."""
    level = as_number(confidence_level, where, "confidence_level", low=0, high=1)
    place = math.ceil((len(scores) + 1) * level - 1e-9)
    if place > len(scores):
        needed = math.ceil(level / (1 - level) - 1e-9)
        raise ValueError(f"[{where}] expected at least {needed} held-out rows for that level, got {len(scores)}")
    return float(scores[max(place, 1) - 1])


class ConformalClassifier(Wrapped):
    """A classifier with sets of classes; made by `conformal_classification`.

    Attributes:
        model: The model.
        method: "lac" or "aps".
        scores: How unlikely the right class was in held-out rows, sorted.
        rows: How many they were.
        seed: Of what "aps" draws.
    """

    kind = "conformal classification"
    method: str
    scores: NDArray[np.float64]
    seed: int

    def __init__(self, model: AnyModel, method: str, scores: NDArray[np.float64], seed: int) -> None:
        super().__init__(model, len(scores))
        self._set(method=method, scores=np.sort(scores), seed=seed)

    def predict_set(self, X: Any, confidence_level: float = 0.9) -> NDArray[np.bool_]:
        """Which classes the right one is among with that probability.

        Of rows drawn as the held-out ones were, over both, and for the level as `ConformalRegressor.predict_interval`
        says. A set may be empty: no class is then as likely as the right one mostly is.

        Args:
            X: As for the model.
            confidence_level: That probability.

        Returns:
            Shape (rows, classes), in the order of the model's outputs.

        Raises:
            TypeError, ValueError: As the model's; also for a level that asks for more held-out rows.
        """
        where = "predict_set"
        most = _quantile(self.scores, confidence_level, where)
        rows = self._rows(X, where)
        sets: NDArray[np.bool_] = _unlikely(_of_classes(rows), self.method, (self.seed, 1)) <= most
        return sets

    def _numbers(self) -> dict[str, Any]:
        return {"method": self.method, "seed": self.seed}

    def _arrays(self) -> dict[str, Floats]:
        return {"scores": self.scores}

    def _restore(self, description: Mapping[str, Any], arrays: Mapping[str, Floats]) -> None:
        self._set(method=str(description["method"]), scores=arrays["scores"], seed=int(description["seed"]))

    def _told(self) -> str:
        return f"method={self.method!r}"


def conformal_classification(
    model: AnyModel, X: Any, y: ArrayLike | None = None, *, method: str = "lac", seed: int = 0
) -> ConformalClassifier:
    """Sets of classes from how unlikely the model found the right ones of held-out rows.

    Args:
        model: A fitted nn.Module or TabularModel for classes, or for one label.
        X: Rows that it was not trained on, drawn as the later ones will be: features, or a table with the target.
        y: The target of features.
        method: "lac": all classes above a probability, the smallest sets on average (Sadinle et al., "Least ambiguous
            set-valued classifiers", JASA 2019). "aps": the likeliest classes until their sum is large enough, the last
            one by chance, which is fairer to rows that are hard (Romano et al., "Classification with valid and adaptive
            coverage", NeurIPS 2020).
        seed: Of the chance.

    Raises:
        TypeError: If an argument is of a wrong kind.
        ValueError: If shapes do not fit, or the model has no probabilities of classes.
        RuntimeError: If a TabularModel is not fitted.
    """
    where = "conformal_classification"
    if method not in _METHODS:
        raise ValueError(f"[{where}] expected a method among {', '.join(_METHODS)}, got {method!r}")
    rows, seed = rows_of(model, X, y, where, with_target=True), as_seed(seed, where)
    if rows.loss is None or rows.loss.link not in ("softmax", "sigmoid"):
        raise ValueError(f"[{where}] expected a fitted model with probabilities, such as one of cross_entropy")
    probabilities = _of_classes(rows)
    truth = rows.truth().astype(np.intp)
    if truth.ndim != 1 or (truth < 0).any():
        raise ValueError(f"[{where}] expected one class for each row, that the loss does not ignore")
    scores = _unlikely(probabilities, method, (seed, 0))[np.arange(len(truth)), truth]
    return ConformalClassifier(model, method, scores, seed)


def _of_classes(rows: Rows) -> NDArray[np.float64]:
    """Probabilities of all classes; of the two of one label, 0 first."""
    p = rows.read(rows.outputs()).astype(np.float64)
    assert rows.loss is not None
    if rows.loss.link == "softmax":
        return p
    if p.shape[1] != 1:
        raise ValueError(f"[{rows.where}] expected a model with one label, got {p.shape[1]}")
    return np.concatenate([1 - p, p], axis=1)


def _unlikely(p: NDArray[np.float64], method: str, seed: tuple[int, int]) -> NDArray[np.float64]:
    """How unlikely each class is: what is left of its probability, or the sum of those before it and a part of it."""
    if method == "lac":
        return 1 - p
    order = np.argsort(-p, axis=1, kind="stable")
    ranked = np.take_along_axis(p, order, axis=1)
    part = np.random.default_rng(seed).random((len(p), 1))
    sums = np.empty_like(p)
    np.put_along_axis(sums, order, np.cumsum(ranked, axis=1) - (1 - part) * ranked, axis=1)
    return sums
