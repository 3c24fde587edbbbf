"""Losses: immutable descriptions with PyTorch's names, defaults and mean reduction.

A loss is given as a string (``"mse"``) or as an object (``losses.HuberLoss(delta=2.0)``). To add an elementwise one,
write its functor in cpp/math/losses.h, a class here, and its formula in tests/reference_losses.py.

In the formulas p is the prediction, a model's raw output, and t the target.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from whet import _core
from whet._arrays import Floats, as_array, as_floats, check_finite
from whet._checks import as_flag, as_number

__all__ = [
    "BCEWithLogitsLoss",
    "CrossEntropyLoss",
    "FocalLoss",
    "GammaLoss",
    "HingeLoss",
    "HuberLoss",
    "KLDivLoss",
    "L1Loss",
    "LogCoshLoss",
    "Loss",
    "MSELoss",
    "PoissonNLLLoss",
    "QuantileLoss",
    "SmoothL1Loss",
    "SoftMarginLoss",
    "SquaredHingeLoss",
    "TweedieLoss",
    "get",
]


@dataclass(frozen=True)
class Loss:
    """What a model is trained to make small: the mean over rows of a row's loss."""

    name: ClassVar[str]
    #: What turns raw outputs into probabilities, "softmax" or "sigmoid", or into means, "exp"; or None.
    link: ClassVar[str | None] = None
    #: What targets are: "values" of a regression, "labels" of two classes for each output, or one of several "classes".
    kind: ClassVar[Literal["values", "labels", "classes"]] = "values"
    #: Whether a table's target may be standardised; else zero or the sign has a meaning.
    standardizes: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if type(self) is Loss:
            raise TypeError("[losses] expected one of the losses, such as losses.MSELoss; Loss is their common ground")

    def options(self) -> dict[str, float | tuple[float, ...]]:
        """The numbers that the kernel takes: for all outputs, or one for each."""
        given = {field.name: getattr(self, field.name) for field in fields(self)}
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

    def counted(self, target: NDArray[Any]) -> NDArray[np.bool_] | None:
        """Which rows metrics look at; None for all."""
        return None

    def values(self, output: Floats) -> Floats:
        """What raw outputs of shape (rows, outputs) say of targets in their own unit."""
        return np.exp(output) if self.link == "exp" else output

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


def _positive(value: object, owner: str, name: str) -> float:
    number = as_number(value, owner, name, low=0)
    if number == 0:
        raise ValueError(f"[{owner}] expected {name} above 0, got {value!r}")
    return number


def _one_or_each(value: object, owner: str, name: str, high: float = np.inf) -> float | tuple[float, ...]:
    """A number of at least 0, or one for each output."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if not isinstance(value, Sequence) or isinstance(value, str):
        return as_number(value, owner, name, low=0, high=high)
    if not value:
        raise ValueError(f"[{owner}] expected {name} to be a number or one for each output, got none")
    return tuple(as_number(number, owner, name, low=0, high=high) for number in value)


def _refuse(wrong: NDArray[np.bool_], where: str, expected: str) -> None:
    """Raises ValueError naming the first row of a target that is not as expected."""
    if wrong.any():
        raise ValueError(f"[{where}] expected y {expected}, got another first in row {int(wrong.any(axis=1).argmax())}")


@dataclass(frozen=True)
class MSELoss(Loss):
    """Mean over rows and columns of (p - t)^2, as torch.nn.MSELoss."""

    name = "mse"


@dataclass(frozen=True)
class L1Loss(Loss):
    """Mean over rows and columns of |p - t|, as torch.nn.L1Loss."""

    name = "l1"


@dataclass(frozen=True)
class HuberLoss(Loss):
    """Mean of (p - t)^2 / 2 up to a distance of delta, delta (|p - t| - delta / 2) beyond, as torch.nn.HuberLoss."""

    name = "huber"
    delta: float = 1.0

    def __post_init__(self) -> None:
        _positive(self.delta, "HuberLoss", "delta")


@dataclass(frozen=True)
class SmoothL1Loss(Loss):
    """Mean of (p - t)^2 / (2 beta) below a distance of beta, |p - t| - beta / 2 beyond, as torch.nn.SmoothL1Loss."""

    name = "smooth_l1"
    beta: float = 1.0

    def __post_init__(self) -> None:
        as_number(self.beta, "SmoothL1Loss", "beta", low=0)


@dataclass(frozen=True)
class LogCoshLoss(Loss):
    """Mean of log(cosh(p - t)): quadratic near zero, linear far away, smooth everywhere; as keras.losses.LogCosh."""

    name = "log_cosh"


@dataclass(frozen=True)
class QuantileLoss(Loss):
    """The pinball loss, whose minimum is a quantile: the mean of q (t - p) where t > p, (1 - q) (p - t) elsewhere.

    As sklearn.metrics.mean_pinball_loss (Koenker and Bassett, Econometrica 1978).

    Args:
        quantile: From 0 to 1; or several, for a model with an output for each. Targets are then of shape (rows,), and
            metrics look at the output whose quantile is next to the median.
    """

    name = "quantile"
    quantile: float | tuple[float, ...] = 0.5

    def __post_init__(self) -> None:
        one_or_each = _one_or_each(self.quantile, "QuantileLoss", "quantile", high=1)
        object.__setattr__(self, "quantile", one_or_each)

    def target(self, y: ArrayLike, rows: int, outputs: int, dtype: DTypeLike, where: str) -> Floats:
        """See `Loss.target`."""
        if not isinstance(self.quantile, tuple):
            return super().target(y, rows, outputs, dtype, where)
        if outputs != len(self.quantile):
            raise ValueError(f"[{where}] expected a model with {len(self.quantile)} outputs, one for each quantile")
        return super().target(y, rows, 1, dtype, where)

    def encode(self, target: NDArray[Any], outputs: int, dtype: DTypeLike) -> tuple[NDArray[Any], Floats | None]:
        """See `Loss.encode`."""
        return (np.repeat(target, outputs, axis=1) if target.shape[1] < outputs else target), None

    def values(self, output: Floats) -> Floats:
        """See `Loss.values`; of several quantiles, the one next to the median."""
        if not isinstance(self.quantile, tuple):
            return output
        nearest = int(np.abs(np.array(self.quantile) - 0.5).argmin())
        return output[:, nearest : nearest + 1]


@dataclass(frozen=True)
class PoissonNLLLoss(Loss):
    """Mean negative log-likelihood of a Poisson distribution, as torch.nn.PoissonNLLLoss; targets are 0 or more.

    Args:
        log_input: p is the logarithm of the mean: exp(p) - t p. Else it is the mean: p - t log(p + eps).
        full: Add Stirling's term, t log(t) - t + log(2 pi t) / 2 where t > 1.
        eps: Keeps the logarithm away from zero.
    """

    name = "poisson"
    standardizes = False
    log_input: bool = True
    full: bool = False
    eps: float = 1e-8

    def __post_init__(self) -> None:
        as_flag(self.log_input, "PoissonNLLLoss", "log_input")
        as_flag(self.full, "PoissonNLLLoss", "full")
        as_number(self.eps, "PoissonNLLLoss", "eps", low=0)

    @property
    def link(self) -> str | None:  # type: ignore[override]
        """The exponential function, unless outputs are means themselves."""
        return "exp" if self.log_input else None

    def target(self, y: ArrayLike, rows: int, outputs: int, dtype: DTypeLike, where: str) -> Floats:
        """See `Loss.target`; also raises ValueError for targets below 0."""
        target = super().target(y, rows, outputs, dtype, where)
        _refuse(target < 0, where, f"of at least 0 for {self.name}")
        return target


@dataclass(frozen=True)
class GammaLoss(Loss):
    """Mean of p + t exp(-p), half the gamma deviance of the mean exp(p) but for what depends on t alone.

    As sklearn._loss.HalfGammaLoss; targets are above 0.
    """

    name = "gamma"
    standardizes = False
    link = "exp"

    def target(self, y: ArrayLike, rows: int, outputs: int, dtype: DTypeLike, where: str) -> Floats:
        """See `Loss.target`; also raises ValueError for targets that are not above 0."""
        target = super().target(y, rows, outputs, dtype, where)
        _refuse(target <= 0, where, f"above 0 for {self.name}")
        return target


@dataclass(frozen=True)
class TweedieLoss(Loss):
    """Mean of exp((2 - k) p) / (2 - k) - t exp((1 - k) p) / (1 - k) for a power k.

    Half the Tweedie deviance of the mean exp(p) but for what depends on t alone, as sklearn._loss.HalfTweedieLoss.

    Args:
        power: 0 is the normal, 1 the Poisson, 2 the gamma and 3 the inverse Gaussian distribution; between 1 and 2,
            zero has a chance of its own. From 1 on targets are 0 or more, from 2 on above 0.
    """

    name = "tweedie"
    standardizes = False
    link = "exp"
    power: float = 1.5

    def __post_init__(self) -> None:
        power = as_number(self.power, "TweedieLoss", "power")
        if 0 < power < 1:
            raise ValueError(f"[TweedieLoss] expected no power between 0 and 1, where no distribution is, got {power}")

    def target(self, y: ArrayLike, rows: int, outputs: int, dtype: DTypeLike, where: str) -> Floats:
        """See `Loss.target`; also raises ValueError for targets that the power has no distribution of."""
        target = super().target(y, rows, outputs, dtype, where)
        if self.power >= 2:
            _refuse(target <= 0, where, f"above 0 for {self.name} of power {self.power:g}")
        elif self.power >= 1:
            _refuse(target < 0, where, f"of at least 0 for {self.name} of power {self.power:g}")
        return target


@dataclass(frozen=True)
class KLDivLoss(Loss):
    """Mean over rows and columns of t (log(t) - p), as torch.nn.KLDivLoss: predictions are logarithms.

    A row's divergence is the sum over its columns: this mean times their number, PyTorch's "batchmean".

    Args:
        log_target: Targets are logarithms too: exp(t) (t - p). Else they are 0 or more.
    """

    name = "kl_div"
    standardizes = False
    log_target: bool = False

    def __post_init__(self) -> None:
        as_flag(self.log_target, "KLDivLoss", "log_target")

    def target(self, y: ArrayLike, rows: int, outputs: int, dtype: DTypeLike, where: str) -> Floats:
        """See `Loss.target`; also raises ValueError for targets below 0, unless they are logarithms."""
        target = super().target(y, rows, outputs, dtype, where)
        if not self.log_target:
            _refuse(target < 0, where, f"of at least 0 for {self.name}")
        return target


@dataclass(frozen=True)
class _Binary(Loss):
    """Targets lie in [0, 1]."""

    kind = "labels"
    standardizes = False
    link = "sigmoid"

    def target(self, y: ArrayLike, rows: int, outputs: int, dtype: DTypeLike, where: str) -> Floats:
        """See `Loss.target`; also raises ValueError for targets outside [0, 1]."""
        target = super().target(y, rows, outputs, dtype, where)
        if target.size and (target.min() < 0 or target.max() > 1):
            raise ValueError(f"[{where}] expected y between 0 and 1 for {self.name}")
        return target


@dataclass(frozen=True)
class BCEWithLogitsLoss(_Binary):
    """Mean over rows and columns of the binary cross-entropy of sigmoid(p), as torch.nn.BCEWithLogitsLoss.

    Targets lie in [0, 1].

    Args:
        pos_weight: How often a target of 1 counts; one number, or one for each output.
    """

    name = "bce_with_logits"
    pos_weight: float | tuple[float, ...] = 1.0

    def __post_init__(self) -> None:
        one_or_each = _one_or_each(self.pos_weight, "BCEWithLogitsLoss", "pos_weight")
        object.__setattr__(self, "pos_weight", one_or_each)


@dataclass(frozen=True)
class FocalLoss(_Binary):
    """Mean of a (1 - q)^gamma times the binary cross-entropy of sigmoid(p), where q is the true class's probability.

    As torchvision.ops.sigmoid_focal_loss (Lin et al., ICCV 2017). Targets lie in [0, 1].

    Args:
        alpha: a is alpha for a target of 1 and 1 - alpha for 0; a negative alpha leaves a out.
        gamma: 0 is the cross-entropy; the larger, the less do examples count that are easy.
    """

    name = "focal"
    alpha: float = 0.25
    gamma: float = 2.0

    def __post_init__(self) -> None:
        as_number(self.alpha, "FocalLoss", "alpha")
        as_number(self.gamma, "FocalLoss", "gamma", low=0)
        if self.alpha > 1:
            raise ValueError(f"[FocalLoss] expected alpha of at most 1, got {self.alpha}")


@dataclass(frozen=True)
class _Signs(Loss):
    """Targets are -1 and 1, or 0 and 1, which stand for them."""

    kind = "labels"
    standardizes = False

    def target(self, y: ArrayLike, rows: int, outputs: int, dtype: DTypeLike, where: str) -> Floats:
        """See `Loss.target`; 0 becomes -1. Also raises ValueError for other numbers."""
        target = super().target(y, rows, outputs, dtype, where)
        zero, negative = target == 0, target == -1
        _refuse(~(zero | negative | (target == 1)), where, f"of -1 and 1, or 0 and 1, for {self.name}")
        if not zero.any():
            return target
        _refuse(negative, where, f"of -1 and 1, or 0 and 1, but not all three for {self.name}")
        return np.where(zero, target.dtype.type(-1), target)


@dataclass(frozen=True)
class HingeLoss(_Signs):
    """Mean of max(1 - t p, 0) for targets -1 and 1, as sklearn.metrics.hinge_loss and keras.losses.Hinge."""

    name = "hinge"


@dataclass(frozen=True)
class SquaredHingeLoss(_Signs):
    """Mean of max(1 - t p, 0)^2 for targets -1 and 1, as keras.losses.SquaredHinge."""

    name = "squared_hinge"


@dataclass(frozen=True)
class SoftMarginLoss(_Signs):
    """Mean of log(1 + exp(-t p)) for targets -1 and 1, as torch.nn.SoftMarginLoss."""

    name = "soft_margin"
    link = "sigmoid"


@dataclass(frozen=True)
class CrossEntropyLoss(Loss):
    """Mean over rows of H(t, softmax(p)), as torch.nn.CrossEntropyLoss.

    Targets are class indices of shape (rows,), or probabilities of shape (rows, classes). With class indices the mean
    divides by the sum of the rows' weights, those that `weight` gives to their classes; a fit's sample_weight
    multiplies them.

    Args:
        weight: How often each class counts; None for once.
        ignore_index: Rows of this class index do not count.
        label_smoothing: Share of the probability that is spread over all classes, from 0 to 1.
    """

    name = "cross_entropy"
    link = "softmax"
    kind = "classes"
    weight: tuple[float, ...] | None = None
    ignore_index: int = -100
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        if self.weight is not None:
            each = _one_or_each(self.weight, "CrossEntropyLoss", "weight")
            if not isinstance(each, tuple):
                raise TypeError("[CrossEntropyLoss] expected weight to be a number for each class, got one number")
            object.__setattr__(self, "weight", each)
        if not isinstance(self.ignore_index, int) or not -(2**31) <= self.ignore_index < 2**31:
            raise TypeError(f"[CrossEntropyLoss] expected ignore_index to be an integer, got {self.ignore_index!r}")
        smoothing = as_number(self.label_smoothing, "CrossEntropyLoss", "label_smoothing", low=0)
        if smoothing > 1:
            raise ValueError(f"[CrossEntropyLoss] expected label_smoothing from 0 to 1, got {smoothing}")
        if smoothing and self.weight is not None and 0 in self.weight:
            raise ValueError("[CrossEntropyLoss] expected no class of weight 0 where labels are smoothed")

    def options(self) -> dict[str, float | tuple[float, ...]]:
        """None: `encode` makes them a matter of targets and weights."""
        return {}

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
        if self.weight is not None and len(self.weight) != outputs:
            raise ValueError(f"[{where}] expected weight with {outputs} numbers, one for each class, for {self.name}")
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
            wrong &= array != self.ignore_index
        if wrong.any():
            raise ValueError(
                f"[{where}] expected class indices in y from 0 to {outputs - 1}, "
                f"got another first in row {int(wrong.argmax())}"
            )
        return np.require(array, np.int32, ["C", "A"])

    def encode(self, target: NDArray[Any], outputs: int, dtype: DTypeLike) -> tuple[NDArray[Any], Floats | None]:
        """See `Loss.encode`: distributions that need not sum to one where an option asks for them, else `target`."""
        each = None if self.weight is None else np.array(self.weight)
        if target.ndim == 2:
            if each is None and not self.label_smoothing:
                return target, None
            wide = target * (1 - self.label_smoothing) + self.label_smoothing / outputs
            return np.asarray(wide if each is None else wide * each, dtype), None
        counted = self.counted(target)
        classes = target if counted is None else np.where(counted, target, np.int32(0))
        weight = None if each is None else each[classes]
        if counted is not None:
            weight = counted if weight is None else weight * counted
        factor = None if weight is None else np.asarray(weight, dtype)
        if not self.label_smoothing:
            return classes, factor
        wide = np.full((len(target), outputs), self.label_smoothing / outputs)
        wide[np.arange(len(target)), classes] += 1 - self.label_smoothing
        if each is not None:
            wide *= each / each[classes][:, None]  # the row's weight multiplies by that of its class
        return wide.astype(dtype), factor

    def counted(self, target: NDArray[Any]) -> NDArray[np.bool_] | None:
        """See `Loss.counted`: rows that are not ignored."""
        counted = target != self.ignore_index
        return None if target.ndim == 2 or counted.all() else counted


_CLASSES: dict[str, type[Loss]] = {
    cls.name: cls
    for cls in (
        MSELoss,
        L1Loss,
        HuberLoss,
        SmoothL1Loss,
        LogCoshLoss,
        QuantileLoss,
        PoissonNLLLoss,
        GammaLoss,
        TweedieLoss,
        BCEWithLogitsLoss,
        FocalLoss,
        HingeLoss,
        SquaredHingeLoss,
        SoftMarginLoss,
        KLDivLoss,
        CrossEntropyLoss,
    )
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
