"""The table that ``model.summary()`` returns."""

from __future__ import annotations

import math

from whet import _core

__all__ = ["summarize"]


def summarize(graph: _core.Graph, dtype: str, name: str) -> str:
    """Operations in the order they run, with output shapes, parameters and fused activations."""
    nodes = dict(enumerate(graph.nodes, start=1))  # by the value that they make
    shapes = dict(enumerate(graph.parameter_shapes))
    rows = [("operation", "output", "parameters")]
    counted: set[int] = set()
    total = 0
    for op, fused, output in graph.plan(dtype):
        made = nodes[output]
        node = nodes[made["inputs"][0]] if fused else made
        fresh = [p for p in node["parameters"] if p not in counted]
        counted.update(fresh)
        count = sum(math.prod(shapes[p]) for p in fresh)
        total += count
        shape = ", ".join(map(str, graph.shape(output)))
        rows.append((f"{op} + {fused}" if fused else op, f"(rows, {shape})", f"{count:,}"))
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    lines = ["  ".join((a.ljust(widths[0]), b.ljust(widths[1]), c.rjust(widths[2]))).rstrip() for a, b, c in rows]
    rule = "-" * (sum(widths) + 4)
    return "\n".join([f"{name}, {dtype}", rule, lines[0], rule, *lines[1:], rule, f"{total:,} parameters"])
