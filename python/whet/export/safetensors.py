"""safetensors: parameters alone, under PyTorch's names, as ``safetensors.torch`` reads and writes them."""

from __future__ import annotations

import os

import numpy as np

from whet.nn import Module

__all__ = ["from_safetensors", "to_safetensors"]


def to_safetensors(model: Module, path: str | os.PathLike[str]) -> None:
    """Writes the parameters of `model` as in its ``state_dict``.

    Raises:
        OSError: If the file cannot be written.
    """
    from safetensors.numpy import save

    data = save({name: np.asarray(array, order="C") for name, array in model.state_dict().items()})
    with open(path, "wb") as file:
        file.write(data)


def from_safetensors(model: Module, path: str | os.PathLike[str]) -> None:
    """Loads parameters into `model`, which has the same names and shapes.

    Raises:
        OSError: If the file cannot be read.
        ValueError: If it is damaged, or names or shapes differ; the model is unchanged then.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    with open(path, "rb") as file:
        data = file.read()
    try:
        tensors = load(data)
    except SafetensorError as error:
        raise ValueError(f"[from_safetensors] expected a safetensors file, got {os.fspath(path)!r}: {error}") from None
    model.load_state_dict(tensors)
