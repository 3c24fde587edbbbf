"""The function `whet.report`."""

from __future__ import annotations

import datetime
import os
from typing import Any

from whet._checks import as_path
from whet.data import Dataset, as_dataset
from whet.diagnosis import diagnose
from whet.errors import NonFiniteError
from whet.nn import Module
from whet.reporting import measured, page, plots, sections
from whet.tabular import TabularModel
from whet.training.history import History

__all__ = ["report"]


def report(
    model: Module | TabularModel,
    history: History | NonFiniteError | None,
    data: Any,
    path: str | os.PathLike[str],
    *,
    held_out: Any = None,
    command: str | None = None,
    source: str | None = None,
) -> None:
    """Writes one HTML page about a run: scores, diagnosis, losses, errors, calibration, columns and data.

    The page needs nothing else: pictures are part of it, and no script is. It is made for screens of any width, light
    or dark, and for paper.

    Args:
        model: what was trained.
        history: what fit returned, the NonFiniteError that it raised, or None for `model.history`.
        data: what it was trained on: for a TabularModel a table with the target, else (X, y).
        path: of the page; a file that is there is replaced.
        held_out: rows that were not trained on, in the same form. Scores, errors, calibration and the importance of
            columns are those on them; without them, those on the training rows, and the page says so.
        command: that repeats the run in a shell, to be shown.
        source: the file that the data were read from, to be shown; known where `data` is its path.

    Raises:
        TypeError: data or a model of a wrong kind.
        ValueError: data that do not fit the model, or a model that was never fitted.
        ImportError: matplotlib is not installed.
        OSError: the page cannot be written.
    """
    file = as_path(path, "report")
    plots.require()
    if not isinstance(model, (Module, TabularModel)):
        raise TypeError(f"[report] expected an nn.Module or a TabularModel, got {type(model).__name__}")
    if source is None and isinstance(data, (str, os.PathLike)):
        source = os.fsdecode(data)
    given, aside = _read(model, data), None if held_out is None else _read(model, held_out)
    body = _body(model, history, given, aside, source, command)
    with open(file, "w", encoding="utf-8") as stream:
        stream.write(page.document(_title(model), body))


def _read(model: Module | TabularModel, data: Any) -> Any:
    """A Dataset with the columns of the model, or (X, y)."""
    if isinstance(model, TabularModel):
        preprocessor, encoder, _ = model._fitted()
        table = as_dataset(data) if not isinstance(data, Dataset) else data
        return model._read(table, preprocessor, encoder, with_target=True)
    if not isinstance(data, (tuple, list)) or len(data) != 2:
        raise TypeError(f"[report] expected data to be (X, y), as the model is a {type(model).__name__}")
    return tuple(data)


def _title(model: Module | TabularModel) -> str:
    return f"{model.target}: {model.task}" if isinstance(model, TabularModel) else f"{type(model).__name__}"


def _body(
    model: Module | TabularModel,
    run: History | NonFiniteError | None,
    data: Any,
    aside: Any,
    source: str | None,
    command: str | None,
) -> list[str]:
    from whet import _core

    is_table = isinstance(model, TabularModel)
    X, y = (data, None) if is_table else data
    found = diagnose(run, model, X, y, validation_data=aside)
    history = run if isinstance(run, History) else model.history
    assert history is not None  # as diagnose needs one
    failed = isinstance(run, NonFiniteError)
    rows, on = (data, "training rows") if aside is None else (aside, "held-out rows")
    seen = None if failed else measured.measure(model, rows)
    network = model.network if isinstance(model, TabularModel) else model
    day = datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M")
    parts = [
        f"<h1>{page.text(_title(model))}</h1>",
        page.note(f"{'' if source is None else f'{source}, '}{day}, whet {_core.__version__}"),
    ]
    if failed:
        parts.append(f'<div class="finding"><h3>The training failed</h3><p>{page.text(run)}</p></div>')
    if aside is None and seen is not None:
        parts.append(page.note("No rows were held out: all scores are those on the training rows, and flatter."))
    parts += [sections.headline(history, seen, on), sections.diagnosis(found), sections.training(history)]
    if seen is not None:
        parts += [sections.errors(seen, on), sections.calibration(seen), sections.columns(model, rows, on)]
    parts += [
        sections.data(data if is_table else None),
        sections.network(network),
        sections.repeat(model, history, source, command),
    ]
    return [part for part in parts if part]
