"""Optimizers that learn the curvature of the loss from step to step, and search along a line."""

from __future__ import annotations

from whet._checks import as_count
from whet.optim.base import Number, Optimizer

__all__ = ["LBFGS"]

#: What acts on single gradients or steps, and would take from the search the function that it looks at.
_REFUSED = {
    "groups": None,
    "clip_norm": None,
    "clip_value": None,
    "centralize": False,
    "normalize": False,
    "noise": None,
    "max_norm": None,
    "accumulate": 1,
}


class LBFGS(Optimizer):
    """Limited-memory BFGS on all rows at once (Liu and Nocedal, 1989), as torch.optim.LBFGS.

    One step is one call of PyTorch's `step(closure)`: up to `max_iter` iterations, each of which goes along the
    gradient times an inverse Hessian that the last `history_size` changes of parameters and gradient tell of, to a
    point where the strong Wolfe conditions hold (Nocedal and Wright, "Numerical optimization", algorithms 3.5 and
    3.6). For linear models and small networks, in float64 above all.

    A step sees one function: what dropout draws depends on the step alone, and the running statistics of a batch
    normalization take in the batch once, at the parameters before the step. The loss that is reported is the one
    before the step, and `Trainer.gradients()` has its gradient. Where a point of the search has no finite loss, the
    search comes nearer by halves; where the step starts at one, or its gradient is not finite, NonFiniteError is raised
    and nothing has changed. An interrupted step leaves everything as it was before it. Parameters that are frozen take
    no part. Of what all optimizers take, `ema` and `swa` count; the others would change the function that the search
    looks at, and are refused.

    Memory for 2 `history_size` + 2 min(`history_size`, `max_iter`) vectors of all parameters is set aside.

    Args:
        lr: Length of each iteration's first attempt, where 1 is the whole direction; of the very first iteration,
            lr min(1, 1 / sum |gradient|).
        max_iter: Iterations of a step at most.
        max_eval: Evaluations of the loss in a step, at most; 5/4 of `max_iter` if it is None.
        tolerance_grad: A step ends where no element of the gradient is further from zero.
        tolerance_change: A step ends where an iteration changes loss or parameters by less.
        history_size: Changes that are remembered.
        line_search_fn: "strong_wolfe", or None for iterations of length `lr` without a search, which is PyTorch's
            default.
    """

    name = "lbfgs"
    full_batch = True
    by_parameter = True
    choices = ("max_iter", "max_eval", "history_size", "line_search_fn")
    lr: Number = 1.0
    max_iter: int = 20
    max_eval: int | None = None
    tolerance_grad: Number = 1e-7
    tolerance_change: Number = 1e-9
    history_size: int = 100
    line_search_fn: str | None = "strong_wolfe"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("max_iter", "history_size", *(["max_eval"] if self.max_eval is not None else [])):
            if as_count(getattr(self, name), "LBFGS", name) > 2**31:
                raise ValueError(f"[LBFGS] expected {name} to be at most 2**31, got {getattr(self, name)}")
        if self.line_search_fn not in (None, "strong_wolfe"):
            raise ValueError(f"[LBFGS] expected line_search_fn 'strong_wolfe' or None, got {self.line_search_fn!r}")
        for name, nothing in _REFUSED.items():
            if getattr(self, name) != nothing:
                raise ValueError(f"[LBFGS] expected no {name}: the search looks at the loss as it is")

    def numbers(self) -> dict[str, Number]:
        """See `Optimizer.numbers`."""
        sizes = {
            "max_iter": self.max_iter,
            "max_eval": self.max_iter * 5 // 4 if self.max_eval is None else self.max_eval,
            "history_size": self.history_size,
            "strong_wolfe": self.line_search_fn is not None,
        }
        return {**super().numbers(), **{name: float(value) for name, value in sizes.items()}}
