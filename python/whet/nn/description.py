"""Modules as data for model files: whet's own as a tree of their arguments, all others as their traced graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from whet import _core
from whet._arrays import Floats
from whet.losses import FunctionLoss
from whet.nn import activations, containers, embeddings, ensembles, gates, init, layers, normalization
from whet.nn.module import Module
from whet.nn.parameter import Buffer, Parameter
from whet.nn.tracing import Value, concatenate, split
from whet.schedules import Schedule
from whet.training.model import describe_training, restore_training

__all__ = ["GraphModule", "describe", "restore"]

_CLASSES: dict[str, type[Module]] = {
    name: getattr(room, name)
    for room in (activations, containers, embeddings, ensembles, gates, layers, normalization)
    for name in room.__all__
    if isinstance(getattr(room, name), type)
}


class GraphModule(Module):
    """A module of a class that is not at hand, as the graph that was traced of it.

    Args:
        nodes: The operations in order, each with op, options, inputs (values) and parameters (indices).
        output: The value to return; value 0 is the input, value i + 1 is made by node i.
        parameters: Name and shape of each parameter, and whether it is trained.
        width: The number of input features.
        outputs: The shapes of the values to return as a tuple, if they are several, side by side in `output`.
    """

    def __init__(
        self,
        nodes: list[dict[str, Any]],
        output: int,
        parameters: list[tuple[Any, ...]],
        width: int,
        outputs: list[list[int]] | None = None,
    ) -> None:
        self.nodes = nodes
        self.outputs = outputs
        self.output = output
        self.width = width
        self._own = {name: Parameter(tuple(shape), init.Zeros(), *trained) for name, shape, *trained in parameters}

    def children(self) -> Any:
        """The parameters, under the names they had."""
        yield from self._own.items()

    def forward(self, *inputs: Value) -> Value | tuple[Value, ...]:
        """Replays the graph."""
        x = inputs[0] if len(inputs) == 1 else concatenate(inputs)
        output = _replay(x, self.nodes, list(self._own.values()))[self.output]
        return output if self.outputs is None else split(output, [tuple(shape) for shape in self.outputs])

    def _arguments(self) -> dict[str, Any]:
        return {"operations": len(self.nodes), "width": self.width}


def _replay(x: Value, nodes: list[dict[str, Any]], own: Sequence[Parameter]) -> dict[int, Value]:
    """The values of a graph whose input is `x`, by number."""
    # In dictionaries, so that a damaged file cannot count from the end.
    values, parameters = {0: x}, dict(enumerate(own))
    for made, node in enumerate(nodes, start=1):
        operands, used = [values[i] for i in node["inputs"]], [parameters[i] for i in node["parameters"]]
        values[made] = x._trace.apply(node["op"], operands, used, node["options"])
    return values


class _LossGraph:
    """The function of a FunctionLoss, as the graph that was traced of it."""

    def __init__(self, nodes: list[dict[str, Any]], output: int) -> None:
        self.nodes, self.output = nodes, output

    def __call__(self, prediction: Value | tuple[Value, ...], target: Value) -> Value:
        parts = prediction if isinstance(prediction, tuple) else (prediction,)
        both = concatenate([*(part.flatten() for part in parts), target])
        return _replay(both, self.nodes, [])[self.output]


def describe(module: Module) -> tuple[dict[str, Floats], dict[str, Any]]:
    """Tensors and JSON-able description of a module."""
    description: dict[str, Any] = {"kind": "module", "dtype": module.dtype, "training": describe_training(module)}
    frozen = [name for name, p in module.named_parameters() if not (p.requires_grad or isinstance(p, Buffer))]
    if frozen:
        description["frozen"] = frozen
    if module._inputs:
        description["inputs"] = module._inputs
    if type(module._loss) is FunctionLoss:
        loss = module._loss_graph(module._loss, module._width(), module._targets)
        description["loss_graph"] = {"nodes": _nodes(loss), "output": loss.output}
    shared = sum(1 for _, m in module.named_modules() for _, c in m.children() if isinstance(c, Parameter))
    if shared == len(list(module.named_parameters())) and all(
        _CLASSES.get(type(m).__name__) is type(m) for _, m in module.named_modules()
    ):
        description["module"] = _tree(module)
    else:
        description["graph"] = _graph(module)
    return module._tensors(module.named_parameters()), description


def _tree(module: Module) -> dict[str, Any]:
    tree: dict[str, Any] = {"class": type(module).__name__}
    if isinstance(module, containers.Sequential) and not module._arguments():
        tree["layers"] = [_tree(layer) for layer in module]
    else:
        arguments = {
            name: value.first if isinstance(value, Schedule) else value for name, value in module._arguments().items()
        }
        tree["arguments"] = {
            name: value for name, value in arguments.items() if not isinstance(value, init.Initializer)
        }
        drawn = {name: init.describe(value) for name, value in arguments.items() if isinstance(value, init.Initializer)}
        if drawn:
            tree["initializers"] = drawn
    return tree


def _graph(module: Module) -> dict[str, Any]:
    width = module._width()
    traced = module._trace(width)
    graph = {"nodes": _nodes(traced.graph), "output": traced.graph.output, "width": width}
    several = {"outputs": list(map(list, traced.outputs.shapes))} if traced.outputs.several else {}
    return {**graph, "parameters": _shapes(module), **several}


def _nodes(graph: _core.Graph) -> list[dict[str, Any]]:
    """The nodes as data; a number that a schedule changes stays what it is at first."""
    nodes = []
    for node in graph.nodes:
        options = {name: value for name, value in node["options"].items() if name != "number"}
        nodes.append({"op": node["op"], "options": options, "inputs": node["inputs"], "parameters": node["parameters"]})
    return nodes


def _shapes(module: Module) -> list[tuple[str, list[int], bool]]:
    return [(name, list(p.shape), p.requires_grad) for name, p in module.named_parameters()]


def restore(tensors: Mapping[str, Floats], description: Mapping[str, Any]) -> Module:
    """The module that `describe` wrote down.

    Raises:
        KeyError, TypeError, ValueError: If the description is of no module.
    """
    module = _build(description["module"]) if "module" in description else GraphModule(**description["graph"])
    module.to(description["dtype"])
    module._inputs = tuple((str(name), int(width)) for name, width in description.get("inputs", ()))
    if isinstance(module, GraphModule):
        module._graph(module.width)
    module.load_state_dict(tensors)
    for name, parameter in module.named_parameters():
        if name in description.get("frozen", ()):
            parameter.requires_grad = False
    restore_training(module, description["training"])
    if "loss_graph" in description:
        module._loss = FunctionLoss(_LossGraph(**description["loss_graph"]))
    return module


def _build(tree: Mapping[str, Any]) -> Module:
    name = tree["class"]
    if name not in _CLASSES:
        raise ValueError(f"[load] expected a layer of {', '.join(_CLASSES)}, got '{name}'")
    if "layers" in tree:
        return _CLASSES[name](*map(_build, tree["layers"]))
    drawn = {key: init.from_description(value) for key, value in tree.get("initializers", {}).items()}
    return _CLASSES[name](**tree["arguments"], **drawn)
