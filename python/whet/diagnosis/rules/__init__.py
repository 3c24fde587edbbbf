"""The rules: each looks at the facts of a run and returns a finding, or None.

To add one: a function in the file of its kind, and its line in `RULES`. What a rule finds may be the cause of what
others find: `EXPLAINS` says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from whet.diagnosis.facts import Facts
from whet.diagnosis.findings import Finding
from whet.diagnosis.rules import columns, fitting, layers, rates, target

__all__ = ["EXPLAINS", "RULES", "Rule"]

Rule = Callable[[Facts], Finding | None]

#: Causes before their effects.
RULES: Mapping[str, Rule] = {
    "unscaled features": columns.unscaled_features,
    "constant feature": columns.constant_feature,
    "leaked label": columns.leaked_label,
    "unscaled target": target.unscaled_target,
    "class imbalance": target.class_imbalance,
    "no signal": target.no_signal,
    "exploding gradients": layers.exploding_gradients,
    "vanishing gradients": layers.vanishing_gradients,
    "rate too high": rates.rate_too_high,
    "dead units": layers.dead_units,
    "saturated units": layers.saturated_units,
    "rate too low": rates.rate_too_low,
    "overfitting": fitting.overfitting,
    "too few epochs": fitting.too_few_epochs,
    "underfitting": fitting.underfitting,
}

_SLOW = ("rate too low", "too few epochs", "underfitting")
_LOST = ("dead units", "saturated units", *_SLOW)

#: A fault -> those that need no finding of their own beside it.
EXPLAINS: Mapping[str, tuple[str, ...]] = {
    "unscaled features": ("exploding gradients", "vanishing gradients", "rate too high", *_LOST),
    "unscaled target": ("exploding gradients", "rate too high", *_LOST),
    "class imbalance": ("no signal", "underfitting"),
    "no signal": ("rate too high", "overfitting", *_LOST),
    "exploding gradients": ("rate too high", *_LOST),
    "vanishing gradients": _LOST,
    "rate too high": ("overfitting", *_LOST),
    "dead units": _SLOW,
    "saturated units": _SLOW,
    "rate too low": ("too few epochs", "underfitting"),
    "too few epochs": ("underfitting",),
}
