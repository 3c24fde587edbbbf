"""The parts of a report, each as HTML."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from whet import losses, optim, schedules
from whet.data import Dataset
from whet.diagnosis import Diagnosis
from whet.nn import Module
from whet.reporting import measured, plots
from whet.reporting.measured import Measured
from whet.reporting.page import cards, code, folded, note, section, table, text
from whet.tabular import TabularModel
from whet.training.history import History

__all__ = ["calibration", "columns", "data", "diagnosis", "errors", "headline", "network", "repeat", "training"]

_MOST_CLASSES = 40  # of a picture of the confusion matrix
_MOST_BARS, _MOST_LINES, _MOST_CURVES = 20, 30, 4
_FEWEST = 20  # rows of a calibration


def headline(history: History, seen: Measured | None, on: str) -> str:
    """The numbers that one looks for first."""
    shown = []
    if seen is not None:
        shown = [(name.replace("_", " "), _number(value), on) for name, value in seen.scores.items()]
        shown.append(_constant(seen))
    best = history.best_epoch
    epochs = len(history.get("loss", []))
    more = "" if best is None or not epochs else f"best: {best + 1}"
    shown.append(("epochs", f"{epochs:,}", more))
    shown.append(("training time", f"{history.seconds:.3g} s", f"{history.steps:,} steps"))
    return cards(shown)


def _number(value: float) -> str:
    return f"{value:,.0f}" if 1e3 <= abs(value) < 1e9 else f"{value:.4g}"


def _constant(seen: Measured) -> tuple[str, str, str]:
    """What a constant prediction would have, to compare with."""
    if seen.classes:
        share = np.bincount(seen.truth).max() / max(seen.rows, 1)
        return "largest class", _number(share), "accuracy of always guessing it"
    return "mean alone", _number(float(np.std(seen.truth))), "RMSE of always guessing it"


def diagnosis(found: Diagnosis) -> str:
    """What went wrong."""
    parts = []
    for finding in found:
        advice = "".join(f"<li>{text(each)}</li>" for each in finding.advice)
        parts.append(
            f'<div class="finding"><h3>{text(finding.fault)} <span class="dim">({text(finding.confidence)})</span></h3>'
            f"<p>{text(finding.evidence)}</p><ul>{advice}</ul></div>"
        )
    if not found:
        parts.append('<div class="finding none"><h3>No fault found</h3></div>')
    notes = [f"Looked for: {', '.join(found.checked) or 'nothing'}."]
    notes += [f"Not looked for: {fault}, as {reason}." for fault, reason in found.unchecked.items()]
    return section("Diagnosis", *parts, note(" ".join(notes)))


def training(history: History) -> str:
    """How losses and metrics went."""
    if not history.get("loss"):
        return section("Training", note("It ended in its first epoch; there is nothing to draw."))
    return section("Training", f'<div class="plots">{"".join(plots.curves(history))}</div>')


def errors(seen: Measured | None, on: str) -> str:
    """Which rows are wrong, and how."""
    if seen is None:
        return ""
    if not seen.classes:
        drawn = plots.predicted(seen.truth, seen.predicted) + plots.residuals(seen.truth - seen.predicted)
        return section("Errors", note(f"On {seen.rows:,} {on}."), f'<div class="plots">{drawn}</div>')
    counts = measured.confusion(seen)
    drawn = f'<div class="plots">{plots.confusion(counts, seen.classes)}</div>' if len(counts) <= _MOST_CLASSES else ""
    wrong = counts - np.diag(np.diag(counts))
    order = np.argsort(-wrong, axis=None, kind="stable")[:10]
    pairs = [np.unravel_index(i, wrong.shape) for i in order.tolist()]
    lines = [(seen.classes[i], seen.classes[j], f"{wrong[i, j]:,}") for i, j in pairs if wrong[i, j]]
    if not lines:
        return section("Errors", note(f"All {seen.rows:,} {on} are right."), drawn)
    told = note(f"{int(wrong.sum()):,} of {seen.rows:,} {on} are wrong; the most frequent confusions:")
    return section("Errors", told, table(("true", "predicted as", "rows"), lines, (2,)), drawn)


def calibration(seen: Measured | None) -> str:
    """Whether probabilities are as often true as they say."""
    found = None if seen is None or seen.rows < _FEWEST else measured.calibration(seen)
    if found is None:
        return ""
    words = "Where the line lies below the dashed one, the model is too sure of itself; a larger dot is more rows."
    return section("Calibration", note(words), f'<div class="plots">{plots.reliability(*found)}</div>')


def columns(model: Module | TabularModel, rows: Any, on: str) -> str:
    """Which columns the model leans on, and what they do to its outputs."""
    found = measured.importance(model, rows)
    shown = [each for each in found if np.isfinite(each[1])][:_MOST_BARS]
    if not shown:
        return ""
    more = f" The {len(shown)} largest of {len(found)}." if len(found) > len(shown) else ""
    words = f"How much the loss on {on} rises when a column's cells are shuffled among them, three times.{more}"
    matter = section("Columns that matter", note(words), f'<div class="plots">{plots.importance(shown)}</div>')
    return matter + _effects(model, rows, [name for name, rise, _ in shown if rise > 0][:_MOST_CURVES])


def _effects(model: Module | TabularModel, rows: Any, most: list[str]) -> str:
    found = measured.attributions(model, rows)
    drawn = [plots.attributions(each, _MOST_BARS) for each in found if np.isfinite(each.values).all()]
    drawn += [plots.dependence(each) for each in measured.dependence(model, rows, most)]
    words = (
        f"Mean sizes over {len(found[0].values)} rows: what each column adds to an output on the way from a baseline "
        "to the row (integrated gradients), and how steeply the output follows it (gradient). Then, for the columns "
        "that matter most, the mean prediction where every row is given the same value (partial dependence)."
    )
    return section("What columns do", note(words), f'<div class="plots">{"".join(drawn)}</div>')


def data(given: Dataset | None) -> str:
    """What the table holds."""
    if given is None:
        return ""
    found = given.describe()
    rows = [(c.name, c.kind, f"{c.missing:,}", str(c)) for c in found.columns]
    listed = table(("column", "kind", "missing", "values"), rows, (2,))
    counted = [f"{found.rows:,} rows", f"{found.duplicates:,} duplicate rows"]
    counted.append(f"constant columns: {', '.join(found.constant) or 'none'}")
    if found.imbalance is not None:
        counted.append(f"largest to smallest class: {found.imbalance:.3g} to 1")
    if len(rows) > _MOST_LINES:
        listed = folded(f"All {len(rows)} columns", listed)
    return section("Data", note("; ".join(counted) + "."), listed)


def network(model: Module) -> str:
    """What was trained."""
    summary = model.summary()
    head = ("layer", "forward", "backward", "output", "parameters", "FLOPs")
    return section("Network", table(head, summary.rows, (4, 5)), note(" - ".join(summary.notes[1:])))


def repeat(model: Module | TabularModel, history: History, source: str | None, command: str | None) -> str:
    """How to get the same bits again."""
    parts = [] if command is None else [note("In a shell:"), code(command)]
    return section("To repeat this run", *parts, note("In Python:"), code(_python(model, history, source)))


def _python(model: Module | TabularModel, history: History, source: str | None) -> str:
    given = history.arguments
    told = {
        "loss": _qualified(str(given.get("loss", "'mse'"))),
        "optimizer": _qualified(str(given.get("optimizer", "'adam'"))),
        "epochs": given.get("epochs"),
        "batch_size": repr(given.get("batch_size")),
        "class_weight": repr(given["class_weight"]) if given.get("class_weight") is not None else None,
        "validation_fraction": given.get("validation_fraction") or None,
        "callbacks": f"[{', '.join(f'callbacks.{each}(...)' for each in given.get('callbacks', []))}]",
        "seed": history.seed,
    }
    if not given.get("callbacks"):
        del told["callbacks"]
    if given.get("validation", 0) != 0 and not told["validation_fraction"]:
        told["validation_data"] = "validation_data"
    if given.get("sample_weight"):
        told["sample_weight"] = "sample_weight"
    lines = "".join(f"    {name}={value},\n" for name, value in told.items() if value is not None)
    used = [name for name in ("callbacks", "losses", "nn", "optim", "schedules") if f"{name}." in lines]
    if isinstance(model, TabularModel):
        network = f"hidden={model.hidden}" if model._given is None else "network=network"
        made = f"model = whet.TabularModel({model.target!r}, {model.task!r}, {network})"
        table_of = "table" if source is None else repr(source)
        start = f"import whet\nfrom whet import {', '.join(used)}\n\n" if used else "import whet\n\n"
        return f"{start}{made}\nhistory = model.fit(\n    {table_of},\n{lines})"
    start = f"from whet import {', '.join(sorted({*used, 'nn'}))}\n\n"
    layers = "\n".join(f"# {line}" for line in repr(model).splitlines())
    return f"{start}# model, before it was trained:\n{layers}\nhistory = model.fit(\n    X,\n    y,\n{lines})"


def _qualified(described: str) -> str:
    """The repr of an optimizer or a loss, with the module that each class is of."""

    def prefix(match: re.Match[str]) -> str:
        name = match[1]
        for module in (optim, schedules, losses):
            if hasattr(module, name):
                return f"{module.__name__.removeprefix('whet.')}.{name}("
        return match[0]

    return re.sub(r"\b([A-Z]\w*)\(", prefix, described)
