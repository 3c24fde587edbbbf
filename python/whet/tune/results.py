"""What a search found."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from pandas import DataFrame

__all__ = ["SearchResult", "Trial"]

_SHOWN = 10  # trials of a table in a notebook


@dataclass(frozen=True)
class Trial:
    """One choice of arguments.

    Attributes:
        index: Its place among those drawn, from 0.
        params: The arguments by name.
        score: Mean over the parts of the rows; NaN if it failed.
        scores: Of each part, after the most epochs that all parts were trained for.
        epochs: How many those are.
        seconds: Of training and judging, all parts together.
        error: What stood in its way; None if nothing did.
        curve: {epochs: score} of a trial that was judged several times while it went on.
    """

    index: int
    params: dict[str, Any]
    score: float
    scores: tuple[float, ...]
    epochs: int
    seconds: float
    error: str | None = None
    curve: dict[int, float] = field(default_factory=dict)


class SearchResult:
    """What `search` returns: its trials, best first.

    Attributes:
        trials: Those that were finished, best first; those that failed are the last.
        metric: What they are judged by.
        greater_is_better: Whether more of it is better.
        model: A model with the best arguments, trained on all rows; None where none was asked for.
        stopped_by: "trials" when all were done, or "interrupt".
        seconds: How long the search took, without what the journal had already.
        threads: How many trials ran at once.
    """

    def __init__(
        self,
        trials: Sequence[Trial],
        metric: str,
        greater_is_better: bool,
        stopped_by: str,
        seconds: float,
        threads: int,
    ) -> None:
        self.trials = tuple(trials)
        self.metric, self.greater_is_better = metric, greater_is_better
        self.stopped_by, self.seconds, self.threads = stopped_by, seconds, threads
        self.model: Any = None

    @property
    def best(self) -> Trial:
        """The best trial; of equal ones, the first that was drawn.

        Raises:
            ValueError: If all failed.
        """
        if not self.trials or self.trials[0].error is not None:
            reason = self.trials[0].error if self.trials else "none was finished"
            raise ValueError(f"[search] expected a trial that did not fail: {reason}")
        return self.trials[0]

    @property
    def best_params(self) -> dict[str, Any]:
        """The arguments of the best trial."""
        return dict(self.best.params)

    @property
    def table(self) -> dict[str, list[Any]]:
        """Columns by name, with an element for each trial, best first."""
        columns: dict[str, list[Any]] = {"trial": [each.index for each in self.trials]}
        for name in self.trials[0].params if self.trials else ():
            columns[name] = [each.params[name] for each in self.trials]
        columns[self.metric] = [each.score for each in self.trials]
        columns["deviation"] = [_deviation(each.scores) for each in self.trials]
        for name in ("epochs", "seconds", "error"):
            columns[name] = [getattr(each, name) for each in self.trials]
        return columns

    def to_pandas(self) -> DataFrame:
        """The table as a pandas.DataFrame.

        Raises:
            ImportError: If pandas is not installed.
        """
        try:
            import pandas
        except ImportError:
            raise ImportError("[to_pandas] needs pandas: pip install pandas") from None
        return pandas.DataFrame(self.table)

    def plot(self) -> list[Axes]:
        """Draws with matplotlib: the score of each trial in the order they were drawn with the best so far, and over
        each argument; of a search by halving, also over the epochs.

        Returns:
            The axes of the panels, from left to right and top to bottom.

        Raises:
            ImportError: If matplotlib is not installed.
            ValueError: If no trial succeeded.
        """
        from whet.tune.plots import draw_search

        return draw_search(self)

    def _failed(self) -> int:
        return sum(each.error is not None for each in self.trials)

    def _rows(self) -> list[list[str]]:
        columns = {name: cells for name, cells in self.table.items() if any(cell is not None for cell in cells)}
        if all(math.isnan(cell) for cell in columns.get("deviation", ())):
            columns.pop("deviation", None)
        lines = [list(map(_text, line)) for line in zip(*columns.values(), strict=True)]
        return [list(columns), *lines]

    def __repr__(self) -> str:
        best = ""
        if len(self.trials) > self._failed():
            best = f", best {self.metric}={self.best.score:.6g} with {self.best_params!r}"
        failed = f", {self._failed()} failed" if self._failed() else ""
        return f"SearchResult({len(self.trials)} trials{failed}{best}, stopped_by={self.stopped_by!r})"

    def __str__(self) -> str:
        """The whole table as text."""
        rows = self._rows()
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join("  ".join(c.rjust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in rows)

    def _repr_html_(self) -> str:
        """A table for notebooks: the best trials."""
        head, *lines = self._rows()
        cells = ["".join(f"<th>{html.escape(name)}</th>" for name in head)]
        for i, line in enumerate(lines[:_SHOWN]):
            tag = "td" if i else "th"
            cells.append("".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in line))
        body = "".join(f"<tr>{line}</tr>" for line in cells)
        end = f"{len(self.trials)} trials, {self._failed()} failed, {self.seconds:.1f} s, stopped by {self.stopped_by}"
        return f'<table>{body}<tfoot><tr><td colspan="{len(head)}">{html.escape(end)}</td></tr></tfoot></table>'


def _deviation(scores: Sequence[float]) -> float:
    """Between the parts, around their mean."""
    if len(scores) < 2 or any(map(math.isnan, scores)):
        return math.nan
    mean = math.fsum(scores) / len(scores)
    return math.sqrt(math.fsum((score - mean) ** 2 for score in scores) / (len(scores) - 1))


def _text(cell: object) -> str:
    if cell is None:
        return ""
    return f"{cell:.5g}" if isinstance(cell, float) else str(cell)
