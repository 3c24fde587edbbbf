"""Adam and its relatives."""

from __future__ import annotations

from whet.optim.base import Number, Optimizer
from whet.schedules import Schedule

__all__ = ["Adam", "AdamW", "Adamax", "NAdam", "RAdam", "ScheduleFreeAdamW"]


class Adam(Optimizer):
    """Adam (Kingma and Ba, ICLR 2015), as torch.optim.Adam.

    Args:
        lr: Learning rate.
        betas: Decay of the running means of the gradient and of its square.
        eps: Added to the denominator.
        weight_decay: Strength of the L2 penalty, weight_decay / 2 * |p|^2.
        amsgrad: Whether the denominator is of the largest mean square so far (Reddi et al., ICLR 2018).
    """

    name = "adam"
    choices = ("amsgrad",)
    lr: Number = 1e-3
    betas: tuple[Number, Number] = (0.9, 0.999)
    eps: Number = 1e-8
    weight_decay: Number = 0.0
    amsgrad: bool = False

    @property
    def kernel(self) -> str:
        """With amsgrad, a slot more is kept."""
        return self.name + ".amsgrad" * self.amsgrad


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter, ICLR 2019), as torch.optim.AdamW.

    Args:
        lr: Learning rate.
        betas: Decay of the running means of the gradient and of its square.
        eps: Added to the denominator.
        weight_decay: Each step first multiplies the parameters by 1 - lr weight_decay.
        amsgrad: Whether the denominator is of the largest mean square so far (Reddi et al., ICLR 2018).
    """

    name = "adamw"
    weight_decay: Number = 1e-2


class Adamax(Optimizer):
    """Adam with the largest decayed gradient as denominator (Kingma and Ba, ICLR 2015), as torch.optim.Adamax.

    Args:
        lr: Learning rate.
        betas: Decay of the running mean of the gradient, and of its largest size.
        eps: Added to the size of every gradient.
        weight_decay: Strength of the L2 penalty, weight_decay / 2 * |p|^2.
    """

    name = "adamax"
    lr: Number = 2e-3
    betas: tuple[Number, Number] = (0.9, 0.999)
    eps: Number = 1e-8
    weight_decay: Number = 0.0


class NAdam(Optimizer):
    """Adam with Nesterov momentum (Dozat, ICLR workshop 2016), as torch.optim.NAdam.

    The momentum of step t is beta1 (1 - 0.96^(t momentum_decay) / 2). Where beta1 or momentum_decay is a schedule, the
    product of all momenta so far is taken at their present values.

    Args:
        lr: Learning rate.
        betas: Decay of the running means of the gradient and of its square.
        eps: Added to the denominator.
        weight_decay: Strength of the L2 penalty, weight_decay / 2 * |p|^2.
        momentum_decay: How fast the momentum grows to beta1.
        decoupled_weight_decay: Whether the decay shrinks the parameters, as in AdamW, in place of the penalty.
    """

    name = "nadam"
    lr: Number = 2e-3
    betas: tuple[Number, Number] = (0.9, 0.999)
    eps: Number = 1e-8
    weight_decay: Number = 0.0
    momentum_decay: Number = 4e-3
    decoupled_weight_decay: bool = False


class RAdam(Optimizer):
    """Adam whose rate is rectified while its second moment is of few gradients (Liu et al., ICLR 2020).

    As torch.optim.RAdam.

    Args:
        lr: Learning rate.
        betas: Decay of the running means of the gradient and of its square.
        eps: Added to the denominator.
        weight_decay: Strength of the L2 penalty, weight_decay / 2 * |p|^2.
        decoupled_weight_decay: Whether the decay shrinks the parameters, as in AdamW, in place of the penalty.
    """

    name = "radam"
    lr: Number = 1e-3
    betas: tuple[Number, Number] = (0.9, 0.999)
    eps: Number = 1e-8
    weight_decay: Number = 0.0
    decoupled_weight_decay: bool = False


class ScheduleFreeAdamW(Optimizer):
    """AdamW without a schedule or a length of training (Defazio et al., "The road less scheduled", NeurIPS 2024).

    Gradients are taken at y = (1 - beta1) z + beta1 x: z <- z - lr (gradient / (sqrt(v) + eps) + weight_decay y), where
    v is Adam's corrected mean square, and x is the mean of all z so far, weighted by the squares of their rates. x is
    the model: `fit` evaluates and leaves it as it does an average of `ema`; while a Trainer steps, the model holds y.

    Args:
        lr: Learning rate, a number.
        betas: Where between z and x gradients are taken, and the decay of the mean square.
        eps: Added to the denominator.
        weight_decay: Strength of the decay, at y.
        warmup_steps: Steps in which the rate rises to lr.
    """

    name = "schedule_free_adamw"
    averages = True
    lr: Number = 2.5e-3
    betas: tuple[Number, Number] = (0.9, 0.999)
    eps: Number = 1e-8
    weight_decay: Number = 0.0
    warmup_steps: Number = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.lr, Schedule):
            raise ValueError("[ScheduleFreeAdamW] expected a number as lr: this method needs no schedule")
        if self.follows:
            raise ValueError("[ScheduleFreeAdamW] expected neither ema nor swa: this method keeps a mean of its own")
