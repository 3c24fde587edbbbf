"""Models from files of ONNX."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from whet._checks import as_path
from whet.export.onnx.erf import Erf
from whet.export.onnx.files import Graph, Input, Node, read_graph
from whet.export.onnx.folding import folded, shape_of
from whet.export.onnx.known import KNOWN, batches_name
from whet.export.onnx.values import Data, Operand, Step, row_form, row_name
from whet.nn import Module, Parameter, Value, init
from whet.nn.description import describe, restore

__all__ = ["from_onnx"]

_WHERE = "from_onnx"


def from_onnx(path: str | os.PathLike[str]) -> Module:
    """A module that computes what a file of ONNX does, to be trained further, saved and exported.

    It is made of the operations that whet has: those that `to_onnx` writes for a module, and those of networks without
    convolutions, recurrence and attention as PyTorch and others write them. Inputs of more than one axis behind the
    rows are taken flat, and an output of shape (rows,) has the shape (rows, 1).

    Floats among the initializers become parameters under their names, all to be trained but the running statistics of
    batch norms, and those that ``metadata["frozen"]`` of a file of whet's names. Dropout, if it is in the file, drops
    again while the model is trained.

    Args:
        path: The file. Numbers may lie in a file of their own beside it, as torch.onnx.export puts them.

    Returns:
        A module that knows no class of the model's, but its graph, as `whet.load` makes of a class that is not at hand.

    Raises:
        ImportError: If the package onnx is not installed.
        OSError: If a file cannot be read.
        ValueError: If it is damaged, has an operation that whet has not, or mixes rows; names the operation and the
            node.
    """
    path = as_path(path, _WHERE)
    try:
        return _module(read_graph(path))
    except (ImportError, OSError):
        raise
    except Exception as error:  # a damaged file may raise anything: protobuf and onnx have errors of their own
        raise ValueError(f"[{_WHERE}] expected a model of operations that whet has, got {path!r}: {error}") from error


def _module(graph: Graph) -> Module:
    network = _Network(graph)
    network._graph(graph.width)
    tensors, description = describe(network)
    description["graph"] = _needed(description["graph"])
    names = [name for name, *_ in description["graph"]["parameters"]]
    return restore({name: tensors[name] for name in names}, description)


class _Network(Module):
    """A module whose forward goes through a graph of ONNX."""

    def __init__(self, graph: Graph) -> None:
        self._onnx_graph = graph
        self._own = dict(_parameters(graph))
        self.to(graph.dtype)
        if len(graph.inputs) > 1:
            self._inputs = tuple((each.name, each.width) for each in graph.inputs)

    def children(self) -> Iterator[tuple[str, Parameter]]:
        """The parameters, under the names of the file."""
        yield from self._own.items()

    def forward(self, *inputs: Value) -> Value | tuple[Value, ...]:
        """The nodes of the graph, one after the other."""
        found: dict[str, Operand | Erf] = {**self._onnx_graph.fixed, "": None}
        for each, value in zip(self._onnx_graph.inputs, inputs, strict=True):
            found[each.name] = _shaped(each, value)
        for node in self._onnx_graph.nodes:
            if node.outputs[0] not in found:
                with node.named():
                    operands = [_known(found, "input", name) for name in node.inputs]
                found.update(zip(node.outputs, self._made(node, operands), strict=False))
        outputs = tuple(_output(name, _known(found, "output", name)) for name in self._onnx_graph.outputs)
        return outputs if len(outputs) > 1 else outputs[0]

    def _made(self, node: Node, operands: list[Any]) -> list[Operand | Erf]:
        """What a node makes of its operands."""
        if node.op == "Shape" and isinstance(operands[0], Data):
            return [shape_of(operands[0], node.attributes, node.outputs[0])]
        with node.named():
            constant = folded(node.op, operands, node.attributes, node.outputs[0])
            if constant is not None:
                return [constant]
            if node.op not in KNOWN:
                raise ValueError("whet has no such operation")
            if not any(isinstance(each, (Data, Erf)) for each in operands):
                raise ValueError("whet does not compute it of numbers that are the same for all rows")
            rows = self._onnx_graph.rows
            made = KNOWN[node.op](Step(node.op, operands, node.attributes, self._own, len(node.outputs), rows))
        return [*made] if isinstance(made, list) else [made]


def _needed(graph: dict[str, Any]) -> dict[str, Any]:
    """A description of a graph without nodes and parameters that have no part in its output."""
    wanted, nodes = {graph["output"]}, graph["nodes"]
    for made in range(len(nodes), 0, -1):
        if made in wanted:
            wanted.update(nodes[made - 1]["inputs"])
    kept = sorted(wanted - {0})
    places = {old: new for new, old in enumerate([0, *kept])}
    used = sorted({i for made in kept for i in nodes[made - 1]["parameters"]})
    return {
        **graph,
        "output": places[graph["output"]],
        "parameters": [graph["parameters"][i] for i in used],
        "nodes": [
            {
                **nodes[made - 1],
                "inputs": [places[i] for i in nodes[made - 1]["inputs"]],
                "parameters": [used.index(i) for i in nodes[made - 1]["parameters"]],
            }
            for made in kept
        ],
    }


def _parameters(graph: Graph) -> Iterator[tuple[str, Parameter]]:
    """Each array of floats, as it is and in the form for rows: tracing shows which is needed."""
    for fixed in graph.fixed.values():
        array = fixed.array
        if array.dtype.kind == "f" and array.ndim and array.size:
            yield fixed.name, Parameter(array.shape, init.Values(array), fixed.given)
            row = row_form(array)
            if row.shape != array.shape:
                yield row_name(fixed), Parameter(row.shape, init.Values(row), fixed.given)
    for name in graph.running_means:
        yield batches_name(name), Parameter((), init.Zeros(), False)


def _shaped(given: Input, value: Value) -> Data:
    """An input, which comes flat, in its shape."""
    if len(given.shape) > 1:
        value = value.reshape(*given.shape)
    return Data(value, bare=not given.shape)


def _known(found: Mapping[str, Operand | Erf], what: str, name: str) -> Operand | Erf:
    if name not in found:
        raise ValueError(f"expected the {what} {name!r} to be made by a node before")
    return found[name]


def _output(name: str, found: Operand | Erf) -> Value:
    if not isinstance(found, Data):
        raise ValueError(f"expected the output {name!r} to depend on the rows")
    return found.value if found.value._index else found.value.apply("identity")  # a trace has a node at least
