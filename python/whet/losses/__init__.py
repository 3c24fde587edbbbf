"""Losses: immutable descriptions with PyTorch's names, defaults and mean reduction.

A loss is given as a string (``"mse"``) or as an object (``losses.HuberLoss(delta=2.0)``). To add an elementwise one,
write its functor in cpp/math/losses.h, a class here, and its formula in tests/reference_losses.py.

In the formulas p is the prediction, a model's raw output, and t the target.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from whet.losses import classes, functions, labels, values
from whet.losses.base import Loss
from whet.losses.classes import *
from whet.losses.functions import *
from whet.losses.labels import *
from whet.losses.values import *

__all__ = ["Loss", "get"]
__all__ += classes.__all__
__all__ += functions.__all__
__all__ += labels.__all__
__all__ += values.__all__

#: Those that need no arguments.
_CLASSES: dict[str, type[Loss]] = {
    cls.name: cls
    for room in (values, labels, classes, functions)
    for cls in map(vars(room).__getitem__, room.__all__)
    if "name" in vars(cls) and "function" not in vars(cls).get("__annotations__", ())
}
_ALIASES = {
    "mae": "l1",
    "pinball": "quantile",
    "poisson_nll": "poisson",
    **{cls.__name__: name for name, cls in _CLASSES.items()},
}
_ELSEWHERE = {
    "nll_loss": "'cross_entropy' on raw outputs",
    "NLLLoss": "'cross_entropy' on raw outputs",
    "bce": "'bce_with_logits' on raw outputs",
    "BCELoss": "'bce_with_logits' on raw outputs",
    "binary_crossentropy": "'bce_with_logits' on raw outputs",
    "categorical_crossentropy": "'cross_entropy' on raw outputs",
    "sparse_categorical_crossentropy": "'cross_entropy' on raw outputs",
    "squared_error": "'mse'",
    "log_loss": "'cross_entropy'",
}


def get(loss: str | Loss | Callable[[Any, Any], Any]) -> Loss:
    """The loss that a string or an object names, or a function of prediction and target describes.

    Raises:
        TypeError: If `loss` is neither.
        ValueError: If there is no loss of that name; the message lists the valid ones.
    """
    if isinstance(loss, Loss):
        return loss
    if callable(loss) and not isinstance(loss, type):
        return FunctionLoss(loss)
    if not isinstance(loss, str):
        raise TypeError(f"[loss] expected a string, an object of whet.losses or a function, got {type(loss).__name__}")
    name = _ALIASES.get(loss, loss)
    if name in _CLASSES:
        return _CLASSES[name]()
    hint = f"; whet has {_ELSEWHERE[loss]}" if loss in _ELSEWHERE else ""
    raise ValueError(f"[loss] expected one of {', '.join(_CLASSES)}, got '{loss}'{hint}")
