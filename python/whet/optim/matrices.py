"""Optimizers that look at whole parameters: their norms, or their singular values."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from fnmatch import fnmatchcase
from math import inf

from whet._checks import as_count, as_number
from whet.optim.adam import AdamW
from whet.optim.base import Assignment, Number, Optimizer, check_patterns
from whet.schedules import Schedule

__all__ = ["LAMB", "Adafactor", "Muon"]


class Adafactor(Optimizer):
    """Adam's second moment from its rows and columns alone (Shazeer and Stern, "Adafactor", ICML 2018).

    As torch.optim.Adafactor. At step t, with s = t^beta2_decay: the mean squares of the gradient's rows and columns
    follow by s, r <- r + s (mean of g^2 - r), and v = r c / mean(r) stands for the mean square of each element; of a
    vector, v itself is kept. u = g / sqrt(v); p <- p (1 - lr weight_decay) - a u / max(1, rms(u) / d), where
    a = min(lr, 1 / sqrt(t)) max(eps[1], rms(p)). Of a parameter with more than two axes, the last two are a matrix. A
    matrix of 1000 rows and columns needs 2000 numbers of memory, where Adam's needs two million.

    Args:
        lr: Learning rate, relative to the size of each parameter; it falls as 1 / sqrt(t) once that is less.
        beta2_decay: How the weight of a new square falls with the steps; at most 0.
        eps: The least that counts as the mean of r, and squared as v; None for the difference between 1 and the next
            number of the model's dtype. And the least that counts as the size of a parameter.
        d: A step whose root mean square is larger is scaled down to it; at least 1.
        weight_decay: Each step first multiplies the parameters by 1 - lr weight_decay.
    """

    name = "adafactor"
    by_parameter = True
    choices = ("eps",)
    ranges = {"beta2_decay": (-inf, inf), "d": (1, inf)}  # noqa: RUF012
    lr: Number = 1e-2
    beta2_decay: Number = -0.8
    eps: tuple[float | None, float] = (None, 1e-3)
    d: Number = 1.0
    weight_decay: Number = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.beta2_decay, Schedule):
            raise TypeError("[Adafactor] expected beta2_decay to be a number, got a schedule")
        if self.beta2_decay > 0:
            raise ValueError(f"[Adafactor] expected beta2_decay at most 0, got {self.beta2_decay}")
        if not isinstance(self.eps, (tuple, list)) or len(self.eps) != 2:
            raise TypeError(f"[Adafactor] expected eps to be two numbers, the first perhaps None, got {self.eps!r}")
        for number in self.eps if self.eps[0] is not None else self.eps[1:]:
            as_number(number, "Adafactor", "eps", low=0)

    def numbers(self) -> dict[str, Number]:
        """See `Optimizer.numbers`."""
        first, second = self.eps
        return {**super().numbers(), **({} if first is None else {"eps1": float(first)}), "eps2": float(second)}


class LAMB(Optimizer):
    """Adam with a step as long as the parameter (You et al., "Large batch optimization for deep learning", ICLR 2020).

    d = Adam's corrected mean over its root mean square + weight_decay p; p <- p - lr |p| / |d| d, for each parameter by
    itself; where one of the norms is 0, their quotient counts as 1.

    Args:
        lr: Learning rate.
        betas: Decay of the running means of the gradient and of its square.
        eps: Added to the denominator.
        weight_decay: Strength of the decay.
    """

    name = "lamb"
    by_parameter = True
    lr: Number = 1e-3
    betas: tuple[Number, Number] = (0.9, 0.999)
    eps: Number = 1e-6
    weight_decay: Number = 0.0


class Muon(Optimizer):
    """Momentum, orthogonalized by Newton and Schulz's iteration (Jordan et al., 2024), as torch.optim.Muon.

    For matrices: m <- momentum m + (1 - momentum) gradient; the step is along (1 - momentum) gradient + momentum m, or
    m, with its singular values brought near 1 by `ns_steps` rounds of 3.4445 X - 4.775 (X X^T) X + 2.0315 (X X^T)^2 X,
    at lr sqrt(max(1, rows / columns)). All other parameters take AdamW's steps. Where PyTorch iterates in bfloat16,
    this does in the model's own dtype.

    Args:
        lr: Learning rate of the matrices.
        weight_decay: Each step first multiplies them by 1 - lr weight_decay.
        momentum: Decay of the running mean of their gradient.
        nesterov: Whether to look ahead along it.
        eps: The least that the norm of a step counts as before the iteration.
        ns_steps: Rounds of the iteration.
        adjust_lr_fn: "match_rms_adamw" for a rate of 0.2 lr sqrt(max(rows, columns)), with which AdamW's lr and
            weight_decay can be kept; None or "original" for the one above.
        matrices: Patterns over the names of `state_dict` of the parameters that count as matrices. None: all with two
            axes but the last of them, that of the outputs. Tables of embeddings are better left out.
        others: What all other parameters are trained by: the numbers of AdamW, and its `groups`, such as
            {"*bias": {"weight_decay": 0.0}}. No other argument counts.
    """

    name = "muon"
    by_parameter = True
    choices = ("adjust_lr_fn", "matrices", "others")
    ranges = {"momentum": (0, 1)}  # noqa: RUF012
    lr: Number = 1e-3
    weight_decay: Number = 0.1
    momentum: Number = 0.95
    nesterov: bool = True
    eps: Number = 1e-7
    ns_steps: int = 5
    adjust_lr_fn: str | None = None
    matrices: tuple[str, ...] | None = None
    others: AdamW = AdamW()

    def __post_init__(self) -> None:
        super().__post_init__()
        as_count(self.ns_steps, "Muon", "ns_steps")
        if self.adjust_lr_fn not in (None, "original", "match_rms_adamw"):
            raise ValueError(f"[Muon] expected adjust_lr_fn 'original' or 'match_rms_adamw', got {self.adjust_lr_fn!r}")
        if self.matrices is not None and not isinstance(self.matrices, (tuple, list)):
            raise TypeError(f"[Muon] expected matrices to be a tuple of patterns, got {type(self.matrices).__name__}")
        if not isinstance(self.others, AdamW):
            raise TypeError(f"[Muon] expected others to be an AdamW, got {type(self.others).__name__}")
        if self.groups is not None:
            raise ValueError("[Muon] expected no groups: it has the matrices and the others, which may have groups")

    def numbers(self) -> dict[str, Number]:
        """See `Optimizer.numbers`."""
        return {**super().numbers(), "match_rms_adamw": float(self.adjust_lr_fn == "match_rms_adamw")}

    def check_names(self, names: Sequence[str]) -> None:
        """See `Optimizer.check_names`."""
        check_patterns("Muon", "matrices", self.matrices or (), names)
        self.others.check_names(names)

    def assign(self, shapes: Mapping[str, Sequence[int]], frozen: Collection[str] = ()) -> Assignment:
        """See `Optimizer.assign`."""
        self.check_names(list(shapes))
        flat = [name for name, shape in shapes.items() if len(shape) == 2 and name not in frozen]
        if self.matrices is None:
            chosen = flat[:-1]
        else:
            chosen = [name for name in shapes if any(fnmatchcase(name, pattern) for pattern in self.matrices)]
            for name in chosen:
                if len(shapes[name]) != 2:
                    raise ValueError(f"[Muon] expected matrices with two axes, {name} has shape {tuple(shapes[name])}")
        rest = self.others.assign(shapes, frozen)
        groups = [self.numbers(), *map(_as_numbers_of_muon, rest.groups)]
        behind = [-1 if each < 0 else each + 1 for each in rest.group_of]
        return Assignment(
            groups, [0 if i > 0 and name in chosen else i for name, i in zip(shapes, behind, strict=True)]
        )


def _as_numbers_of_muon(adamw: Mapping[str, Number]) -> dict[str, Number]:
    same = {name: adamw[name] for name in ("lr", "weight_decay", "beta2", "eps")}
    return {**same, "momentum": adamw["beta1"], "orthogonal": 0.0}
