"""safetensors: parameters alone, under PyTorch's names, as ``safetensors.torch`` reads and writes them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whet._checks import as_path
from whet._predictor import predictor_of
from whet.nn import Module
from whet.tabular import TabularModel

__all__ = ["from_safetensors", "to_safetensors"]

_DTYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "BOOL": "?",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "i1",
    "U64": "<u8",
    "U32": "<u4",
    "U16": "<u2",
    "U8": "u1",
}


def to_safetensors(model: Any, path: str | os.PathLike[str]) -> None:
    """Writes the parameters of a model as in its ``state_dict``.

    Args:
        model: An nn.Module, or a fitted estimator of whet.sklearn, of which the file has the network: a linear one has
            "weight" (outputs, features) and "bias".
        path: The file.

    Raises:
        TypeError: If `model` is neither, or `path` no path.
        ValueError: If an estimator is not fitted.
        OSError: If the file cannot be written.
    """
    from safetensors.numpy import save

    if hasattr(type(model), "_predictor") and not isinstance(model, Module):
        model = predictor_of(model, "to_safetensors").network
    _check(model, "to_safetensors", "an nn.Module or an estimator of whet.sklearn")
    path = as_path(path, "to_safetensors")
    data = save({name: np.asarray(array, order="C") for name, array in model.state_dict().items()})
    with open(path, "wb") as file:
        file.write(data)


def from_safetensors(model: Module, path: str | os.PathLike[str]) -> None:
    """Loads parameters into `model`, which has the same names and shapes; of any precision, also bfloat16.

    Raises:
        TypeError: If `model` is no nn.Module, or `path` no path.
        OSError: If the file cannot be read.
        ValueError: If it is damaged, names or shapes differ, or a tensor holds what NumPy cannot, such as 8-bit floats;
            the model is unchanged then.
    """
    from safetensors import SafetensorError, deserialize

    _check(model, "from_safetensors", "an nn.Module")
    path = as_path(path, "from_safetensors")
    with open(path, "rb") as file:
        data = file.read()
    try:
        tensors = deserialize(data)  # type: ignore[no-untyped-call]
    except SafetensorError as error:
        raise ValueError(f"[from_safetensors] expected a safetensors file, got {path!r}: {error}") from None
    model.load_state_dict({name: _array(name, **tensor) for name, tensor in tensors})


def _check(model: object, where: str, expected: str) -> None:
    if not isinstance(model, Module):
        hint = "; that of a TabularModel is its `network`" if isinstance(model, TabularModel) else ""
        kind = model.__name__ if isinstance(model, type) else type(model).__name__
        raise TypeError(f"[{where}] expected {expected}, got {kind}{hint}")


def _array(name: str, dtype: str, shape: Sequence[int], data: bytes) -> NDArray[Any]:
    """A tensor of a file."""
    if dtype == "BF16":  # the upper half of a float32
        wide = np.frombuffer(data, "<u2").astype("<u4") << 16
        return wide.view("<f4").reshape(shape)
    if dtype not in _DTYPES:
        raise ValueError(f"[from_safetensors] expected {name} in BF16, {', '.join(_DTYPES)}; got {dtype}")
    return np.frombuffer(data, _DTYPES[dtype]).reshape(shape)
