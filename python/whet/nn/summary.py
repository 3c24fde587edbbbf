"""The table that ``model.summary()`` returns."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence, Set

from whet import _core

__all__ = ["Summary", "summarize"]

_HEAD = ("layer", "forward", "backward", "output", "parameters", "FLOPs")
_LEFT = 4  # columns of text; the others are numbers


class Summary(str):
    """Text that a notebook shows as a table."""

    name: str
    rows: Sequence[tuple[str, ...]]
    notes: Sequence[str]

    @classmethod
    def of(cls, name: str, rows: Sequence[tuple[str, ...]], notes: Sequence[str]) -> Summary:
        """The text of a table, with a line below it for each note."""
        table = [_HEAD, *rows]
        widths = [max(len(row[i]) for row in table) for i in range(len(_HEAD))]
        lines = [
            "  ".join([*map(str.ljust, row[:_LEFT], widths), *map(str.rjust, row[_LEFT:], widths[_LEFT:])])
            for row in table
        ]
        rule = "-" * (sum(widths) + 2 * (len(_HEAD) - 1))
        summary = cls("\n".join([name, rule, lines[0], rule, *lines[1:], rule, *notes]))
        summary.name, summary.rows, summary.notes = name, rows, notes
        return summary

    def _repr_html_(self) -> str:
        def row(cells: Sequence[str], tag: str) -> str:
            return f"<tr>{''.join(f'<{tag}>{html.escape(cell)}</{tag}>' for cell in cells)}</tr>"

        body = "".join(row(cells, "td") for cells in self.rows)
        notes = "<br>".join(map(html.escape, self.notes))
        head = f"<caption>{html.escape(self.name)}</caption><thead>{row(_HEAD, 'th')}</thead>"
        return f"<table>{head}<tbody>{body}</tbody></table>{notes}"


def summarize(graph: _core.Graph, layers: Sequence[str], buffers: Set[int], dtype: str, name: str) -> Summary:
    """What a training step runs, a line for each call of the core.

    Each line has the layer, what is fused forward and backward, the output's shape, parameters, and the additions and
    multiplications of one row's prediction. Buffers are no parameters.
    """
    sizes = [math.prod(shape) for shape in graph.parameter_shapes]
    rows = []
    counted: set[int] = set()
    flops = 0
    for step in graph.plan(dtype):
        own = step["parameters"]
        biased = step["op"] in ("linear", "grouped_linear") and len(own) > 1
        forward = " + ".join(filter(None, [step["op"], *["bias"] * biased, step["activation"]]))
        gradients = ["parameters"] * bool(own) + ["input"] * step["input_gradient"]
        backward = ", ".join(gradients) + (f" * {step['derivative']}'" if step["derivative"] else "")
        fresh = set(own) - counted
        counted |= fresh
        shape = graph.shape(step["output"])
        elements = math.prod(shape)
        # A weight acts once for each line of the output's last axis; all else, about once for each element.
        lines = elements // shape[-1] if step["op"] == "linear" else 1
        products = 2 * sizes[own[0]] * lines if step["op"] in ("linear", "grouped_linear") else elements
        flops += products
        trained = fresh - buffers
        cells = (layers[step["node"]], forward, backward, f"(rows, {', '.join(map(str, shape))})")
        rows.append((*cells, f"{sum(sizes[p] for p in trained):,}", f"{products:,}"))
    notes = [
        "then the loss with its gradient in one pass, and one sweep of the optimizer over all parameters",
        f"{flops:,} FLOPs for a row's prediction",
        f"{sum(sizes[p] for p in counted - buffers):,} parameters",
    ]
    return Summary.of(f"{name}, {dtype}", rows, notes)
