"""Models as files of ONNX."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from typing import Any

from whet import _core
from whet._checks import as_path
from whet._predictor import Predictor, predictor_of
from whet.data.targets import LabelEncoder
from whet.export.onnx.estimators import write_filled, write_meaning
from whet.export.onnx.operations import translate
from whet.export.onnx.tables import OUTPUTS, write_features, write_predictions
from whet.export.onnx.tensors import Tensor, Writer
from whet.nn import Module
from whet.tabular import TabularModel

__all__ = ["to_onnx"]

_WHERE = "to_onnx"


def to_onnx(model: Any, path: str | os.PathLike[str]) -> None:
    """Writes a model for prediction by onnxruntime and others, in opset 20 (and 3 of ai.onnx.ml, for tables).

    The first dimension of inputs and outputs is free. Parameters have the names of ``state_dict``, with "parameter/"
    before one that an input or an output has, too; dropout is left out. The file's metadata have "whet", "dtype" and
    "frozen", the parameters that are not trained.

    A module has an input "X" (rows, features), or one for each input of its forward, by name, and an output "output",
    or "output_0" and so on: what ``predict`` returns, in the model's dtype.

    A `TabularModel` takes a table's columns as they are: an input (rows, 1) for each, by its name; numbers as float64
    with NaN where missing, categories as text, "" where missing ("3" for the number 3, "True" for true). A
    classification has the outputs of scikit-learn's models there, "label" (rows,) and "probabilities" (rows, classes),
    the latter if its loss has some; a regression "variable" (rows, 1), float64, in the target's own unit. The metadata
    have "target" and "classes". Where ``predict`` refuses a cell, as infinite or too large, the file does not.

    An estimator of whet.sklearn has the input "X" (rows, features), in the dtype it computes in, and the same outputs:
    "label" (rows,), or (rows, labels) of several, "probabilities" where it has some, or "variable" (rows, outputs).

    Args:
        model: An nn.Module that knows its number of features, a fitted TabularModel, or a fitted estimator of
            whet.sklearn without columns of categories.
        path: The file.

    Raises:
        ImportError: If the package onnx is not installed.
        TypeError: If `model` is none of these.
        ValueError: If a module may take any number of features and has seen none, or an input the name of an output; if
            an estimator is not fitted, has columns of categories, or predicts what no network does.
        RuntimeError: If a TabularModel is not fitted.
        OSError: If the file cannot be written.
    """
    path = as_path(path, _WHERE)
    if isinstance(model, TabularModel):
        proto = _table(model)
    elif isinstance(model, Module):
        proto = _module(model)
    else:
        proto = _estimator(predictor_of(model, _WHERE), type(model).__name__)
    with open(path, "wb") as file:
        file.write(proto.SerializeToString())


def _module(module: Module) -> Any:
    traced = module._trace(module._width())
    inputs = module._inputs or (("X", traced.width),)
    shapes = traced.outputs.shapes
    names = [f"output_{i}" for i in range(len(shapes))] if traced.outputs.several else ["output"]
    writer = _writer(module, [name for name, _ in inputs], names)
    parts = [writer.input(name, module.dtype, width) for name, width in inputs]
    x = parts[0] if len(parts) == 1 else writer.node("Concat", parts, module.dtype, axis=1)
    made, start = _network(writer, module, x, traced.width), 0
    for name, shape in zip(names, shapes, strict=True):
        stop = start + math.prod(shape)
        part = made.part(1, start, stop).reshape(shape) if traced.outputs.several else made
        writer.output(name, part, shape)
        start = stop
    return writer.model(type(module).__name__, _metadata(module))


def _table(model: TabularModel) -> Any:
    preprocessor, encoder, network = model._fitted()
    writer = _writer(network, list(preprocessor.kinds), OUTPUTS)
    features, width = write_features(writer, preprocessor).cast(network.dtype), len(preprocessor.feature_names)
    output, graph = _network(writer, network, features, width), network._graph(width)
    write_predictions(writer, output, graph.shape(graph.output), network._fitted_loss(_WHERE), encoder)
    classes = {"classes": json.dumps(encoder.classes.tolist())} if isinstance(encoder, LabelEncoder) else {}
    return writer.model("TabularModel", {**_metadata(network), "target": model.target, **classes})


def _estimator(predictor: Predictor, name: str) -> Any:
    network = predictor.network
    writer = _writer(network, ["X"], OUTPUTS)
    x = write_filled(writer, predictor, writer.input("X", network.dtype, predictor.features))
    write_meaning(writer, predictor, _network(writer, network, x, network._width()))
    classes = {} if predictor.classes is None else {"classes": json.dumps(predictor.classes.tolist())}
    return writer.model(name, {**_metadata(network), **classes})


def _writer(module: Module, inputs: Sequence[str], outputs: Sequence[str]) -> Writer:
    clash = [name for name in inputs if name in outputs]
    if clash:
        raise ValueError(f"[{_WHERE}] expected no input with the name of an output, got {clash[0]!r}: rename it")
    return Writer(_WHERE, [*inputs, *outputs], module._parameter_names())


def _network(writer: Writer, module: Module, x: Tensor, width: int) -> Tensor:
    """What a module makes of the features of all its inputs, side by side."""
    traced = module._trace(width)
    return translate(writer, traced.graph, x, module._tensors(module.named_parameters()), traced.layers)


def _metadata(module: Module) -> dict[str, str]:
    return {"whet": _core.__version__, "dtype": module.dtype, "frozen": json.dumps(module._frozen())}
