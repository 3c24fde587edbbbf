"""Experiments on fresh copies of the model: what other learning rates would have done."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from whet import optim
from whet.diagnosis.rows import Rows
from whet.errors import NonFiniteError, WhetWarning
from whet.losses import Loss
from whet.nn import AlphaDropout, Dropout, Module
from whet.optim import Optimizer
from whet.training.history import History

__all__ = ["RateProbe", "by_mean", "fresh", "loss_of", "try_rates"]

_FACTORS = (1.0, 0.1, 0.01, 0.001, 10.0, 100.0, 1000.0)
_LOWER = (1e-4, 1e-5, 1e-6, 1e-7)  # tried in turn while every lower rate diverges
# Steps of an experiment: what a copy does in them tells rates apart, and a large network has fewer of them.
_FEWEST, _MOST = 30, 1000
_WORK = 5e9  # multiplications and additions of one experiment: a fraction of a second


@dataclass(frozen=True)
class RateProbe:
    """Losses of fresh copies after some steps at multiples of the run's rate; infinite where a copy diverged.

    Attributes:
        steps: how many.
        losses: on rows that the copies did not see, by factor.
        seen: on the rows that they were trained on.
    """

    steps: int
    losses: Mapping[float, float]
    seen: Mapping[float, float]

    def best(self, *, lower: bool) -> tuple[float, float]:
        """The factor below or above 1 with the smallest loss, and that loss."""
        found = ((factor, loss) for factor, loss in self.losses.items() if factor != 1 and (factor < 1) == lower)
        return min(found, key=lambda pair: pair[1])


def try_rates(
    model: Module, loss: Loss, optimizer: Optimizer | None, rate: float, rows: Rows, history: History
) -> RateProbe:
    """Trains fresh copies of a model at several rates, for the same number of steps; Adam's where nobody knows.

    Without penalties and dropout, which have effects of their own that depend on the rate.
    """
    order = np.random.default_rng(2).permutation(len(rows))
    seen, unseen = rows.take(np.sort(order[len(rows) // 3 :])), rows.take(np.sort(order[: max(len(rows) // 3, 1)]))
    batch = max(1, min(int(history.arguments.get("batch_rows", 32)), len(seen)))
    parameters = sum(array.size for array in model.state_dict().values())
    steps = int(np.clip(_WORK / (6 * parameters * batch + 1), _FEWEST, _MOST))
    kind = optim.Adam() if optimizer is None else _plain(optimizer)
    losses: dict[float, float] = {}
    own: dict[float, float] = {}
    for factor in (*_FACTORS, *_LOWER):
        if factor in _LOWER and any(math.isfinite(loss) for tried, loss in losses.items() if tried < 1):
            break
        probe = _without_dropout(fresh(model, history.seed))
        faster = replace(kind, lr=rate * factor)  # type: ignore[call-arg]
        went = _train(probe, loss, faster, seen, batch, steps)
        losses[factor] = loss_of(probe, loss, unseen) if went else math.inf
        own[factor] = loss_of(probe, loss, seen) if went else math.inf
    return RateProbe(steps, losses, own)


def _plain(optimizer: Optimizer) -> Optimizer:
    decay = {"weight_decay": 0.0} if "weight_decay" in optimizer.arguments() else {}
    return replace(optimizer, swa=None, ema=None, l1=0.0, **decay)  # type: ignore[arg-type]


def _without_dropout(model: Module) -> Module:
    for _, module in model.named_modules():
        if isinstance(module, (AlphaDropout, Dropout)):
            module.p = 0.0
    return model


def fresh(model: Module, seed: int) -> Module:
    """A copy with parameters as they are drawn from the seed; those that do not train stay as they are."""
    probe = copy.deepcopy(model)
    kept = {name: probe.state_dict()[name] for name in probe._frozen()}
    probe.initialize(seed)
    if kept:
        probe.load_state_dict({**probe.state_dict(), **kept})
    return probe


def loss_of(model: Module, loss: Loss, rows: Rows) -> float:
    """The mean loss of a model as it stands; infinite where it is not finite."""
    with np.errstate(all="ignore"):
        found = model._evaluate(rows.features, rows.target, by_mean(loss), ())["loss"]
    return found if math.isfinite(found) else math.inf


def by_mean(loss: Loss) -> Loss:
    """The loss whose value does not depend on the number of rows."""
    return loss if loss.reduction == "mean" else replace(loss, reduction="mean")


def _train(model: Module, loss: Loss, optimizer: Optimizer, rows: Rows, batch: int, steps: int) -> bool:
    """Takes so many steps. Returns whether all numbers stayed finite."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", WhetWarning)
        try:
            model.fit(
                model._apart(rows.features),
                rows.target,
                loss=loss,
                optimizer=optimizer,
                epochs=steps,
                max_steps=steps,
                batch_size=max(1, batch // optimizer.accumulate),
            )
        except NonFiniteError:
            return False
    return True
