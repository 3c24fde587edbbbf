"""Opening a model file as what is in it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from whet._arrays import Floats
from whet.files import OF_TRAINING, read_model

__all__ = ["load"]


def load(path: str | os.PathLike[str]) -> Any:
    """The model in a file: an `nn.Module`, a `TabularModel`, or what whet.calibration made of one.

    Of a checkpoint, as if the fit had ended there.

    Raises:
        OSError: If the file cannot be read.
        ValueError: If it is damaged, no model file, or one of a newer whet; of a damaged checkpoint, it names the last
            good one.
    """
    tensors, description = read_model(path)
    tensors = {name: array for name, array in tensors.items() if not name.startswith(OF_TRAINING)}
    try:
        found = _opened(tensors, description)
    except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
        raise ValueError(f"[load] expected a whole whet model file, got {os.fspath(path)!r}: {error}") from None
    if found is None:
        kind = description.get("kind")
        raise ValueError(f"[load] expected a file of a module or a table model, got {kind!r} in {os.fspath(path)!r}")
    return found


def _opened(tensors: Mapping[str, Floats], description: Mapping[str, Any]) -> Any:
    """What is described; None for what no whet of this version knows."""
    kind = description.get("kind")
    if kind == "module":
        from whet.nn import Module

        return Module._from_description(tensors, description)
    if kind == "table":
        from whet.tabular import TabularModel

        return TabularModel._from_description(tensors, description)
    if "model" in description:
        from whet.calibration.files import restored

        return restored(tensors, description, _opened)
    return None
