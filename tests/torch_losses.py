"""The losses of whet.losses in PyTorch: its own where it has them, else formulas whose gradients it derives.

To add a loss: a method of its name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def function(torch: Any, name: str) -> Callable[..., Any]:
    """A function of (prediction, target, options) that returns the mean."""
    found: Callable[..., Any] = getattr(Losses(torch), name)
    return found


class Losses:
    """Each is a function of prediction, target and options."""

    def __init__(self, torch: Any) -> None:
        self.torch, self.f = torch, torch.nn.functional
        self.mse, self.l1 = self.f.mse_loss, self.f.l1_loss
        self.huber, self.smooth_l1 = self.f.huber_loss, self.f.smooth_l1_loss
        self.poisson, self.soft_margin = self.f.poisson_nll_loss, self.f.soft_margin_loss

    def bce_with_logits(self, p: Any, t: Any, pos_weight: Any = None) -> Any:
        weight = None if pos_weight is None else self.torch.tensor(pos_weight, dtype=p.dtype)
        return self.f.binary_cross_entropy_with_logits(p, t, pos_weight=weight)

    def cross_entropy(self, p: Any, t: Any, weight: Any = None, **options: Any) -> Any:
        each = None if weight is None else self.torch.tensor(weight, dtype=p.dtype)
        return self.f.cross_entropy(p, t, weight=each, **options)

    def quantile(self, p: Any, t: Any, quantile: Any = 0.5) -> Any:
        q = self.torch.tensor(quantile, dtype=p.dtype)
        return self.torch.maximum(q * (t - p), (q - 1) * (t - p)).mean()

    def log_cosh(self, p: Any, t: Any) -> Any:
        return self.torch.log(self.torch.cosh(p - t)).mean()

    def gamma(self, p: Any, t: Any) -> Any:
        return (p + t * self.torch.exp(-p)).mean()

    def tweedie(self, p: Any, t: Any, power: float = 1.5) -> Any:
        first = p if power == 2 else self.torch.exp((2 - power) * p) / (2 - power)
        second = p if power == 1 else self.torch.exp((1 - power) * p) / (1 - power)
        return (first - t * second + (0.5 * t * t if power == 0 else 0)).mean()

    def hinge(self, p: Any, t: Any) -> Any:
        return self.f.relu(1 - t * p).mean()

    def squared_hinge(self, p: Any, t: Any) -> Any:
        return (self.f.relu(1 - t * p) ** 2).mean()

    def focal(self, p: Any, t: Any, alpha: float = 0.25, gamma: float = 2.0) -> Any:
        """As torchvision.ops.sigmoid_focal_loss."""
        s = self.torch.sigmoid(p)
        right = s * t + (1 - s) * (1 - t)
        loss = self.f.binary_cross_entropy_with_logits(p, t, reduction="none") * (1 - right) ** gamma
        return (loss * (alpha * t + (1 - alpha) * (1 - t)) if alpha >= 0 else loss).mean()

    def kl_div(self, p: Any, t: Any, log_target: bool = False) -> Any:
        return self.f.kl_div(p, t, reduction="sum", log_target=log_target) / p.numel()  # "mean" warns
