"""Losses of numbers, counts and distributions."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from whet._arrays import Floats
from whet._checks import as_flag, as_number
from whet.losses.base import Loss, one_or_each, positive, refuse

__all__ = [
    "GammaLoss",
    "HuberLoss",
    "KLDivLoss",
    "L1Loss",
    "LogCoshLoss",
    "MSELoss",
    "PoissonNLLLoss",
    "QuantileLoss",
    "SmoothL1Loss",
    "TweedieLoss",
]


class MSELoss(Loss):
    """Mean over rows and columns of (p - t)^2, as torch.nn.MSELoss."""

    name = "mse"


class L1Loss(Loss):
    """Mean over rows and columns of |p - t|, as torch.nn.L1Loss."""

    name = "l1"


class HuberLoss(Loss):
    """Mean of (p - t)^2 / 2 up to a distance of delta, delta (|p - t| - delta / 2) beyond, as torch.nn.HuberLoss."""

    name = "huber"
    delta: float = 1.0

    def _check(self) -> None:
        self._keep(delta=positive(self.delta, "HuberLoss", "delta"))


class SmoothL1Loss(Loss):
    """Mean of (p - t)^2 / (2 beta) below a distance of beta, |p - t| - beta / 2 beyond, as torch.nn.SmoothL1Loss."""

    name = "smooth_l1"
    beta: float = 1.0

    def _check(self) -> None:
        self._keep(beta=as_number(self.beta, "SmoothL1Loss", "beta", low=0))


class LogCoshLoss(Loss):
    """Mean of log(cosh(p - t)): quadratic near zero, linear far away, smooth everywhere; as keras.losses.LogCosh."""

    name = "log_cosh"


class QuantileLoss(Loss):
    """The pinball loss, whose minimum is a quantile: the mean of q (t - p) where t > p, (1 - q) (p - t) elsewhere.

    As sklearn.metrics.mean_pinball_loss (Koenker and Bassett, Econometrica 1978).

    Args:
        quantile: From 0 to 1; or several, for a model with an output for each. Targets are then of shape (rows,), and
            metrics look at the output whose quantile is next to the median.
    """

    name = "quantile"
    quantile: float | tuple[float, ...] = 0.5

    def _check(self) -> None:
        self._keep(quantile=one_or_each(self.quantile, "QuantileLoss", "quantile", high=1))

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

    def columns(self, outputs: int) -> slice | None:
        """See `Loss.columns`; of several quantiles, the one next to the median."""
        if not isinstance(self.quantile, tuple):
            return super().columns(outputs)
        nearest = int(np.abs(np.array(self.quantile) - 0.5).argmin())
        return slice(nearest, nearest + 1)


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

    def _check(self) -> None:
        self._keep(
            log_input=as_flag(self.log_input, "PoissonNLLLoss", "log_input"),
            full=as_flag(self.full, "PoissonNLLLoss", "full"),
            eps=as_number(self.eps, "PoissonNLLLoss", "eps", low=0),
        )

    @property
    def link(self) -> str | None:  # type: ignore[override]
        """The exponential function, unless outputs are means themselves."""
        return "exp" if self.log_input else None

    def target(self, y: ArrayLike, rows: int, outputs: int, dtype: DTypeLike, where: str) -> Floats:
        """See `Loss.target`; also raises ValueError for targets below 0."""
        target = super().target(y, rows, outputs, dtype, where)
        refuse(target < 0, where, f"of at least 0 for {self.name}")
        return target


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
        refuse(target <= 0, where, f"above 0 for {self.name}")
        return target


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

    def _check(self) -> None:
        power = as_number(self.power, "TweedieLoss", "power")
        if 0 < power < 1:
            raise ValueError(f"[TweedieLoss] expected no power between 0 and 1, where no distribution is, got {power}")
        self._keep(power=power)

    def target(self, y: ArrayLike, rows: int, outputs: int, dtype: DTypeLike, where: str) -> Floats:
        """See `Loss.target`; also raises ValueError for targets that the power has no distribution of."""
        target = super().target(y, rows, outputs, dtype, where)
        if self.power >= 2:
            refuse(target <= 0, where, f"above 0 for {self.name} of power {self.power:g}")
        elif self.power >= 1:
            refuse(target < 0, where, f"of at least 0 for {self.name} of power {self.power:g}")
        return target


class KLDivLoss(Loss):
    """Mean over rows and columns of t (log(t) - p), as torch.nn.KLDivLoss: predictions are logarithms.

    Args:
        reduction: As other losses take it, or "batchmean": the mean over rows of a row's divergence, which is the sum
            over its columns.
        log_target: Targets are logarithms too: exp(t) (t - p). Else they are 0 or more.
    """

    name = "kl_div"
    standardizes = False
    _reductions = ("mean", "sum", "batchmean")
    log_target: bool = False

    def _check(self) -> None:
        self._keep(log_target=as_flag(self.log_target, "KLDivLoss", "log_target"))

    def scaling(self, outputs: int) -> tuple[float, bool]:
        """See `Loss.scaling`."""
        return (float(outputs), True) if self.reduction == "batchmean" else super().scaling(outputs)

    def target(self, y: ArrayLike, rows: int, outputs: int, dtype: DTypeLike, where: str) -> Floats:
        """See `Loss.target`; also raises ValueError for targets below 0, unless they are logarithms."""
        target = super().target(y, rows, outputs, dtype, where)
        if not self.log_target:
            refuse(target < 0, where, f"of at least 0 for {self.name}")
        return target
