"""The operations of whet's graph, in those of ONNX."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from whet import _core
from whet._arrays import Floats
from whet.export.onnx.activations import activation, defaults
from whet.export.onnx.tensors import Tensor, Writer, where

__all__ = ["GROUPED", "GROUPED_SHARED", "translate"]

Shape = tuple[int, ...]

#: A product for each group, of a row of its own or of the same one.
GROUPED, GROUPED_SHARED = "ngi,gio->ngo", "ni,gio->ngo"


@dataclass(frozen=True)
class _Node:
    """A node of whet's graph.

    Attributes:
        writer: What collects the nodes of ONNX.
        options: Its numbers.
        inputs: Tensors of shape (rows, ...), or without rows where all are alike.
        shapes: Of a row of each input; () of those without rows.
        parameters: Tensors without rows.
        shape: Of a row of what it makes.
    """

    writer: Writer
    options: Mapping[str, float]
    inputs: Sequence[Tensor]
    shapes: Sequence[Shape]
    parameters: Sequence[Tensor]
    shape: Shape

    @property
    def x(self) -> Tensor:
        """The first input."""
        return self.inputs[0]

    def option(self, name: str, default: float) -> float:
        """A number of the node's."""
        return self.options.get(name, default)

    def axis(self) -> int:
        """Its axis of a row, the last one by default, as one of the tensor."""
        axis = int(self.option("axis", -1))
        return axis + 1 if axis >= 0 else axis + 1 + len(self.shapes[0])

    def ones(self) -> Tensor:
        """A scale for each feature that changes nothing."""
        return self.writer.constant(np.ones(self.shape[-1]), self.x.dtype)

    def zeros(self) -> Tensor:
        """A shift for each feature that changes nothing."""
        return self.writer.constant(np.zeros(self.shape[-1]), self.x.dtype)


def _linear(node: _Node) -> Tensor:
    transposed = bool(node.option("transposed", 0))
    if len(node.shape) == 1:
        others = node.parameters
        return node.writer.node("Gemm", [node.x, *others], node.x.dtype, transB=int(not transposed))
    weight = node.parameters[0] if transposed else node.parameters[0].transpose(1, 0)
    return _plus(node.x.apply("MatMul", weight), node.parameters[1:])


def _grouped_linear(node: _Node) -> Tensor:
    equation = GROUPED if len(node.shapes[0]) == 2 else GROUPED_SHARED
    inputs = [node.x, node.parameters[0]]
    return _plus(node.writer.node("Einsum", inputs, node.x.dtype, equation=equation), node.parameters[1:])


def _plus(x: Tensor, bias: Sequence[Tensor]) -> Tensor:
    return x + bias[0] if bias else x


def _scale_shift(node: _Node) -> Tensor:
    return _plus(node.x * node.parameters[0], node.parameters[1:])


def _embedding(node: _Node) -> Tensor:
    return node.parameters[0].take(node.x.cast("int64"), 0)


def _normalize(node: _Node) -> Tensor:
    groups, centred = int(node.option("groups", 1)), bool(node.option("centred", 1))
    eps = node.option("eps", 1e-5)
    if groups == 1 and centred:
        scale, shift = [*node.parameters, *(node.ones(), node.zeros())[len(node.parameters) :]]
        return node.writer.node("LayerNormalization", [node.x, scale, shift], node.x.dtype, axis=-1, epsilon=eps)
    if eps < 0:
        eps = float(np.finfo(node.x.dtype).eps)
    x = node.x if groups == 1 else node.x.reshape([*node.shape[:-1], groups, node.shape[-1] // groups])
    centre = x - x.mean(-1) if centred else x
    y = centre / ((centre * centre).mean(-1) + eps).apply("Sqrt")
    y = y if groups == 1 else y.reshape(node.shape)
    return _plus(y * node.parameters[0], node.parameters[1:]) if node.parameters else y


def _batch_norm(node: _Node) -> Tensor:
    mean, variance, _, *affine = node.parameters
    scale, shift = [*affine, *(node.ones(), node.zeros())[len(affine) :]]
    inputs = [node.x, scale, shift, mean, variance]
    momentum = node.option("momentum", 0.1)
    numbers: dict[str, Any] = {"epsilon": node.option("eps", 1e-5)}
    if momentum >= 0:  # else all batches count alike, which ONNX does not know
        numbers["momentum"] = 1 - momentum
    return node.writer.node("BatchNormalization", inputs, node.x.dtype, **numbers)


def _combination(op: str) -> Callable[[_Node], Tensor]:
    def translated(node: _Node) -> Tensor:
        a, b = _aligned(node)
        if node.option("swapped", 0):
            a, b = b, a
        if op in ("Greater", "GreaterOrEqual", "Equal"):
            return a.apply(op, b, dtype="bool").cast(a.dtype)
        return a.apply(op, b)

    return translated


def _aligned(node: _Node) -> list[Tensor]:
    """Both operands with the rank of the result, where one has rows and fewer axes."""
    rank = len(node.shape)
    inputs = [
        x.reshape([*[1] * (rank - len(shape)), *shape]) if 0 < len(shape) < rank else x
        for x, shape in zip(node.inputs, node.shapes, strict=True)
    ]
    return [*inputs, *node.parameters]


def _where(node: _Node) -> Tensor:
    """Of values in the shape of the condition, or of one element."""
    rank = len(node.shape)
    a, b = (
        x.reshape([1] * rank) if shape and len(shape) != rank else x
        for x, shape in zip(node.inputs[1:], node.shapes[1:], strict=True)
    )
    return where(node.x.cast("bool"), a, b)


def _slice(node: _Node) -> Tensor:
    return node.x.part(node.axis(), int(node.options["start"]), int(node.options["stop"]))


def _concatenate(node: _Node) -> Tensor:
    return node.writer.node("Concat", node.inputs, node.x.dtype, axis=node.axis())


def _reduce(op: str) -> Callable[[_Node], Tensor]:
    def translated(node: _Node) -> Tensor:
        rank = len(node.shapes[0])
        of_all = rank == 1 or node.option("axis", 99) == 99
        axes = list(range(1, rank + 1)) if of_all else [node.axis()]
        keeps = len(node.shape) == rank
        y = node.x.reduce(op, axes, keeps)
        return y if keeps or not of_all else y.reshape(node.shape)

    return translated


def _same(node: _Node) -> Tensor:
    """What dropout is in prediction."""
    return node.x


_OPERATIONS: dict[str, Callable[[_Node], Tensor]] = {
    "linear": _linear,
    "grouped_linear": _grouped_linear,
    "scale_shift": _scale_shift,
    "embedding": _embedding,
    "normalize": _normalize,
    "batch_norm": _batch_norm,
    "dropout": _same,
    "alpha_dropout": _same,
    "concatenate": _concatenate,
    "slice": _slice,
    "reshape": lambda node: node.x.reshape(node.shape),
    "sum": _reduce("ReduceSum"),
    "mean": _reduce("ReduceMean"),
    "logsumexp": lambda node: node.x.reduce("ReduceLogSumExp", [-1]),
    "where": _where,
    "add": _combination("Add"),
    "sub": _combination("Sub"),
    "mul": _combination("Mul"),
    "div": _combination("Div"),
    "maximum": _combination("Max"),
    "minimum": _combination("Min"),
    "greater": _combination("Greater"),
    "greater_equal": _combination("GreaterOrEqual"),
    "equal": _combination("Equal"),
}


def translate(
    writer: Writer, graph: _core.Graph, x: Tensor, parameters: Mapping[str, Floats], layers: Sequence[str]
) -> Tensor:
    """Writes whet's graph of an input.

    Args:
        writer: What collects the nodes.
        graph: The graph.
        x: Its input.
        parameters: In the order of the graph's.
        layers: The name of each node's layer.
    """
    options, known = defaults(), list(parameters.items())
    tensors: dict[int, Tensor] = {0: x}
    shapes: dict[int, Shape] = {0: tuple(graph.shape(0))}
    for made, layer in zip(graph.nodes, layers, strict=True):
        writer.place = layer.replace(".", "/")
        node = _Node(
            writer,
            options.get(made["op"], {}) | made["options"],
            [tensors[i] for i in made["inputs"]],
            [shapes[i] for i in made["inputs"]],
            [writer.parameter(*known[i]) for i in made["parameters"]],
            tuple(graph.shape(made["output"])),
        )
        tensors[made["output"]] = _made(made["op"], node, x.dtype)
        has_rows = any(node.shapes)  # all but numbers, and what is made of numbers and parameters
        shapes[made["output"]] = node.shape if has_rows else ()
    writer.place = ""
    return tensors[graph.output]


def _made(op: str, node: _Node, dtype: str) -> Tensor:
    if op == "constant":
        return node.writer.constant(node.option("value", 0), dtype)
    return _OPERATIONS[op](node) if op in _OPERATIONS else activation(op, node.x, node.options)
