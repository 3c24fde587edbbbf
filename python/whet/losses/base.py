"""What all losses have in common."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import field, fields
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from whet import _core
from whet._arrays import Floats, as_array, as_floats, check_finite
from whet._checks import as_number
from whet._frozen import Frozen

__all__ = ["Loss", "one_or_each", "positive", "refuse"]


class Loss(Frozen):
    """What a model is trained to make small: the mean over rows of a row's loss, or their sum.

    Args:
        reduction: "mean", or "sum": over rows and columns, each row's part times its weight; for an epoch, over all its
            rows. Larger batches then have larger gradients.
    """

    name: ClassVar[str]
    #: What turns raw outputs into probabilities, "softmax" or "sigmoid", or into means, "exp"; or None.
    link: ClassVar[str | None] = None
    #: What targets are: "values" of a regression, "labels" of two classes for each output, or one of several "classes".
    kind: ClassVar[Literal["values", "labels", "classes"]] = "values"
    #: Whether a table's target may be standardised; else zero or the sign has a meaning.
    standardizes: ClassVar[bool] = True
    _reductions: ClassVar[tuple[str, ...]] = ("mean", "sum")

    reduction: str = field(default="mean", kw_only=True)

    def __post_init__(self) -> None:
        if type(self) is Loss:
            raise TypeError("[losses] expected one of the losses, such as losses.MSELoss; Loss is their common ground")
        if self.reduction not in self._reductions:
            valid = ", ".join(self._reductions)
            raise ValueError(f"[{type(self).__name__}] expected a reduction of {valid}, got {self.reduction!r}")
        self._check()

    def _check(self) -> None:
        """Raises TypeError or ValueError for an option that is out of range; may keep another form of it."""

    def _keep(self, **checked: object) -> None:
        """Puts checked options in place of those given: Python's own numbers, which JSON takes."""
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    def options(self) -> dict[str, float | tuple[float, ...]]:
        """The numbers that the kernel takes: for all outputs, or one for each."""
        given = {each.name: getattr(self, each.name) for each in fields(self) if not each.kw_only}
        return {name: value if isinstance(value, tuple) else float(value) for name, value in given.items()}

    def target(self, y: ArrayLike, rows: int, outputs: int, dtype: DTypeLike, where: str) -> NDArray[Any]:
        """`y`, checked, as metrics and `encode` take it for a model with that many outputs.

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

    def encode(self, target: NDArray[Any], outputs: int, dtype: DTypeLike) -> tuple[NDArray[Any], Floats | None]:
        """What the kernel takes for a target: one of its own, and a factor for the weight of each row, or None."""
        return target, None

    def scaling(self, outputs: int) -> tuple[float, bool]:
        """What the losses of rows are multiplied by in a batch's, and whether the sum of weights divides it."""
        return (1.0, True) if self.reduction == "mean" else (float(outputs), False)

    def reduced(self, mean: float, weight: float, outputs: int) -> float:
        """The loss of rows whose weights sum to `weight`, from the weighted mean of the losses of rows."""
        factor, divides = self.scaling(outputs)
        return mean * factor if divides else mean * factor * weight

    def counted(self, target: NDArray[Any]) -> NDArray[np.bool_] | None:
        """Which rows metrics look at; None for all."""
        return None

    def labels(self, target: NDArray[Any]) -> NDArray[Any]:
        """Class indices of `target`, shape (rows,), or whether labels are 1, shape (rows,) or (rows, outputs)."""
        if self.kind == "classes":
            return target if target.ndim == 1 else target.argmax(axis=1)
        return (target[:, 0] if target.shape[1] == 1 else target) > 0.5

    def columns(self, outputs: int) -> slice | None:
        """Which of a row's outputs metrics read; None where they read a mean of what the link makes of several."""
        return slice(0, outputs)

    def values(self, output: Floats) -> Floats:
        """What raw outputs say of targets in their own unit, shape (rows, outputs)."""
        width = math.prod(output.shape[1:])
        flat = output.reshape(len(output), width)[:, self.columns(width)]
        return np.exp(flat) if self.link == "exp" else flat

    def probabilities(self, output: Floats) -> Floats:
        """The link applied to raw outputs, whatever their shape: (rows, outputs).

        Raises:
            ValueError: If the loss has no link.
        """
        output = np.ascontiguousarray(output.reshape(len(output), -1))
        probability = np.empty_like(output)
        if self.link == "softmax":
            _core.softmax(probability, output)
        elif self.link == "sigmoid":
            _core.activate(probability, output, "sigmoid", [])
        else:
            raise ValueError(f"[predict_proba] {self.name} is not a loss of probabilities; use predict")
        return probability


def positive(value: object, owner: str, name: str) -> float:
    """A number above 0."""
    number = as_number(value, owner, name, low=0)
    if number == 0:
        raise ValueError(f"[{owner}] expected {name} above 0, got {value!r}")
    return number


def one_or_each(value: object, owner: str, name: str, high: float = np.inf) -> float | tuple[float, ...]:
    """A number of at least 0, or one for each output."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if not isinstance(value, Sequence) or isinstance(value, str):
        return as_number(value, owner, name, low=0, high=high)
    if not value:
        raise ValueError(f"[{owner}] expected {name} to be a number or one for each output, got none")
    return tuple(as_number(number, owner, name, low=0, high=high) for number in value)


def refuse(wrong: NDArray[np.bool_], where: str, expected: str) -> None:
    """Raises ValueError naming the first row of a target that is not as expected."""
    if wrong.any():
        raise ValueError(f"[{where}] expected y {expected}, got another first in row {int(wrong.any(axis=1).argmax())}")
