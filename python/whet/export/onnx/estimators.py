"""What an estimator of whet.sklearn does before and after its network, in tensors."""

from __future__ import annotations

import numpy as np

from whet._predictor import Predictor
from whet.export.onnx.tensors import Tensor, Writer, where

__all__ = ["write_filled", "write_meaning"]


def write_filled(writer: Writer, predictor: Predictor, x: Tensor) -> Tensor:
    """The features without gaps, and those whose gaps are told."""
    if predictor.fills is None:
        return x
    missing = x.apply("IsNaN", dtype="bool")
    filled = where(missing, writer.constant(predictor.fills, x.dtype), x)
    if not predictor.told:
        return filled
    return writer.node("Concat", [filled, missing.take(predictor.told, 1).cast(x.dtype)], x.dtype, axis=1)


def write_meaning(writer: Writer, predictor: Predictor, output: Tensor) -> None:
    """The outputs of an estimator, from those of its network."""
    classes = predictor.classes
    if classes is None:
        variable = output.apply("Exp") if predictor.link == "exp" else output
        writer.output("variable", variable, [_outputs(predictor)])
        return
    probabilities = _probabilities(predictor, output)
    if predictor.multilabel:
        writer.output("label", (output > 0.0).cast("int64"), [len(classes)])
    else:
        names = writer.constant(classes, "str" if classes.dtype.kind in "UO" else classes.dtype.name)
        writer.output("label", names.take(_index(predictor, output), 0), [])
    if probabilities is not None:
        writer.output("probabilities", probabilities, [len(classes)])


def _index(predictor: Predictor, output: Tensor) -> Tensor:
    """The class of each row, by number."""
    if _outputs(predictor) > 1:
        return output.apply("ArgMax", dtype="int64", axis=1, keepdims=0)
    return (output > 0.0).cast("int64").reshape([])


def _probabilities(predictor: Predictor, output: Tensor) -> Tensor | None:
    """Of each class, if it has some."""
    if predictor.link is None:
        return None
    if predictor.link == "softmax":
        return output.apply("Softmax", axis=-1)
    each = output.apply("Sigmoid")
    if predictor.link == "shares":
        return each / each.sum(1)
    if predictor.multilabel:
        return each
    return output.writer.node("Concat", [1.0 - each, each], output.dtype, axis=1)


def _outputs(predictor: Predictor) -> int:
    graph = predictor.network._graph(predictor.network._width())
    return int(np.prod(graph.shape(graph.output)))
