"""A module as a C file: rows of numbers in, raw outputs and probabilities out."""

from __future__ import annotations

import math

from whet import _core
from whet.export.c_source import network
from whet.export.c_source.file import File
from whet.export.c_source.literals import real
from whet.nn import Module

__all__ = ["module_file"]


def module_file(model: Module, name: str) -> File:
    """The file of a module, whose functions begin with `name`.

    Raises:
        ValueError: If nobody knows how many features it takes, or an operation cannot be written.
    """
    inputs = model._width()
    translation = network.translated(model, inputs)
    graph, dtype = translation.network.graph, model.dtype
    shape = tuple(graph.shape(graph.output))
    outputs, ctype = math.prod(shape), real(dtype)
    row = f"void {name}_predict(const {ctype} *restrict x, {ctype} *restrict out)"
    rows = f"void {name}_predict_rows(const {ctype} *restrict x, {ctype} *restrict out, size_t rows)"
    each = f"for (size_t r = 0; r < rows; ++r) {name}_predict(x + r * {inputs}, out + r * {outputs});"
    declared = [f"/* The raw outputs of a row, and of rows that follow each other. */\n{row};", f"{rows};"]
    body = [network.definition(translation, row), f"{rows} {{\n  {each}\n}}\n"]
    if model._loss is not None and model._loss.link in ("softmax", "sigmoid"):
        count, statements = network.probabilities(model._loss, shape, dtype)
        head = f"void {name}_predict_proba(const {ctype} *restrict x, {ctype} *restrict out)"
        lines = "\n  ".join([f"{ctype} y[{outputs}];", f"{name}_predict(x, y);", *statements])
        declared.append(f"/* The {count} probabilities of a row. */\n{head};")
        body.append(f"{head} {{\n  {lines}\n}}\n")
    about = [
        f"{type(model).__name__} of whet {_core.__version__}, written by whet.export.to_c.",
        f"x has {inputs} numbers{_inputs(model)}. out has {outputs}{_outputs(model, inputs)}. "
        + network.size(translation),
    ]
    return File(about, "\n".join(declared) + "\n", body, dtype)


def _inputs(model: Module) -> str:
    """The inputs of a model with several, in words."""
    named = ", ".join(f"{width} of {name}" for name, width in model._inputs)
    return f": {named}" if named else ""


def _outputs(model: Module, width: int) -> str:
    """The shapes of outputs that are no single row, in words."""
    outputs = model._trace(width).outputs
    if not outputs.several and len(outputs.shapes[0]) == 1:
        return ""
    return ", of shape " + " and ".join(f"({', '.join(map(str, shape))})" for shape in outputs.shapes)
