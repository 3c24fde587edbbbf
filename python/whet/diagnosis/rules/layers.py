"""Faults inside the network: gradients that grow or die out, units that no longer answer."""

from __future__ import annotations

import numpy as np

from whet.diagnosis.facts import Facts
from whet.diagnosis.findings import Finding
from whet.diagnosis.signals import Units

__all__ = ["dead_units", "exploding_gradients", "saturated_units", "vanishing_gradients"]

# The gradient's norm over its weight's, of the first layer beside the last: He's and Glorot's initialisation keep it
# within a factor of 30 over ten layers; beyond this, an end of the network learns a thousand times slower.
_VANISHED, _FEWEST_LAYERS = 1e-3, 3
# A step of SGD's usual rate, 0.01, then changes a weight by more than itself.
_EXPLODED = 1e3
# Half of a layer's units may be idle in a sound network of ReLUs that is wider than it needs.
_DEAD = 0.5
_SATURATED = 0.5
# Of fewer hidden units, those that died matter less than that there are so few.
_FEWEST_UNITS = 4
# What goes into a layer whose weights a penalty has driven to zero moves less than this.
_STILL = 1e-3


def exploding_gradients(facts: Facts) -> Finding | None:
    """Gradients at the beginning that are larger than the weights by far."""
    norms = facts.gradients
    if norms and max(norms.values()) <= _EXPLODED:
        return None
    if not norms and not facts.failed:
        return None
    if not norms:
        evidence, largest = "The first step of a fresh copy has a gradient that is not finite.", np.inf
    else:
        name = max(norms, key=lambda each: norms[each])
        largest = norms[name]
        evidence = f"At the beginning, the gradient of {name} is {largest:.3g} times as large as the weight itself."
    return Finding(
        "exploding gradients",
        "likely",
        evidence,
        (
            "clip_norm=1.0 in the optimizer.",
            "Check scale and initialisation: nn.init.lsuv, or nn.LayerNorm between layers.",
        ),
        {"largest": largest},
    )


def vanishing_gradients(facts: Facts) -> Finding | None:
    """Gradients at the beginning that die out on their way to the first layer."""
    norms = list(facts.gradients.items())
    if len(norms) < _FEWEST_LAYERS:
        return None
    (first, start), (last, end) = norms[0], norms[-1]
    if end == 0 or start >= _VANISHED * end or _has_learned(facts):
        return None
    return Finding(
        "vanishing gradients",
        "likely",
        f"At the beginning, the gradient of {first} is {start:.3g} times its weight, that of {last} {end:.3g}: "
        f"the first layer learns {end / max(start, 1e-30):.3g} times more slowly.",
        (
            "Fewer layers, or nn.Residual around pairs of them.",
            'activation="relu" (or gelu, silu) in place of sigmoid or tanh; nn.LayerNorm between layers.',
        ),
        {"ratio": start / end},
    )


def _has_learned(facts: Facts) -> bool:
    """Whether the model knows its rows as well as others know rows that they have not seen."""
    return facts.reference is not None and facts.run_loss <= facts.reference.loss


def dead_units(facts: Facts) -> Finding | None:
    """Layers most of whose units have the same output for every row."""
    wide = [each for each in facts.units if each.count >= _FEWEST_UNITS or each.is_output]
    worst = _worst([each for each in wide if each.input_spread > _STILL], "dead")
    if worst is None or worst.dead <= _DEAD:
        return None
    return Finding(
        "dead units",
        "certain",
        f"{worst.dead:.0%} of the {worst.count} units after layer {worst.layer!r} ({worst.activation}) have the same "
        f"output for all {len(facts.rows):,} rows: no gradient reaches what lies before them.",
        (
            "Initialise anew, with biases of 0; a lower learning rate keeps units from dying again.",
            'activation="leaky_relu", "gelu" or "silu" in place of relu.',
        ),
        {"share": worst.dead},
    )


def saturated_units(facts: Facts) -> Finding | None:
    """Layers most of whose units stand at the flat ends of their activation."""
    worst = _worst(facts.units, "saturated")
    if worst is None or worst.saturated <= _SATURATED:
        return None
    return Finding(
        "saturated units",
        "certain",
        f"{worst.saturated:.0%} of the {worst.count} units after layer {worst.layer!r} ({worst.activation}) are at an "
        "end of their range for nearly all rows, where their slope is almost 0.",
        (
            "A lower learning rate and smaller initial weights; scaled features.",
            "nn.LayerNorm or nn.BatchNorm1d before the activation.",
        ),
        {"share": worst.saturated},
    )


def _worst(units: list[Units], what: str) -> Units | None:
    return max(units, key=lambda each: float(getattr(each, what)), default=None)
