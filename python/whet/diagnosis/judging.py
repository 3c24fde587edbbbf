"""The function `whet.diagnose`."""

from __future__ import annotations

from typing import Any

from whet.diagnosis import rules
from whet.diagnosis.facts import FEWEST_OF_CLASS, FEWEST_ROWS, Facts
from whet.diagnosis.findings import Diagnosis
from whet.diagnosis.rows import read
from whet.errors import NonFiniteError
from whet.nn import Module
from whet.tabular import TabularModel
from whet.training.history import History

__all__ = ["diagnose"]


def diagnose(
    run: History | NonFiniteError | None,
    model: Module | TabularModel,
    X: Any,
    y: Any = None,
    *,
    validation_data: Any = None,
) -> Diagnosis:
    """Says what went wrong in a finished or failed run, and what to change.

    Data, history and model are looked at, and experiments are made on copies of the model and on a sample of at most
    2000 rows: other learning rates, a linear model and a small network to compare with. That takes seconds; the model
    stays as it is, and the same run has the same diagnosis.

    Args:
        run: the history that fit returned, the NonFiniteError that it raised, or None for `model.history`.
        model: what was trained.
        X: the features it was trained on, as fit takes them; for a TabularModel the table, with the target.
        y: the targets; none for a TabularModel.
        validation_data: (X, y), or for a TabularModel a table: held-out rows, to tell over- and underfitting by.
            Without it, the validation losses of the history count, and only plain underfitting is seen.

    Returns:
        The findings, causes before their effects: fault, confidence, evidence, advice. What follows from another
        finding is left out. It prints in a terminal and shows in a notebook.

    Raises:
        TypeError: a run, model or data of a wrong kind.
        ValueError: data that do not fit the model, or a model that was never fitted.
    """
    facts = _facts(run, model, X, y, validation_data)
    found = {fault: finding for fault, rule in rules.RULES.items() if (finding := rule(facts)) is not None}
    explained = {effect for fault in found for effect in rules.EXPLAINS.get(fault, ())}
    unchecked = _unchecked(facts)
    checked = [fault for fault in rules.RULES if fault not in unchecked]
    return Diagnosis.of((finding for fault, finding in found.items() if fault not in explained), checked, unchecked)


def _facts(run: object, model: object, X: Any, y: Any, validation_data: Any) -> Facts:
    if not isinstance(model, (Module, TabularModel)):
        raise TypeError(f"[diagnose] expected an nn.Module or a TabularModel, got {type(model).__name__}")
    if run is not None and not isinstance(run, (History, NonFiniteError)):
        raise TypeError(f"[diagnose] expected a history, a NonFiniteError or None, got {type(run).__name__}")
    network = model.network if isinstance(model, TabularModel) else model
    history = run if isinstance(run, History) else model.history
    if history is None or network._loss is None:
        raise ValueError(
            "[diagnose] expected a model that fit has trained, at least for a step; this one has no history"
        )
    loss = network._loss
    rows = read(model, loss, X, y, "diagnose")
    validation = None
    if isinstance(model, TabularModel):
        validation = None if validation_data is None else read(model, loss, validation_data, None, "diagnose")
    elif validation_data is not None:
        if not isinstance(validation_data, (tuple, list)) or len(validation_data) < 2:
            raise TypeError("[diagnose] expected validation_data to be (X, y)")
        validation = read(model, loss, validation_data[0], validation_data[1], "diagnose")
    error = run if isinstance(run, NonFiniteError) else None
    return Facts(history, error, network, loss, network._optimizer, rows, validation)


def _unchecked(facts: Facts) -> dict[str, str]:
    """What could not be looked for, and why."""
    found: dict[str, str] = {}
    if facts.reference is None:
        few = len(facts.rows) < FEWEST_ROWS
        reason = f"there are fewer than {FEWEST_ROWS} rows" if few else "the loss compares with no other model"
        found |= dict.fromkeys(("no signal", "underfitting"), reason)
    elif not facts.has_enough_of_each_class:
        found["no signal"] = f"there are fewer than {FEWEST_OF_CLASS} rows of a class"
    if not facts.skills:
        found["leaked label"] = f"there are fewer than {FEWEST_ROWS} rows"
    if facts.rates is None:
        reason = "there is only one row" if len(facts.rows) < 2 else "the optimizer has no rate to change"
        found |= dict.fromkeys(("rate too high", "rate too low"), reason)
    if facts.held_loss is None:
        found["overfitting"] = "there are no validation rows"
    return found
