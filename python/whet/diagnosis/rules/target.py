"""Faults of the target: its scale, rare classes, and labels that have nothing to do with the features."""

from __future__ import annotations

import numpy as np

from whet.diagnosis.facts import Facts
from whet.diagnosis.findings import Finding
from whet.diagnosis.reference import constant_loss

__all__ = ["class_imbalance", "no_signal", "unscaled_target"]

# Outputs begin near 0 and move by about a learning rate a step.
_LARGE = 100.0
# From this ratio of the largest class to the smallest, a tenth of the rows or less pull the other way.
_IMBALANCE = 10.0
# Models that improve this little on a constant have found nothing, ...
_LITTLE = 0.03
# ... as have those whose improvement is within so many standard errors of none, unless it is large.
_SURPRISE, _MUCH = 2.5, 0.15
# A run whose validation loss is so far below that of a constant prediction has found something, whatever others say.
# Without the validation rows, the constant's loss on them is that on the training rows, give or take a tenth.
_BELOW, _ABOUT_BELOW = 0.95, 0.85


def unscaled_target(facts: Facts) -> Finding | None:
    """Numbers to learn that are far from 0."""
    if facts.loss.kind != "values" or facts.loss.link is not None:
        return None
    size = float(np.sqrt((facts.rows.target.astype(np.float64) ** 2).mean()))
    if size <= _LARGE:
        return None
    return Finding(
        "unscaled target",
        "certain",
        f"The target's root mean square is {size:.3g}; outputs begin near 0, and steps are small beside that.",
        ("Standardise y: (y - y.mean()) / y.std(), of the training rows; a TabularModel does.",),
        {"size": size},
    )


def class_imbalance(facts: Facts) -> Finding | None:
    """A class that is much rarer than another, in a training that counts all rows alike."""
    codes = facts.classes
    if codes is None or facts.arguments.get("class_weight") is not None or facts.arguments.get("sample_weight"):
        return None
    counts = np.bincount(codes, minlength=len(facts.all_rows.classes))
    present = np.flatnonzero(counts)
    if len(present) < 2:
        return None
    rare, usual = present[counts[present].argmin()], present[counts[present].argmax()]
    ratio = counts[usual] / counts[rare]
    if ratio < _IMBALANCE:
        return None
    names = facts.all_rows.classes
    found = _recall(facts, int(rare))
    seen = "" if found is None else f" The model finds {found:.0%} of the rows of {names[rare]} that it was shown."
    return Finding(
        "class imbalance",
        "certain",
        f"{counts[rare]:,} rows of class {names[rare]} and {counts[usual]:,} of class {names[usual]}: "
        f"{ratio:.3g} to 1.{seen}",
        (
            'class_weight="balanced" in fit, if rare rows matter as much as all others together.',
            'Judge by metrics=["balanced_accuracy", "f1", "roc_auc"]: accuracy says little here.',
            "Split with stratify, so that each part has rows of every class.",
        ),
        {"ratio": float(ratio)},
    )


def _recall(facts: Facts, code: int) -> float | None:
    """The share of rows of a class that the model names."""
    rows = facts.rows
    chosen = facts.loss.labels(rows.target).astype(np.int64) == code
    if facts.failed or not chosen.any():
        return None
    outputs = facts.model._outputs(rows.features[chosen])
    guessed = outputs.argmax(axis=1) if outputs.shape[1] > 1 else (outputs[:, 0] > 0).astype(np.int64)
    return float((guessed == code).mean())


def _has_found_something(facts: Facts, constant: float) -> bool:
    if not facts.held_losses:
        return False
    if facts.validation is None:
        return min(facts.held_losses) < _ABOUT_BELOW * constant
    held = constant_loss(facts.loss, facts.validation.target, facts.model)
    return min(facts.held_losses) < _BELOW * held


def no_signal(facts: Facts) -> Finding | None:
    """Labels that nothing can be told of from the features."""
    reference = facts.reference
    if reference is None or not facts.has_enough_of_each_class:
        return None
    gain = 1 - reference.loss / reference.constant
    if gain > _LITTLE and (reference.surprise > _SURPRISE or gain > _MUCH):
        return None
    if _has_found_something(facts, reference.constant):
        return None
    trained = f" The training loss is {facts.losses[-1]:.3g}: what it learned are the rows." if facts.losses else ""
    return Finding(
        "no signal",
        "likely",
        f"A linear model and a small network, trained on half of the rows, predict the other half with a loss of "
        f"{reference.loss:.3g}; a constant has {reference.constant:.3g}.{trained}",
        (
            "Check that rows of X and y belong together: shuffled, sorted or joined apart, they do not.",
            "If they do, these features say nothing about this target: others are needed, not another training.",
        ),
        {"reference": reference.loss, "constant": reference.constant},
    )
