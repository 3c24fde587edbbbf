"""Losses of one of two classes for each output."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from whet._arrays import Floats
from whet._checks import as_number
from whet.losses.base import Loss, one_or_each, refuse

__all__ = ["BCEWithLogitsLoss", "FocalLoss", "HingeLoss", "SoftMarginLoss", "SquaredHingeLoss"]


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


class BCEWithLogitsLoss(_Binary):
    """Mean over rows and columns of the binary cross-entropy of sigmoid(p), as torch.nn.BCEWithLogitsLoss.

    Targets lie in [0, 1].

    Args:
        pos_weight: How often a target of 1 counts; one number, or one for each output.
    """

    name = "bce_with_logits"
    pos_weight: float | tuple[float, ...] = 1.0

    def _check(self) -> None:
        self._keep(pos_weight=one_or_each(self.pos_weight, "BCEWithLogitsLoss", "pos_weight"))


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

    def _check(self) -> None:
        alpha, gamma = as_number(self.alpha, "FocalLoss", "alpha"), as_number(self.gamma, "FocalLoss", "gamma", low=0)
        if alpha > 1:
            raise ValueError(f"[FocalLoss] expected alpha of at most 1, got {alpha}")
        self._keep(alpha=alpha, gamma=gamma)


class _Signs(Loss):
    """Targets are -1 and 1, or 0 and 1, which stand for them."""

    kind = "labels"
    standardizes = False

    def target(self, y: ArrayLike, rows: int, outputs: int, dtype: DTypeLike, where: str) -> Floats:
        """See `Loss.target`; 0 becomes -1. Also raises ValueError for other numbers."""
        target = super().target(y, rows, outputs, dtype, where)
        zero, negative = target == 0, target == -1
        refuse(~(zero | negative | (target == 1)), where, f"of -1 and 1, or 0 and 1, for {self.name}")
        if not zero.any():
            return target
        refuse(negative, where, f"of -1 and 1, or 0 and 1, but not all three for {self.name}")
        return np.where(zero, target.dtype.type(-1), target)


class HingeLoss(_Signs):
    """Mean of max(1 - t p, 0) for targets -1 and 1, as sklearn.metrics.hinge_loss and keras.losses.Hinge."""

    name = "hinge"


class SquaredHingeLoss(_Signs):
    """Mean of max(1 - t p, 0)^2 for targets -1 and 1, as keras.losses.SquaredHinge."""

    name = "squared_hinge"


class SoftMarginLoss(_Signs):
    """Mean of log(1 + exp(-t p)) for targets -1 and 1, as torch.nn.SoftMarginLoss."""

    name = "soft_margin"
    link = "sigmoid"
