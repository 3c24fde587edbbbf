"""Faults of single columns: scale, constancy, leaks."""

from __future__ import annotations

import numpy as np

from whet.data.columns import is_constant
from whet.diagnosis import reference
from whet.diagnosis.facts import Facts
from whet.diagnosis.findings import Finding

__all__ = ["constant_feature", "leaked_label", "unscaled_features"]

# Layers are drawn for features whose mean square is about 1. At 10 times that size a feature's weights learn 100 times
# as fast as the others' under gradient descent.
_LARGE = 10.0
# So much smaller than the others, a feature needs weights that no usual training reaches.
_SMALL = 1e-3
# A column that removes so much of the error alone is not a feature as one finds them; petal lengths of irises, an easy
# case, remove 93 % of wrong classes.
_ALONE = 0.94
# Or it removes this much, and leaves a third of the error that all other columns together leave.
_NEARLY_ALONE, _TIMES_BETTER = 0.9, 3.0
_SHOWN = 5


def unscaled_features(facts: Facts) -> Finding | None:
    """Features whose size is far from that of the others, or from 1."""
    X = facts.rows.features.astype(np.float64)
    graph = facts.model._graph(X.shape[1])
    first = next((node["op"] for node in graph.nodes if 0 in node["inputs"]), "")
    if first.endswith("norm") or any(node["op"] == "embedding" for node in graph.nodes):
        return None  # normalised by the model itself, or numbers to look up
    varying = np.ptp(X, axis=0) > 0
    size = np.sqrt((X**2).mean(axis=0))
    if not varying.any():
        return None
    usual = float(np.median(size[varying]))
    binary = ((X == 0) | (X == 1)).all(axis=0)
    wrong = varying & ~binary & ((size > _LARGE) | (size < _SMALL * usual))
    if not wrong.any():
        return None
    names = [f"{facts.rows.names[i]} (root mean square {size[i]:.3g})" for i in np.flatnonzero(wrong).tolist()]
    return Finding(
        "unscaled features",
        "certain",
        f"{_list(names)}; the median of all features is {usual:.3g}, and layers are made for about 1.",
        (
            "Standardise them: whet.data.Preprocessor or a TabularModel do, from the training rows alone.",
            "Or put nn.BatchNorm1d before the first layer.",
        ),
        {"largest": float(size[varying].max()), "median": usual},
    )


def constant_feature(facts: Facts) -> Finding | None:
    """Columns with the same value in every row."""
    if len(facts.all_rows) < 2:
        return None
    names = [name for name, column in facts.all_rows.columns.items() if is_constant(column)]
    if not names:
        return None
    return Finding(
        "constant feature",
        "certain",
        f"{_list(names)}: the same value in all {len(facts.all_rows):,} rows, so that nothing can be learned from it.",
        ("Leave it out; if it should vary, look at how the table was made (a join, a filter, a default).",),
        {"columns": float(len(names))},
    )


def leaked_label(facts: Facts) -> Finding | None:
    """A column that tells the target by itself."""
    skills = facts.skills
    if not skills:
        return None
    name = max(skills, key=lambda each: skills[each])
    skill = skills[name]
    if skill < _NEARLY_ALONE:
        return None
    others = _without(facts, name) if skill < _ALONE else None
    if skill < _ALONE and (others is None or 1 - others < _TIMES_BETTER * (1 - skill)):
        return None
    beside = "" if others is None else f"; all others together remove {max(others, 0):.1%}"
    what = "wrong classes" if facts.all_rows.classes else "the variance of ranks"
    return Finding(
        "leaked label",
        "likely",
        f"{name} alone removes {skill:.1%} of {what} on rows that were not looked at{beside}.",
        (
            f"Ask how {name} is known before the target is: leave out a result, a total, a date of afterwards.",
            "If it really is known before, nothing is wrong, and one column is enough.",
        ),
        {"skill": skill},
    )


def _without(facts: Facts, name: str) -> float | None:
    """How much of the error a network removes that does not see a column; None where nothing can be compared."""
    if facts.reference is None:
        return None
    kept = [
        i for i, each in enumerate(facts.rows.names) if each != name and not each.startswith((f"{name}=", f"{name}_"))
    ]
    if not kept:
        return 0.0
    return reference.refer(facts.rows.features[:, kept], facts.rows.target, facts.loss, facts.model).skill


def _list(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
