"""Losses: immutable descriptions with PyTorch's names, defaults and mean reduction.

A loss is given as a string (``"mse"``) or as an object (``losses.MSELoss()``). To add an elementwise one, write its
functor in cpp/math/losses.h, a class here, and its formula in tests/reference.py.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from whet import _core
from whet._arrays import Floats, as_array, as_floats, check_finite

__all__ = ["BCEWithLogitsLoss", "CrossEntropyLoss", "L1Loss", "Loss", "MSELoss", "get"]


@dataclass(frozen=True)
class Loss:
    """What a model is trained to make small: the mean over rows of a row's loss."""

    name: ClassVar[str]
    #: What turns raw outputs into what ``predict_proba`` returns: "softmax", "sigmoid" or None.
    link: ClassVar[str | None] = None

    def __post_init__(self) -> None:
        if type(self) is Loss:
            raise TypeError("[losses] expected one of the losses, such as losses.MSELoss; Loss is their common ground")

    def options(self) -> dict[str, float]:
        """The numbers that the kernel takes."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def target(self, y: ArrayLike, rows: int, outputs: int, dtype: DTypeLike, where: str) -> NDArray[Any]:
        """`y` as the kernels take it for a model with that many outputs.

        Raises:
            TypeError: If `y` does not hold numbers.
            ValueError: If its shape does not fit, or it holds NaN or infinite elements.
        """
        array = as_array(y, where, "y")
        expected = f"({rows},) or ({rows}, 1)" if outputs == 1 else f"({rows}, {outputs})"
        if array.shape == (rows,) and outputs == 1:
            array = array.reshape(rows, 1)
        if array.shape != (rows, outputs):
            raise ValueError(f"[{where}] expected y with shape {expected} for {self.name}, got {array.shape}")
        target = as_floats(array, dtype, where, "y")
        check_finite(target, where, "y")
        return target

    def probabilities(self, output: Floats) -> Floats:
        """The link applied to raw outputs of shape (rows, outputs).

        Raises:
            ValueError: If the loss has no link.
        """
        probability = np.empty_like(output)
        if self.link == "softmax":
            _core.softmax(probability, output)
        elif self.link == "sigmoid":
            _core.activate(probability, output, "sigmoid", [])
        else:
            raise ValueError(f"[predict_proba] {self.name} is not a loss of probabilities; use predict")
        return probability


@dataclass(frozen=True)
class MSELoss(Loss):
    """Mean over rows and columns of (prediction - target)^2, as torch.nn.MSELoss."""

    name = "mse"


@dataclass(frozen=True)
class L1Loss(Loss):
    """Mean over rows and columns of |prediction - target|, as torch.nn.L1Loss."""

    name = "l1"


@dataclass(frozen=True)
class BCEWithLogitsLoss(Loss):
    """Mean over rows and columns of the binary cross-entropy of sigmoid(prediction), as torch.nn.BCEWithLogitsLoss.

    Targets lie in [0, 1].
    """

    name = "bce_with_logits"
    link = "sigmoid"

    def target(self, y: ArrayLike, rows: int, outputs: int, dtype: DTypeLike, where: str) -> Floats:
        """See `Loss.target`; also raises ValueError for targets outside [0, 1]."""
        target = super().target(y, rows, outputs, dtype, where)
        if target.size and (target.min() < 0 or target.max() > 1):
            raise ValueError(f"[{where}] expected y between 0 and 1 for {self.name}")
        return target


@dataclass(frozen=True)
class CrossEntropyLoss(Loss):
    """Mean over rows of H(target, softmax(prediction)), as torch.nn.CrossEntropyLoss.

    Targets are class indices of shape (rows,), or probabilities of shape (rows, classes).
    """

    name = "cross_entropy"
    link = "softmax"

    def target(self, y: ArrayLike, rows: int, outputs: int, dtype: DTypeLike, where: str) -> NDArray[Any]:
        """See `Loss.target`; class indices become int32.

        Raises:
            TypeError: If `y` is one-dimensional and not of integers.
            ValueError: If an index is not a class, or a row of probabilities is negative or does not sum to one.
        """
        if outputs < 2:
            raise ValueError(
                f"[{where}] expected a model with an output per class for {self.name}, got {outputs}; "
                "'bce_with_logits' takes one output for two classes"
            )
        array = as_array(y, where, "y")
        if array.shape == (rows, 1):
            array = array.reshape(rows)
        if array.shape == (rows,):
            return self._classes(array, outputs, where)
        if array.shape != (rows, outputs):
            raise ValueError(
                f"[{where}] expected y with shape ({rows},) or ({rows}, {outputs}) for {self.name}, got {array.shape}"
            )
        target = super().target(array, rows, outputs, dtype, where)
        wrong = (target < 0).any(axis=1) | (np.abs(target.sum(axis=1, dtype=np.float64) - 1) > 1e-3)
        if wrong.any():
            raise ValueError(
                f"[{where}] expected each row of y to be probabilities that sum to 1, "
                f"first violated in row {int(wrong.argmax())}"
            )
        return target

    def _classes(self, array: NDArray[Any], outputs: int, where: str) -> NDArray[np.int32]:
        if array.dtype.kind == "f":
            raise TypeError(
                f"[{where}] expected y to hold integer class indices for {self.name}, got dtype {array.dtype}"
            )
        wrong = (array < 0) | (array >= outputs)
        if wrong.any():
            raise ValueError(
                f"[{where}] expected class indices in y from 0 to {outputs - 1}, "
                f"got another first in row {int(wrong.argmax())}"
            )
        return np.require(array, np.int32, ["C", "A"])


_CLASSES: dict[str, type[Loss]] = {cls.name: cls for cls in (MSELoss, L1Loss, BCEWithLogitsLoss, CrossEntropyLoss)}
_ALIASES = {"mae": "l1", **{cls.__name__: name for name, cls in _CLASSES.items()}}
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


def get(loss: str | Loss) -> Loss:
    """The loss that a string or an object names.

    Raises:
        TypeError: If `loss` is neither.
        ValueError: If there is no loss of that name; the message lists the valid ones.
    """
    if isinstance(loss, Loss):
        return loss
    if not isinstance(loss, str):
        raise TypeError(f"[loss] expected a string or an object of whet.losses, got {type(loss).__name__}")
    name = _ALIASES.get(loss, loss)
    if name in _CLASSES:
        return _CLASSES[name]()
    hint = f"; whet has {_ELSEWHERE[loss]}" if loss in _ELSEWHERE else ""
    raise ValueError(f"[loss] expected one of {', '.join(_CLASSES)}, got '{loss}'{hint}")
