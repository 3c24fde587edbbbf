"""How often the rows of each class count."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from whet._checks import as_number
from whet.losses import BCEWithLogitsLoss, CrossEntropyLoss, Loss

__all__ = ["ClassWeight", "check_class_weight", "class_factors"]

#: A factor for each class, or "balanced".
ClassWeight: TypeAlias = Mapping[int, float] | str | None


def check_class_weight(given: ClassWeight, loss: Loss) -> ClassWeight:
    """What a fit was given, without its target.

    Raises:
        TypeError: If it is neither "balanced" nor a mapping of integers to numbers.
        ValueError: If a factor is negative, NaN or infinite, or the loss has no classes to weight.
    """
    if given is None:
        return None
    if isinstance(given, str):
        if given != "balanced":
            raise ValueError(f"[fit] expected class_weight 'balanced' or {{class: factor}}, got {given!r}")
    elif not isinstance(given, Mapping):
        raise TypeError(f"[fit] expected class_weight 'balanced' or {{class: factor}}, got {type(given).__name__}")
    else:
        for label, factor in given.items():
            if not isinstance(label, Integral | np.bool_):
                raise TypeError(f"[fit] expected the classes of class_weight to be integers, got {label!r}")
            as_number(factor, "fit", f"class_weight of {label}", low=0)
    if not isinstance(loss, CrossEntropyLoss | BCEWithLogitsLoss):
        raise _refused(loss, "")
    return given


def class_factors(given: Mapping[int, float] | str, loss: Loss, target: NDArray[Any], outputs: int) -> NDArray[Any]:
    """The factor of each row, shape (rows,), for a target as `loss.target` returns it.

    Raises:
        ValueError: If the target has no classes, or a class of `given` is none of the model's.
    """
    classes = outputs
    counted = loss.counted(target)
    if isinstance(loss, BCEWithLogitsLoss):
        if target.shape[1] != 1 or not ((target == 0) | (target == 1)).all():
            raise _refused(loss, " in one column" if target.shape[1] != 1 else " alone")
        codes, classes = target[:, 0].astype(np.int64), 2
    elif target.ndim == 2:
        raise _refused(loss, ", not their probabilities")
    else:
        codes = target if counted is None else np.where(counted, target, 0)
    each = np.ones(classes)
    if isinstance(given, str):
        rows = np.bincount(codes if counted is None else codes[counted], minlength=classes)
        there = rows > 0
        each[there] = rows.sum() / (there.sum() * rows[there])
    else:
        for label, factor in given.items():
            if not 0 <= label < classes:
                raise ValueError(f"[fit] expected the classes of class_weight from 0 to {classes - 1}, got {label}")
            each[int(label)] = factor
    return each[codes]


def _refused(loss: Loss, more: str) -> ValueError:
    wanted = "labels 0 and 1" if isinstance(loss, BCEWithLogitsLoss) else "class indices"
    if isinstance(loss, CrossEntropyLoss | BCEWithLogitsLoss):
        return ValueError(f"[fit] class_weight needs {wanted}{more} for {loss.name}")
    return ValueError(
        "[fit] class_weight needs 'cross_entropy' with class indices or 'bce_with_logits' with labels 0 and 1, "
        f"got {loss.name}"
    )
