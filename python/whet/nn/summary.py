"""The table that ``model.summary()`` returns."""

from __future__ import annotations

import math

from whet import _core

__all__ = ["summarize"]

_HEAD = ("forward", "backward", "output", "parameters")


def summarize(graph: _core.Graph, dtype: str, name: str) -> str:
    """What a training step runs, a line for each call of the core: what it fuses, output shapes and parameters."""
    sizes = [math.prod(shape) for shape in graph.parameter_shapes]
    rows = [_HEAD]
    counted: set[int] = set()
    for step in graph.plan(dtype):
        forward = " + ".join(filter(None, [step["op"], *["bias"] * (len(step["parameters"]) > 1), step["activation"]]))
        gradients = ["parameters"] * bool(step["parameters"]) + ["input"] * step["input_gradient"]
        backward = ", ".join(gradients) + (f" * {step['derivative']}'" if step["derivative"] else "")
        fresh = set(step["parameters"]) - counted
        counted |= fresh
        shape = ", ".join(map(str, graph.shape(step["output"])))
        rows.append((forward, backward, f"(rows, {shape})", f"{sum(sizes[p] for p in fresh):,}"))
    widths = [max(len(row[i]) for row in rows) for i in range(len(_HEAD))]
    lines = ["  ".join([*map(str.ljust, row[:3], widths), row[3].rjust(widths[3])]) for row in rows]
    rule = "-" * (sum(widths) + 2 * (len(_HEAD) - 1))
    after = [
        "then the loss with its gradient in one pass, and one sweep of the optimizer over all parameters",
        f"{sum(sizes[p] for p in counted):,} parameters",
    ]
    return "\n".join([f"{name}, {dtype}", rule, lines[0], rule, *lines[1:], rule, *after])
