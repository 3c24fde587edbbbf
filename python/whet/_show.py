"""What results show of themselves: tables for notebooks and pandas, pictures with matplotlib."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from pandas import DataFrame

__all__ = ["as_axes", "as_frame", "bars", "html_table", "number"]

_SHOWN = 20  # rows of a table, bars of a picture


def number(value: float) -> str:
    """As a person reads it."""
    return f"{value:.4g}"


def html_table(head: Sequence[str], rows: Sequence[Sequence[Any]], foot: str) -> str:
    """A table for notebooks: the first rows, and a line below them."""
    titles = "".join(f"<th>{html.escape(name)}</th>" for name in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows[:_SHOWN]
    )
    more = f"{len(rows) - _SHOWN} more; " if len(rows) > _SHOWN else ""
    return (
        f"<table><thead><tr>{titles}</tr></thead><tbody>{body}</tbody>"
        f'<tfoot><tr><td colspan="{len(head)}">{html.escape(more + foot)}</td></tr></tfoot></table>'
    )


def as_frame(columns: Mapping[str, Any], index: Iterable[Any] | None = None) -> DataFrame:
    """A pandas.DataFrame.

    Raises:
        ImportError: If pandas is not installed.
    """
    try:
        import pandas
    except ImportError:
        raise ImportError("[to_pandas] needs pandas: pip install pandas") from None
    return pandas.DataFrame(dict(columns), index=None if index is None else list(index))


def as_axes(ax: Axes | None, size: tuple[float, float] = (5.0, 3.6)) -> Axes:
    """The axes given, or those of a new figure.

    Raises:
        ImportError: If matplotlib is not installed.
    """
    try:
        from matplotlib import pyplot
    except ImportError:
        raise ImportError("[plot] needs matplotlib: pip install matplotlib") from None
    return ax if ax is not None else pyplot.subplots(figsize=size, layout="constrained")[1]


def bars(ax: Axes | None, lengths: Mapping[str, float], errors: Sequence[float] | None, title: str) -> Axes:
    """Horizontal bars, the longest at the top, the first ones of many."""
    names = list(lengths)
    longest = sorted(range(len(names)), key=lambda i: -lengths[names[i]])[:_SHOWN][::-1]
    place = as_axes(ax, (5.0, 1.2 + 0.28 * len(longest)))
    spread = None if errors is None else [errors[i] for i in longest]
    place.barh([names[i] for i in longest], [lengths[names[i]] for i in longest], xerr=spread, color="C0", ecolor="0.4")
    place.axvline(0, color="0.4", linewidth=0.8)
    place.set_xlabel(title)
    return place
