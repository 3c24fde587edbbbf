"""What a TabularModel does to the columns of a table, and to the outputs of its network, in tensors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from whet._elementary import MIDDLE, NEAR, rational
from whet.data.preprocessing import Preprocessor
from whet.data.steps import OneHotEncoder, QuantileScaler, RobustScaler, Scaler
from whet.data.targets import LabelEncoder, TargetScaler
from whet.export.onnx.tensors import Tensor, Writer, where
from whet.losses import Loss, MemberLoss

__all__ = ["OUTPUTS", "write_features", "write_predictions"]

#: The outputs of classifications, and that of regressions.
OUTPUTS = ("label", "probabilities", "variable")

# What a missing category may come as: whet's own way, and what onnxruntime makes of None and NaN among texts.
_MISSING = ("", "None", "nan")
_FAR_AWAY = 1e100  # scaled numbers beyond it are at the clip, and their squares would overflow


def write_features(writer: Writer, preprocessor: Preprocessor) -> Tensor:
    """An input for each column, and the matrix of float32 that `Preprocessor.transform` makes of them."""
    columns = {
        name: writer.input(name, "float64" if kind == "number" else "str", 1)
        for name, kind in preprocessor.kinds.items()
    }
    numbers = [columns[name] for name in preprocessor._numbers]
    texts = [columns[name] for name in preprocessor._categories]
    parts = [*_numbers(writer, preprocessor, numbers), *_categories(writer, preprocessor, texts)]
    return parts[0] if len(parts) == 1 else writer.node("Concat", parts, "float32", axis=1)


def _numbers(writer: Writer, preprocessor: Preprocessor, columns: Sequence[Tensor]) -> list[Tensor]:
    """Scaled numbers, and where some were missing; in float64 until they are scaled."""
    if not columns:
        return []
    imputer, scaler = preprocessor._imputer, preprocessor._scaler
    x = writer.node("Concat", columns, "float64", axis=1)
    missing = x.apply("IsNaN", dtype="bool")
    filled = where(missing, writer.constant(imputer.fill_ or (), "float64"), x)
    parts = [(filled if scaler is None else _scaled(scaler, filled)).cast("float32")]
    if imputer.indicated_:
        parts.append(missing.take(imputer.indicated_, 1).cast("float32"))
    return parts


def _scaled(scaler: Scaler, x: Tensor) -> Tensor:
    if isinstance(scaler, QuantileScaler):
        return _normal_quantile(_shares(scaler, x))
    state = scaler.describe()
    y = (x - x.writer.constant(state["center_"], "float64")) / x.writer.constant(state["scale_"], "float64")
    if not isinstance(scaler, RobustScaler) or scaler.clip is None:
        return y
    bounded = y.clip(-_FAR_AWAY, _FAR_AWAY)
    share = bounded / scaler.clip
    return bounded / (share * share + 1.0).apply("Sqrt")


def _shares(scaler: QuantileScaler, x: Tensor) -> Tensor:
    """The share of training rows below each number: between quantiles a line, the mean of both sides where they jump.

    A quantile is found by counting those that are smaller.
    """
    writer = x.writer
    edges = np.array(scaler.quantiles_)
    columns, count = edges.shape
    each, quantiles = x.apply("Unsqueeze", writer.constant([2], "int64")), writer.constant(edges, "float64")
    shares = np.broadcast_to(np.linspace(0, 1, count), edges.shape)
    zeros, widths = np.zeros((columns, 1)), np.diff(edges)
    # Of each piece, the first before all quantiles: its start, share there, width, and what the share grows by.
    tables = (
        np.concatenate([edges[:, :1], edges], axis=1),
        np.concatenate([zeros, shares], axis=1),
        np.concatenate([zeros + 1, np.where(widths > 0, widths, 1.0), zeros + 1], axis=1),
        np.concatenate([zeros, np.diff(shares), zeros], axis=1),
    )
    pieces = [writer.constant(table.ravel(), "float64") for table in tables]

    def share(below: Tensor) -> Tensor:
        number = below.cast("int64").sum(2).apply("Squeeze", writer.constant([2], "int64")) + offsets
        start, begin, width, growth = (piece.take(number, 0) for piece in pieces)
        return begin + (x - start) / width * growth

    offsets = writer.constant(np.arange(columns) * (count + 1), "int64")
    middle = (share(quantiles <= each) + share(quantiles < each)) * 0.5
    first, last = (writer.constant(edges[:, i], "float64") for i in (0, -1))
    inside = where(x >= last, 1.0, where(x <= first, 0.0, middle))
    constant = writer.constant(edges[:, 0] == edges[:, -1], "bool")
    at_all = constant.apply("And", x.equal(first))
    found = where(at_all, 0.5, inside)
    return found.clip(scaler.LEAST, 1 - scaler.LEAST)


def _normal_quantile(share: Tensor) -> Tensor:
    """As `whet._elementary.normal_quantile`; no share is so near 0 or 1 that the tails have tails of their own."""
    q = share - 0.5
    tail = abs(q) > 0.425
    middle = q * rational(0.180625 - q * q, MIDDLE)
    r = (-share.minimum(1.0 - share).apply("Log")).apply("Sqrt")
    distance = rational(r - 1.6, NEAR)
    return where(tail, where(q < 0.0, -distance, distance), middle)


def _categories(writer: Writer, preprocessor: Preprocessor, columns: Sequence[Tensor]) -> list[Tensor]:
    encoder, fill = preprocessor._encoder, preprocessor._category_imputer.fill_ or ()
    parts = []
    for column, levels, missing in zip(columns, encoder.levels_ or (), fill, strict=True):
        codes = {level: code for code, level in enumerate(levels)}
        others = len(levels)
        codes |= {text: codes.get(missing, others) for text in _MISSING if text not in codes}
        keys, values = list(codes), list(codes.values())
        code = writer.labels(column, "int64", keys_strings=keys, values_int64s=values, default_int64=others)
        if isinstance(encoder, OneHotEncoder):
            code = code.equal(writer.constant(np.arange(others), "int64"))
        parts.append(code.cast("float32"))
    return parts


def write_predictions(
    writer: Writer, output: Tensor, shape: tuple[int, ...], loss: Loss, encoder: LabelEncoder | TargetScaler
) -> None:
    """The outputs of a table model, from the network's, whose rows have that shape."""
    if isinstance(encoder, LabelEncoder):
        _write_classes(writer, output, shape, loss, encoder)
        return
    value = _value(output, shape, loss).cast("float64")
    mean = 0.0 if encoder.mean_ is None else encoder.mean_
    writer.output("variable", value * encoder.scale_ + mean, [1])


def _write_classes(writer: Writer, output: Tensor, shape: tuple[int, ...], loss: Loss, encoder: LabelEncoder) -> None:
    probabilities, classes = _probabilities(output, loss), encoder.classes
    ranks = probabilities if probabilities is not None and isinstance(loss, MemberLoss) else output
    names = writer.constant(classes, "str" if classes.dtype.kind == "U" else classes.dtype.name)
    best = ranks.apply("ArgMax", dtype="int64", axis=1, keepdims=0)
    writer.output("label", names.take(best, 0), [])
    if probabilities is not None:
        writer.output("probabilities", probabilities, [shape[-1]])


def _probabilities(output: Tensor, loss: Loss) -> Tensor | None:
    """Of each class, if the loss has some: the mean of members."""
    if loss.link == "softmax":
        each = output.apply("Softmax", axis=-1)
    elif loss.link == "sigmoid":
        each = output.apply("Sigmoid")
    else:
        return None
    return each.reduce("ReduceMean", [1], keepdims=False) if isinstance(loss, MemberLoss) else each


def _value(output: Tensor, shape: tuple[int, ...], loss: Loss) -> Tensor:
    """What the network's output says of the target, one number."""
    if isinstance(loss, MemberLoss):
        return output.reduce("ReduceMean", [1], keepdims=False).part(1, 0, 1)
    if loss.link == "exp":
        return output.reshape([-1]).part(1, 0, 1).apply("Exp")
    numbers = np.arange(np.prod(shape), dtype=np.float32).reshape(1, *shape)
    chosen = int(loss.values(numbers)[0, 0])  # the loss knows which of several it is
    return output.reshape([-1]).part(1, chosen, chosen + 1)
