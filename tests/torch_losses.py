"""The losses of whet.losses in PyTorch: its own where it has them, else formulas whose gradients it derives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def function(torch: Any, name: str) -> Callable[..., Any]:
    """A function of (prediction, target, options) that returns the mean."""
    f = torch.nn.functional

    def bce_with_logits(p: Any, t: Any, pos_weight: Any = None) -> Any:
        weight = None if pos_weight is None else torch.tensor(pos_weight, dtype=p.dtype)
        return f.binary_cross_entropy_with_logits(p, t, pos_weight=weight)

    def cross_entropy(p: Any, t: Any, weight: Any = None, **options: Any) -> Any:
        each = None if weight is None else torch.tensor(weight, dtype=p.dtype)
        return f.cross_entropy(p, t, weight=each, **options)

    def quantile(p: Any, t: Any, quantile: Any = 0.5) -> Any:
        q = torch.tensor(quantile, dtype=p.dtype)
        return torch.maximum(q * (t - p), (q - 1) * (t - p)).mean()

    def log_cosh(p: Any, t: Any) -> Any:
        return torch.log(torch.cosh(p - t)).mean()

    def gamma(p: Any, t: Any) -> Any:
        return (p + t * torch.exp(-p)).mean()

    def tweedie(p: Any, t: Any, power: float = 1.5) -> Any:
        first = p if power == 2 else torch.exp((2 - power) * p) / (2 - power)
        second = p if power == 1 else torch.exp((1 - power) * p) / (1 - power)
        return (first - t * second + (0.5 * t * t if power == 0 else 0)).mean()

    def hinge(p: Any, t: Any) -> Any:
        return f.relu(1 - t * p).mean()

    def squared_hinge(p: Any, t: Any) -> Any:
        return (f.relu(1 - t * p) ** 2).mean()

    def focal(p: Any, t: Any, alpha: float = 0.25, gamma: float = 2.0) -> Any:
        """As torchvision.ops.sigmoid_focal_loss."""
        s = torch.sigmoid(p)
        right = s * t + (1 - s) * (1 - t)
        loss = f.binary_cross_entropy_with_logits(p, t, reduction="none") * (1 - right) ** gamma
        return (loss * (alpha * t + (1 - alpha) * (1 - t)) if alpha >= 0 else loss).mean()

    def kl_div(p: Any, t: Any, log_target: bool = False) -> Any:
        return (f.kl_div(p, t, reduction="sum", log_target=log_target)) / p.numel()  # "mean" warns

    ours = (bce_with_logits, cross_entropy, quantile, log_cosh, gamma, tweedie, hinge, squared_hinge, focal, kl_div)
    theirs = {
        "mse": f.mse_loss,
        "l1": f.l1_loss,
        "huber": f.huber_loss,
        "smooth_l1": f.smooth_l1_loss,
        "poisson": f.poisson_nll_loss,
        "soft_margin": f.soft_margin_loss,
    }
    return {**theirs, **{one.__name__: one for one in ours}}[name]
