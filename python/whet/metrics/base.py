"""What all metrics have in common."""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import field, fields
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from whet._arrays import Floats, as_weights, read_only
from whet._frozen import Frozen
from whet.errors import WhetWarning
from whet.losses import Loss
from whet.metrics.predictions import Predictions, Reads
from whet.metrics.sums import Sums

__all__ = [
    "Absent",
    "Metric",
    "Named",
    "mean",
    "of_function",
    "one_of",
    "pair",
    "present",
    "scores",
    "weights_of",
]


class Metric:
    """A function of (truth, prediction) with what `fit` has to know of it.

    Args:
        name: The key in histories and results.
        function: Takes truth and prediction, and `sample_weight` by name if it has a parameter of that name and rows
            have weights, read-only arrays; returns one number.
        reads: What it takes as prediction: "labels" or "probabilities" of classes, "values" of a regression, or the raw
            "outputs" of any model. "predictions" are probabilities if the loss has them, else values; "scores" are what
            puts the rows in an order, for each class or label. Arrays of one column have the shape (rows,) for
            "labels", "probabilities" of one output and "predictions".
        greater_is_better: The direction of improvement; None if nobody knows.
    """

    name: str
    function: Callable[..., float]
    reads: Reads
    greater_is_better: bool | None
    #: The sums over rows that it is made of, by the core's names; without any it needs all rows at once.
    needs: ClassVar[tuple[str, ...]] = ()

    def __init__(self, name: str, function: Callable[..., float], reads: Reads, greater_is_better: bool | None) -> None:
        self.name, self.reads, self.greater_is_better = name, one_of(reads, Reads, "reads"), greater_is_better
        self.function = function

    def check(self, loss: Loss) -> None:
        """Raises ValueError if the metric cannot be told of models trained with `loss`."""
        if self.reads in ("outputs", "predictions"):
            return
        if (self.reads == "values") != (loss.kind == "values"):
            kind = "without classes, such as mse" if self.reads == "values" else "with classes, such as cross_entropy"
            raise ValueError(f"[metrics] {self.name} needs a loss {kind}; got {loss.name}")
        if self.reads == "probabilities" and loss.link is None:
            raise ValueError(f"[metrics] {self.name} needs a loss of probabilities; got {loss.name}")

    def check_shapes(self, seen: Predictions) -> None:
        """Raises ValueError if the metric cannot be told of predictions and targets like those of this row."""
        if seen.several and self.reads not in ("outputs", "predictions"):
            raise ValueError(
                f"[metrics] {self.name} needs a model with one output, got one with several: "
                "a function of (truth, prediction) takes what predict returns"
            )

    def score(self, seen: Predictions) -> float:
        """The metric of a model's predictions."""
        truth, said = seen.read(self.reads)
        prediction = tuple(map(read_only, said)) if isinstance(said, tuple) else read_only(said)
        weights = {}
        if seen.weights is not None and _takes_weights(self.function):
            weights["sample_weight"] = read_only(seen.weights)
        return _number(self.function(read_only(truth), prediction, **weights), self.name)

    def whole(self, sums: Sums) -> float:
        """The metric of all rows that were summed."""
        raise ValueError(f"[metrics] {self.name} needs all rows at once")

    def __repr__(self) -> str:
        return f"Metric({self.name!r}, reads={self.reads!r})"


class Named(Frozen, Metric):
    """A metric of whet: a function of this package as a class, so that its options can be given to a fit.

    Args:
        name: The key in histories and results; by default that of the function, followed by its options.
    """

    key: ClassVar[str]
    _function: ClassVar[Callable[..., float]]
    name: str = field(default="", kw_only=True)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise TypeError(f"[{type(self).__name__}] expected name to be text, got {type(self.name).__name__}")
        if not self.name:
            object.__setattr__(self, "name", self._default_name())

    def _default_name(self) -> str:
        changed = [each for each in self._options() if getattr(self, each.name) != each.default]
        told = {each.name: getattr(self, each.name) for each in changed}
        return "_".join([self.key, *(value if isinstance(value, str) else name for name, value in told.items())])

    def _options(self) -> list[Any]:
        return [each for each in fields(self) if each.name != "name"]

    def options(self) -> dict[str, Any]:
        """The function's arguments by name."""
        return {each.name: getattr(self, each.name) for each in self._options()}

    def score(self, seen: Predictions) -> float:
        """See `Metric.score`."""
        return self.whole(Sums.of((self,), seen))

    def __repr__(self) -> str:
        options = ", ".join(f"{name}={value!r}" for name, value in self.options().items())
        return f"{type(self).__name__}({options})"


class Absent(Metric):
    """A metric of functions of a user's, which no file holds: of a model that was loaded, only its name is known."""

    def __init__(self, name: str) -> None:
        super().__init__(name, lambda truth, prediction: math.nan, "predictions", None)
        self._told = False

    def warn(self) -> None:
        """Tells of it the first time."""
        if not self._told:
            message = f"[evaluate] the metric '{self.name}' is absent: it is a function, which no model file holds"
            warnings.warn(message, WhetWarning, stacklevel=8)
        self._told = True


def present(metrics: Sequence[Metric]) -> list[Metric]:
    """Those that are not absent; warns of those that are."""
    for metric in metrics:
        if isinstance(metric, Absent):
            metric.warn()
    return [metric for metric in metrics if not isinstance(metric, Absent)]


def scores(metrics: Sequence[Metric], seen: Predictions) -> dict[str, float]:
    """Each metric of a model's predictions by name; warns of those that are absent."""
    metrics = present(metrics)
    summed = [metric for metric in metrics if metric.needs]
    found = Sums.of(summed, seen).numbers() if summed else {}
    return {metric.name: found[metric.name] if metric.needs else metric.score(seen) for metric in metrics}


def of_function(function: Callable[..., float]) -> Metric:
    """The metric that a plain function is."""
    name = getattr(function, "__name__", type(function).__name__)
    return Metric(name, function, "predictions", None)


def _takes_weights(function: Callable[..., Any]) -> bool:
    try:
        return "sample_weight" in inspect.signature(function).parameters
    except (TypeError, ValueError):
        return False


def _number(value: object, name: str) -> float:
    array = np.asarray(value)
    if array.size != 1 or array.dtype.kind not in "biuf":
        raise TypeError(f"[metrics] expected {name} to return one number, got {value!r:.80}")
    return float(array.reshape(()))


def one_of(value: Any, choices: Any, name: str) -> Any:
    """`value`, if it is among those of a Literal."""
    allowed = choices.__args__
    if not isinstance(value, str) or value not in allowed:
        raise ValueError(f"[metrics] expected {name} to be one of {', '.join(map(str, allowed))}, got {value!r}")
    return value


def pair(truth: ArrayLike, prediction: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
    """Both as arrays of one shape; (rows,) and (rows, 1) are equal."""
    a, b = np.asarray(truth), np.asarray(prediction)
    if a.shape[:1] == b.shape[:1] and a.size == b.size == len(a):
        a, b = a.reshape(-1), b.reshape(-1)
    if a.shape != b.shape or a.size == 0:
        raise ValueError(
            f"[metrics] expected truth and prediction of one shape, not empty; got {a.shape} and {b.shape}"
        )
    return a, b


def weights_of(sample_weight: ArrayLike | None, rows: int) -> Floats | None:
    """Weights of rows, checked."""
    return as_weights(sample_weight, rows, np.float64, "metrics")


def mean(each: NDArray[Any], weights: Floats | None) -> float:
    """The weighted mean over rows, and the mean over what else an array has."""
    if weights is None:
        return float(np.mean(each, dtype=np.float64))
    return float(np.average(each.reshape(len(each), -1).mean(axis=1, dtype=np.float64), weights=weights))
