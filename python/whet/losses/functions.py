"""Losses that are functions of a row's prediction and target, traced into the model's graph."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from whet._arrays import Floats, as_array, as_floats, check_finite, read_only
from whet._checks import as_flag, as_number
from whet.losses.base import Loss
from whet.losses.classes import CrossEntropyLoss
from whet.losses.labels import BCEWithLogitsLoss
from whet.losses.values import MSELoss

__all__ = ["CosineEmbeddingLoss", "FunctionLoss", "GaussianNLLLoss", "MemberLoss", "NumPyLoss", "TracedLoss"]

_LOG_2_PI = math.log(2 * math.pi)


def _columns(y: ArrayLike, rows: int, dtype: DTypeLike, where: str) -> Floats:
    """Targets of any number of columns."""
    array = as_array(y, where, "y")
    if array.ndim == 1:
        array = array.reshape(-1, 1)
    if array.ndim != 2 or len(array) != rows or array.shape[1] == 0:
        raise ValueError(f"[{where}] expected y with shape ({rows},) or ({rows}, columns), got {array.shape}")
    target: Floats = as_floats(array, dtype, where, "y")
    check_finite(target, where, "y")
    return target


class TracedLoss(Loss):
    """A loss that becomes a part of the model's graph: what `row_losses` says runs once, on traced values.

    Subclasses may use in it what a module's ``forward`` may: ``+ - * /``, slices, sums and means over a row's elements,
    and the functions of whet.nn.functional. Annotated fields are options, ``factor: float = 2.0``: as every loss, a
    subclass is a frozen dataclass, without a decorator.
    """

    def row_losses(self, prediction: Any, target: Any) -> Any:
        """The loss of each row, traced; of several elements for a row, their mean or sum counts, as `reduction` says.

        Args:
            prediction: Of the shape of the model's output, or a tuple of such where it has several.
            target: Of shape (rows, columns of y).
        """
        raise TypeError(f"[{type(self).__name__}] expected a subclass that says what the loss of a row is")

    def scaling(self, outputs: int) -> tuple[float, bool]:
        """See `Loss.scaling`: the graph takes the sum or mean over a row's elements."""
        return super().scaling(1)

    def options(self) -> dict[str, float | tuple[float, ...]]:
        """None: the graph has them."""
        return {}

    def target(self, y: ArrayLike, rows: int, outputs: int, dtype: DTypeLike, where: str) -> NDArray[Any]:
        """See `Loss.target`; any number of columns will do."""
        return _columns(y, rows, dtype, where)


class FunctionLoss(TracedLoss):
    """What a function of prediction and target says of each row: the mean over rows of what it returns.

    ``fit(..., loss=function)`` makes one of these.

    Args:
        function: See `TracedLoss.row_losses` for what it takes, returns and may do.
    """

    name = "function"
    function: Callable[[Any, Any], Any]

    def _check(self) -> None:
        if not callable(self.function):
            raise TypeError(f"[FunctionLoss] expected a function, got {type(self.function).__name__}")

    def row_losses(self, prediction: Any, target: Any) -> Any:
        """See `TracedLoss.row_losses`."""
        return self.function(prediction, target)


class NumPyLoss(Loss):
    """What a function of NumPy arrays says of each row, where a loss cannot be traced: the mean over rows.

    The function is called in every step, for a batch or a part of it: use a FunctionLoss where you can.

    Args:
        function: Takes predictions, shape (rows, outputs), and targets, shape (rows, columns of y), in the model's
            dtype, both read-only; returns the loss of each row, shape (rows,), and its gradient with respect to the
            row's prediction, shape (rows, outputs).
    """

    name = "numpy"
    function: Callable[[Floats, Floats], tuple[ArrayLike, ArrayLike]]

    def _check(self) -> None:
        if not callable(self.function):
            raise TypeError(f"[NumPyLoss] expected a function, got {type(self.function).__name__}")

    def scaling(self, outputs: int) -> tuple[float, bool]:
        """See `Loss.scaling`: the function says what a row's loss is."""
        return super().scaling(1)

    def options(self) -> dict[str, float | tuple[float, ...]]:
        """None: the function has what it needs."""
        return {}

    def target(self, y: ArrayLike, rows: int, outputs: int, dtype: DTypeLike, where: str) -> NDArray[Any]:
        """See `TracedLoss.target`."""
        return _columns(y, rows, dtype, where)

    def rows(self, prediction: Floats, target: Floats) -> tuple[Floats, Floats]:
        """What the function says, checked.

        Raises:
            TypeError: If it returns no pair of arrays of numbers.
            ValueError: If a shape does not fit.
        """
        answer = self.function(read_only(prediction), read_only(target))
        if not isinstance(answer, (tuple, list)) or len(answer) != 2:
            raise TypeError(f"[loss] expected the function to return losses and gradient, got {type(answer).__name__}")
        checked = []
        shapes = (len(target),), prediction.shape
        for name, given, shape in zip(("losses", "a gradient"), answer, shapes, strict=True):
            array = as_array(given, "loss", name)
            if array.shape != shape:
                raise ValueError(f"[loss] expected the function to return {name} of shape {shape}, got {array.shape}")
            checked.append(as_floats(array, prediction.dtype, "loss", name))
        return checked[0], checked[1]


class GaussianNLLLoss(TracedLoss):
    """Mean over rows and columns of (log v + (m - t)^2 / v) / 2, as torch.nn.GaussianNLLLoss.

    The model's outputs are the means m and, behind them, the variances v of all columns: twice as many as y has
    columns. A variance below eps counts as eps; nn.Softplus or exp keeps it positive.

    Args:
        full: Whether log(2 pi) / 2 is added.
        eps: The least variance.
    """

    name = "gaussian_nll"
    full: bool = False
    eps: float = 1e-6

    def _check(self) -> None:
        as_flag(self.full, "GaussianNLLLoss", "full")
        if as_number(self.eps, "GaussianNLLLoss", "eps", low=0) == 0:
            raise ValueError("[GaussianNLLLoss] expected eps above 0, got 0")

    def columns(self, outputs: int) -> slice | None:
        """See `Loss.columns`: the means."""
        return slice(0, outputs // 2)

    def row_losses(self, prediction: Any, target: Any) -> Any:
        """See `TracedLoss.row_losses`."""
        columns = target.shape[0]
        if prediction.shape != (2 * columns,):
            raise ValueError(
                f"[gaussian_nll] expected a model with {2 * columns} outputs, means and variances, "
                f"for y with {columns} columns, got outputs of shape {prediction.shape}"
            )
        variance = prediction[:, columns:].maximum(self.eps)
        difference = prediction[:, :columns] - target
        loss = (variance.apply("log") + difference * difference / variance) * 0.5
        return loss + 0.5 * _LOG_2_PI if self.full else loss


class CosineEmbeddingLoss(TracedLoss):
    """Mean over rows of 1 - cos(x1, x2) where y is 1, and max(0, cos(x1, x2) - margin) where y is -1.

    As torch.nn.CosineEmbeddingLoss; x1 and x2 are the halves of the model's outputs.

    Args:
        margin: Below this, a cosine of unlike pairs costs nothing.
    """

    name = "cosine_embedding"
    margin: float = 0.0

    def _check(self) -> None:
        as_number(self.margin, "CosineEmbeddingLoss", "margin", low=-1)

    def target(self, y: ArrayLike, rows: int, outputs: int, dtype: DTypeLike, where: str) -> NDArray[Any]:
        """See `TracedLoss.target`; also raises ValueError for targets that are neither 1 nor -1."""
        target = super().target(y, rows, outputs, dtype, where)
        if target.shape[1] != 1 or (abs(target) != 1).any():
            raise ValueError(f"[{where}] expected y of 1 and -1, in one column, for {self.name}")
        return target

    def row_losses(self, prediction: Any, target: Any) -> Any:
        """See `TracedLoss.row_losses`."""
        if len(prediction.shape) != 1 or prediction.shape[0] % 2:
            raise ValueError(f"[cosine_embedding] expected an even number of outputs, got shape {prediction.shape}")
        half = prediction.shape[0] // 2
        first, second = prediction[:, :half], prediction[:, half:]
        eps = 2.0**-52  # as PyTorch: added to the squares, so that zeros have a cosine
        lengths = ((first * first).sum() + eps) * ((second * second).sum() + eps)
        cosine = (first * second).sum() / lengths.apply("sqrt")
        alike = (target + 1.0) * 0.5
        return alike * (1.0 - cosine) + (1.0 - alike) * (cosine - self.margin).maximum(0.0)


class MemberLoss(TracedLoss):
    """The mean of a loss over the members of an ensemble, each with the same target.

    For a model whose rows of outputs have the shape (members, outputs), such as TabM's (Gorishniy, Kotelnikov and
    Babenko, ICLR 2025). ``predict`` returns what every member says; metrics are of the ensemble's prediction, the mean
    of the members' values, or of their probabilities, which ``predict_proba`` returns.

    Args:
        loss: "mse", "bce_with_logits", or "cross_entropy" with class indices as targets.
    """

    name = "member"
    loss: str = "mse"

    def _check(self) -> None:
        if self.loss not in _OF_MEMBERS:
            raise ValueError(f"[MemberLoss] expected a loss of {', '.join(_OF_MEMBERS)}, got {self.loss!r}")

    def row_losses(self, prediction: Any, target: Any) -> Any:
        """See `TracedLoss.row_losses`."""
        if len(prediction.shape) != 2:
            raise ValueError(f"[member] expected outputs of shape (members, outputs), got {prediction.shape}")
        return _OF_MEMBERS[self.loss][1](prediction, target.reshape(1, -1))

    @property
    def member(self) -> Loss:
        """The loss of one member."""
        return _OF_MEMBERS[self.loss][0]

    @property
    def link(self) -> str | None:  # type: ignore[override]
        """That of the loss of one member."""
        return self.member.link

    @property
    def kind(self) -> Literal["values", "labels", "classes"]:  # type: ignore[override]
        """That of the loss of one member."""
        return self.member.kind

    def labels(self, target: NDArray[Any]) -> NDArray[Any]:
        """See `Loss.labels`."""
        return self.member.labels(target[:, 0].astype(np.int32) if self.kind == "classes" else target)

    def columns(self, outputs: int) -> slice | None:
        """See `Loss.columns`: none, but the mean over members."""
        return None

    def values(self, output: Floats) -> Floats:
        """See `Loss.values`: the mean of the members of outputs (rows, members, outputs)."""
        return self._mean(output)

    def probabilities(self, output: Floats) -> Floats:
        """See `Loss.probabilities`: the mean of the members of outputs (rows, members, outputs)."""
        each = self.member.probabilities(output.reshape(-1, output.shape[-1]))
        return self._mean(each.reshape(output.shape))

    @staticmethod
    def _mean(each: Floats) -> Floats:
        average: Floats = each.mean(axis=1, dtype=np.float64).astype(each.dtype)
        return average

    def target(self, y: ArrayLike, rows: int, outputs: int, dtype: DTypeLike, where: str) -> NDArray[Any]:
        """What the loss of one member takes, as columns; `outputs` are those of a member."""
        target = self.member.target(y, rows, outputs, dtype, where)
        if self.kind != "classes":
            return target
        if target.ndim != 1 or (target < 0).any():
            raise ValueError(f"[{where}] expected class indices of shape ({rows},) for {self.name}, got {target.shape}")
        return np.asarray(target.reshape(-1, 1), dtype)


def _squares(prediction: Any, target: Any) -> Any:
    difference = prediction - target
    return difference * difference


def _binary(prediction: Any, target: Any) -> Any:
    """max(p, 0) - p t + log(1 + exp(-|p|)) = softplus(p) - p t."""
    return prediction.apply("softplus") - prediction * target


def _classes(prediction: Any, target: Any) -> Any:
    classes = range(prediction.shape[1])
    chosen = sum(prediction[:, :, i : i + 1] * (target == float(i)) for i in classes)
    return prediction.apply("logsumexp") - chosen


# The loss of a member, and that of all of them.
_OF_MEMBERS: dict[str, tuple[Loss, Callable[[Any, Any], Any]]] = {
    "mse": (MSELoss(), _squares),
    "bce_with_logits": (BCEWithLogitsLoss(), _binary),
    "cross_entropy": (CrossEntropyLoss(), _classes),
}
