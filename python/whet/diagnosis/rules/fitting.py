"""How the losses went: overfitting, underfitting, an end that came too early."""

from __future__ import annotations

import math
from statistics import median

from whet.diagnosis.facts import Facts
from whet.diagnosis.findings import Finding

__all__ = ["overfitting", "too_few_epochs", "underfitting"]

# Validation losses move by a few percent from epoch to epoch; this is beyond.
_RISE = 1.1
# Losses are told apart from this share of a constant prediction's loss.
_GAP = 0.05
# A training loss this far below the validation loss is learned by heart, even where the latter does not rise.
_BY_HEART, _GAP_BY_HEART = 0.6, 0.2
# Others, asked for rows that they do not know, should not do so much better than the run on its own rows; nor by so
# many standard errors on validation rows, where both are asked for the same.
_WORSE, _GAP_WORSE = 1.1, 0.02
_SURPRISE = 2.0
# A loss that fell by so much of a constant's in the last fifth of the epochs is still falling.
_FALLING = 0.02


def overfitting(facts: Facts) -> Finding | None:
    """A validation loss that rises while the training loss falls, or lies far above it."""
    held, losses = facts.held_losses, facts.losses
    scale = facts.baseline
    if facts.failed or scale is None or facts.held_loss is None:
        return None
    last = median(held[-3:]) if held else facts.held_loss
    best = min(held, default=last)
    rises = last > _RISE * best and last - best > _GAP * scale and not facts.stopped_early
    by_heart = (
        not facts.stopped_early and facts.run_loss < _BY_HEART * last and last - facts.run_loss > _GAP_BY_HEART * scale
    )
    if not (rises or by_heart) or last - facts.run_loss <= _GAP * scale:
        return None
    begun = f" It was {best:.3g} after epoch {held.index(best) + 1} of {len(held)}." if rises else ""
    final = losses[-1] if losses else facts.run_loss
    return Finding(
        "overfitting",
        "certain" if rises else "likely",
        f"The loss is {min(final, facts.run_loss):.3g} on training rows and {last:.3g} on validation rows.{begun}",
        _against_overfitting(facts),
        {"training": facts.run_loss, "validation": last, "best": best},
    )


def _against_overfitting(facts: Facts) -> tuple[str, ...]:
    """What was not used."""
    optimizer, graph = facts.optimizer, facts.model._graph(facts.rows.features.shape[1])
    numbers = {} if optimizer is None else optimizer.numbers()
    advice = []
    if not facts.stopped_early:
        advice.append(
            "Early stopping was not used: callbacks=whet.callbacks.EarlyStopping(patience=10, "
            "restore_best_weights=True) in fit."
        )
    if not any(node["op"] == "dropout" for node in graph.nodes):
        advice.append("Dropout was not used: dropout=0.2 in nn.MLP, or nn.Dropout(0.2) after activations.")
    if optimizer is not None and numbers.get("weight_decay", 0.0) == 0.0:
        advice.append("L2 was not used: weight_decay=1e-2 in optim.AdamW.")
    if optimizer is not None and optimizer.l1 == 0.0:
        advice.append("L1 was not used: l1=1e-4 in the optimizer.")
    return (*advice, "A smaller network or more rows help as well.")


def too_few_epochs(facts: Facts) -> Finding | None:
    """A loss that is still falling, with some way to go."""
    losses, scale = facts.losses, facts.baseline
    watched = facts.held_losses or losses
    if facts.failed or scale is None or facts.history.stopped_by == "EarlyStopping" or not losses:
        return None
    before = max(1, len(losses) // 5)
    if len(losses) == 1:
        falling = facts.reference is not None and _is_worse(facts)
        fall = math.nan
    else:
        fall = watched[-1 - before] - watched[-1] if len(watched) > before else 0.0
        falling = fall > _FALLING * scale and watched[-1] <= min(watched) * 1.02
    if not falling or (facts.reference is not None and not _is_worse(facts)) or _is_held_back(facts):
        return None
    how = f"It fell by {fall:.3g} in the last {before}." if len(losses) > 1 else "It ended after the first."
    return Finding(
        "too few epochs",
        "possible",
        f"The loss was still falling when the training ended after {len(losses)} epochs, at {watched[-1]:.3g}. {how}",
        (f"epochs={max(2 * len(losses), 10)} in fit, with early stopping to end it.",),
        {"epochs": float(len(losses)), "fall": fall},
    )


def _is_held_back(facts: Facts) -> bool:
    """Whether a fresh copy without penalties and dropout does better in no more steps."""
    probe = facts.rates
    if probe is None or probe.steps > facts.history.steps or not facts.has_penalties:
        return False
    return _is_above(facts, facts.run_loss, probe.losses[1.0])


def underfitting(facts: Facts) -> Finding | None:
    """A model that knows its own rows less well than others know rows that they have not seen."""
    if facts.failed or facts.reference is None or facts.baseline is None:
        return None
    numbers = {"loss": facts.run_loss, "constant": facts.baseline}
    if _is_worse(facts):
        evidence = (
            f"The model's loss on its own rows is {facts.run_loss:.3g}; a plain network that was trained on half of "
            f"{len(facts.rows):,} rows has {facts.reference.loss:.3g} on the other half"
        )
        numbers["reference"] = facts.reference.loss
    elif _is_outdone(facts):
        others, held = facts.comparison, facts.held_loss
        assert others is not None
        evidence = (
            f"The model's loss is {facts.run_loss:.3g} on its own rows and {held:.3g} on validation rows; a plain "
            f"network that was trained on {len(facts.rows):,} of its rows has {others.loss:.3g} on the latter"
        )
        numbers["reference"] = others.loss
    else:
        return None
    evidence += f"; a constant, {facts.baseline:.3g}."
    return Finding("underfitting", "likely", evidence, _against_underfitting(facts), numbers)


def _is_worse(facts: Facts) -> bool:
    """Whether others, trained on half of the rows, know the other half clearly better than the model."""
    return facts.reference is not None and _is_above(facts, facts.run_loss, facts.reference.loss)


def _is_outdone(facts: Facts) -> bool:
    """Whether others, trained on the model's rows, know validation rows clearly better than it knows any."""
    others = facts.comparison
    return (
        others is not None
        and facts.held_loss is not None
        and _is_above(facts, min(facts.run_loss, facts.held_loss), others.loss)
        and others.surprise > _SURPRISE
    )


def _is_above(facts: Facts, loss: float, others: float) -> bool:
    return loss > _WORSE * others and loss - others > _GAP_WORSE * (facts.baseline or math.inf)


def _against_underfitting(facts: Facts) -> tuple[str, ...]:
    optimizer, graph = facts.optimizer, facts.model._graph(facts.rows.features.shape[1])
    advice = []
    if optimizer is not None:
        for name, value in (("weight_decay", optimizer.numbers().get("weight_decay", 0.0)), ("l1", optimizer.l1)):
            if value != 0.0:
                advice.append(f"A smaller {name} than {value!r} in the optimizer.")
    shares = [float(node["options"]["p"]) for node in graph.nodes if node["op"] == "dropout"]
    if shares:
        advice.append(f"Less dropout than {max(shares):.3g}.")
    return (*advice, "More or wider layers: hidden=(128, 128).", "More features, or better ones.")
