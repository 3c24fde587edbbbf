"""Metrics: functions of (truth, prediction), and what ``fit`` takes: names, objects with options, functions.

Definitions and options are those of scikit-learn's functions of the same meaning; `sample_weight` weighs rows. ``fit``
and ``evaluate`` take a name, ``"f1"``; an object of the class of that name, ``metrics.F1(average="macro")``; or any
function of (truth, prediction) that returns a number. The function's truth is the target as the loss takes it, and
its prediction what ``predict_proba`` returns where the loss has probabilities, else ``predict`` in the target's unit;
arrays of one column have the shape (rows,). ``Metric`` gives a function other forms of it, and a direction.

To add one: a function and its class in the file of its kind, and its name here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from whet.metrics.base import Absent, Metric, Named, of_function
from whet.metrics.classes import (
    F1,
    Accuracy,
    BalancedAccuracy,
    Precision,
    Recall,
    TopK,
    accuracy,
    balanced_accuracy,
    f1,
    precision,
    recall,
    top_k,
)
from whet.metrics.predictions import Predictions
from whet.metrics.probabilities import ROCAUC, Brier, LogLoss, auc, brier, log_loss, roc_auc
from whet.metrics.sums import Sums
from whet.metrics.values import MAE, MAPE, R2, RMSE, mae, mape, r2, rmse

__all__ = [
    "F1",
    "MAE",
    "MAPE",
    "R2",
    "RMSE",
    "ROCAUC",
    "Accuracy",
    "BalancedAccuracy",
    "Brier",
    "LogLoss",
    "Metric",
    "Named",
    "Precision",
    "Predictions",
    "Recall",
    "Sums",
    "TopK",
    "accuracy",
    "auc",
    "balanced_accuracy",
    "brier",
    "f1",
    "get",
    "log_loss",
    "mae",
    "mape",
    "precision",
    "r2",
    "recall",
    "rmse",
    "roc_auc",
    "top_k",
]

_CLASSES: dict[str, type[Named]] = {
    cls.key: cls
    for cls in (
        Accuracy,
        BalancedAccuracy,
        Precision,
        Recall,
        F1,
        TopK,
        ROCAUC,
        LogLoss,
        Brier,
        MAE,
        RMSE,
        MAPE,
        R2,
    )
}
_TAKEN = ("loss", "lr", "epoch")
_ALIASES = {"auc": "roc_auc"}  # histories have the name that was asked for

Asked = str | Metric | Callable[..., float]


def own(metrics: Sequence[Metric]) -> list[Any]:
    """Those that are whet's own, for files, as names, or mappings where they have options; functions are no data."""
    return [_described(metric) for metric in metrics if isinstance(metric, Named)]


def absent(metrics: Sequence[Metric]) -> list[str]:
    """The names of the others, of which a file holds nothing else."""
    return [metric.name for metric in metrics if not isinstance(metric, Named)]


def _described(metric: Named) -> str | dict[str, Any]:
    alias = _ALIASES.get(metric.name, metric.name)
    if alias == metric.key and metric.options() == type(metric)().options():
        return metric.name
    return {"metric": metric.key, "name": metric.name, **metric.options()}


def restored(described: Sequence[Any], names: Sequence[str] = ()) -> tuple[Metric, ...]:
    """The metrics that `own` described, and what stands for those that `absent` named.

    Raises:
        ValueError: If it is no such description.
    """
    found: list[Metric] = []
    for each in described:
        options = dict(each) if isinstance(each, Mapping) else {}
        try:
            found += [_CLASSES[options.pop("metric")](**options)] if options else get(each)
        except (KeyError, TypeError) as error:
            raise ValueError(f"[metrics] expected the description of a metric, got {each!r}: {error}") from None
    return (*found, *map(Absent, names))


def _one(metric: object) -> Metric:
    if isinstance(metric, Metric):
        return metric
    if isinstance(metric, str):
        key = _ALIASES.get(metric, metric)
        if key not in _CLASSES:
            raise ValueError(f"[metrics] expected one of {', '.join(_CLASSES)}, got '{metric}'")
        return replace(_CLASSES[key](), name=metric)
    if isinstance(metric, type) and issubclass(metric, Metric):
        raise TypeError(f"[metrics] expected an object, got {metric.__name__} itself: make one, with parentheses")
    if callable(metric):
        return next((named for function, named in _FUNCTIONS if function is metric), None) or of_function(metric)
    raise TypeError(
        f"[metrics] expected strings, objects of whet.metrics or functions of (truth, prediction), "
        f"got {type(metric).__name__}"
    )


_FUNCTIONS: list[tuple[Callable[..., float], Metric]] = [
    (named._function, named) for named in (cls() for cls in _CLASSES.values())
]


def get(metrics: Asked | Sequence[Asked] | None) -> tuple[Metric, ...]:
    """The metrics that strings, objects or functions of (truth, prediction) name.

    Raises:
        TypeError: If one is neither.
        ValueError: If there is no metric of a name, and the message lists the valid ones; if two have one name, or one
            has a name that histories use for something else.
    """
    if metrics is None:
        return ()
    several = metrics if isinstance(metrics, Sequence) and not isinstance(metrics, str) else (metrics,)
    found = tuple(_one(metric) for metric in several)
    names = [metric.name for metric in found]
    for name in names:
        if name in _TAKEN or name.startswith("val_"):
            raise ValueError(f"[metrics] expected another name than '{name}', which histories use for something else")
        if names.count(name) > 1:
            raise ValueError(f"[metrics] expected metrics of different names, got '{name}' twice")
    return found
