"""A trained network as C functions: its raw outputs, and what its loss reads them as."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from whet.export.c_source.graph import Network, Translation
from whet.export.c_source.literals import real
from whet.losses import Loss, MemberLoss
from whet.nn import Module

__all__ = ["definition", "probabilities", "size", "translated", "value"]


def translated(model: Module, width: int) -> Translation:
    """The C of a model's graph, for rows of so many features.

    Raises:
        ValueError: If an operation cannot be written.
    """
    graph, state = model._graph(width), model._state()
    parameters = [(name, state.parameter(i)) for i, name in enumerate(model._parameter_names())]
    return Translation(Network(graph, parameters, model._layers_of_nodes(width), model.dtype))


def definition(translation: Translation, head: str) -> str:
    """The constants of a network, and the function that computes it for a row `x`, which begins with `head`."""
    ctype = real(translation.network.dtype)
    declared = [f"{ctype} {name}[{count}];" for name, count in translation.scratch.items()]
    body = "\n".join(declared + translation.statements).replace("\n", "\n  ")
    return "\n".join([*translation.constants.values(), f"{head} {{\n  {body}\n}}\n"])


def size(translation: Translation) -> str:
    """What a network takes of memory, in words."""
    element = np.dtype(translation.network.dtype).itemsize
    count = sum(values.size for _, values in translation.network.parameters)
    scratch = element * sum(translation.scratch.values())
    return f"{count:,} parameters in {element * count:,} bytes of constants; {scratch:,} bytes of scratch on the stack."


def probabilities(loss: Loss, shape: Sequence[int], dtype: str) -> tuple[int, list[str]]:
    """How many probabilities a loss makes of outputs `y` of that shape, and the statements that write them to `out`."""
    members, outputs = shape if isinstance(loss, MemberLoss) else (1, math.prod(shape))
    to = "out" if members == 1 else "p"
    link = f"softmax({to}, y, {members}, {outputs});"
    if loss.link == "sigmoid":
        link = f"for (size_t i = 0; i < {members * outputs}; ++i) {to}[i] = sigmoid_of(y[i]);"
    if members == 1:
        return outputs, [link]
    mean = f"for (size_t i = 0; i < {outputs}; ++i) out[i] = mean_of(p + i, {outputs}, {members});"
    return outputs, [f"{real(dtype)} p[{members * outputs}];", link, mean]


def value(loss: Loss, shape: Sequence[int], dtype: str) -> str:
    """The number that a loss reads in outputs `y` of that shape, as an expression."""
    if isinstance(loss, MemberLoss):
        return f"mean_of(y, {math.prod(shape[1:])}, {shape[0]})"
    if loss.link == "exp":
        return "exp_of(y[0])"
    # Of several quantiles, one: a loss without a link takes a column as it is, so it says here which.
    columns = np.arange(math.prod(shape), dtype=dtype).reshape(1, -1)
    return f"y[{int(loss.values(columns)[0, 0])}]"
