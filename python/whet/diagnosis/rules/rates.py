"""The learning rate, by experiment: fresh copies of the model, trained for a few steps at other rates."""

from __future__ import annotations

import math
from itertools import pairwise
from statistics import fmean, median

from whet.diagnosis.facts import Facts
from whet.diagnosis.findings import Finding
from whet.diagnosis.probes import RateProbe

__all__ = ["rate_too_high", "rate_too_low"]

# Differences of losses count from this share of a constant prediction's loss: fresh copies of sound runs differ by
# less from rate to rate than those of runs at a hundredth or a hundred times their rate.
_GAIN = 0.05
# And from this ratio, where all losses are small.
_RATIO = 1.25
# A lower rate that helps learns the rows themselves as well as the run's rate does, up to so much.
_ALIKE, _LITTLE = 1.05, 0.02
# Training losses of sound runs move by less than 1 % of a constant's loss from epoch to epoch, in at least so many.
_JUMP, _FEWEST = 0.015, 5


def rate_too_high(facts: Facts) -> Finding | None:
    """A copy at a lower rate gets further in a few steps than the run in all of its own, or the loss jumps about."""
    probe, rate = facts.rates, facts.rate
    if probe is None or rate is None:
        return None
    factor, low = probe.best(lower=True)
    reached = facts.run_loss if facts.failed or facts.held_loss is None else max(facts.run_loss, facts.held_loss)
    jumps = _jump(facts)
    if not _is_lost(facts, probe, factor, reached) and not (jumps > _JUMP and _settles(facts, probe, factor, reached)):
        return None
    own = "is not finite" if facts.failed else f"has a loss of {reached:.3g}"
    jumped = (
        f", and its training loss jumps by {jumps:.1%} of a constant's from epoch to epoch" if jumps > _JUMP else ""
    )
    return Finding(
        "rate too high",
        "likely",
        f"At the run's rate of {rate:.3g}, a fresh copy reaches {_loss(probe.losses[1.0])} in {probe.steps} steps, on "
        f"rows that it did not see; at {rate * factor:.3g} it reaches {_loss(low)}. The run itself {own}{jumped}.",
        (f"lr={_round(rate * factor)} in the optimizer, in place of {rate:.3g}.", "clip_norm=1.0 limits single steps."),
        {"lr": rate, "better": rate * factor, "loss": probe.losses[1.0], "loss_at_better": low},
    )


def _is_lost(facts: Facts, probe: RateProbe, factor: float, reached: float) -> bool:
    """Whether a lower rate does clearly better, and not because it learns its rows less well."""
    low, own = probe.losses[factor], probe.losses[1.0]
    alike = probe.seen[factor] <= _ALIKE * probe.seen[1.0] + _LITTLE * (facts.baseline or 0.0)
    return alike and _better(facts, low, own) and _better(facts, low, reached)


def _settles(facts: Facts, probe: RateProbe, factor: float, reached: float) -> bool:
    """Whether a lower rate does better on rows seen and not seen, by however little."""
    late = facts.losses[len(facts.losses) // 2 :]
    return probe.losses[factor] < reached and probe.seen[factor] < fmean(late)


def _jump(facts: Facts) -> float:
    """By what share of a constant's loss the training loss moves from epoch to epoch, beside its trend; 0 with dropout.

    That of the second half of the epochs.
    """
    late = facts.losses[len(facts.losses) // 2 :]
    if len(late) < _FEWEST or facts.baseline is None or facts.has_dropout:
        return 0.0
    moves = [after - before for before, after in pairwise(late)]
    trend = fmean(moves)
    found = median(abs(move - trend) for move in moves) / facts.baseline
    return found if math.isfinite(found) else 0.0


def rate_too_low(facts: Facts) -> Finding | None:
    """A copy at ten or a hundred times the rate gets further in a few steps than the run in all of its own."""
    probe, rate = facts.rates, facts.rate
    if probe is None or rate is None or facts.failed:
        return None
    if facts.has_penalties and _better(facts, probe.losses[1.0], facts.run_loss):
        return None  # at the same rate, without penalties and dropout: those hold the run back
    factor, high = probe.best(lower=False)
    if not all(_better(facts, high, loss) for loss in (probe.losses[1.0], facts.run_loss)):
        return None
    return Finding(
        "rate too low",
        "likely",
        f"At the run's rate of {rate:.3g}, a fresh copy reaches {_loss(probe.losses[1.0])} in {probe.steps} steps, on "
        f"rows that it did not see; at {rate * factor:.3g} it reaches {_loss(high)}. "
        f"The run was at {facts.run_loss:.3g} after {facts.history.steps:,} steps.",
        (f"lr={_round(rate * factor)} in the optimizer, in place of {rate:.3g}.",),
        {"lr": rate, "better": rate * factor, "loss": facts.run_loss, "loss_at_better": high},
    )


def _better(facts: Facts, loss: float, than: float) -> bool:
    """Whether a loss is clearly smaller."""
    if not math.isfinite(loss):
        return False
    return than > _RATIO * loss and than - loss > _GAIN * (facts.baseline or abs(loss))


def _loss(value: float) -> str:
    return f"a loss of {value:.3g}" if math.isfinite(value) else "no finite loss"


def _round(rate: float) -> str:
    return f"{rate:.1g}"
