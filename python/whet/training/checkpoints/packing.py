"""Trees of numbers, text, lists, mappings and arrays: as what JSON holds, with the arrays beside it."""

from __future__ import annotations

import math
from collections.abc import Mapping, MutableMapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["pack", "unpack"]

# What stands for an array or a number that JSON does not know.
_ARRAY, _NUMBER = "$array", "$number"


def pack(tree: Any, name: str, arrays: MutableMapping[str, NDArray[Any]]) -> Any:
    """The tree for JSON; its arrays are put into `arrays`, under `name` and their place in the tree.

    Raises:
        TypeError: If something else is in the tree.
    """
    if isinstance(tree, np.ndarray) and tree.dtype.kind in "fiub":
        arrays[name] = tree
        return {_ARRAY: name}
    if isinstance(tree, np.generic):
        tree = tree.item()
    if isinstance(tree, float) and not math.isfinite(tree):
        return {_NUMBER: str(tree)}
    if tree is None or isinstance(tree, (bool, int, float, str)):
        return tree
    if isinstance(tree, (list, tuple)):
        return [pack(each, f"{name}/{i}", arrays) for i, each in enumerate(tree)]
    if isinstance(tree, Mapping) and all(isinstance(key, str) and not key.startswith("$") for key in tree):
        return {key: pack(each, f"{name}/{key}", arrays) for key, each in tree.items()}
    raise TypeError(
        f"[checkpoint] expected {name} to be made of numbers, text, lists, mappings by name and arrays of numbers, "
        f"got {type(tree).__name__}"
    )


def unpack(tree: Any, arrays: Mapping[str, NDArray[Any]]) -> Any:
    """What `pack` was given; tuples have become lists."""
    if isinstance(tree, list):
        return [unpack(each, arrays) for each in tree]
    if not isinstance(tree, dict):
        return tree
    if _ARRAY in tree:
        return arrays[tree[_ARRAY]]
    if _NUMBER in tree:
        return float(tree[_NUMBER])
    return {key: unpack(each, arrays) for key, each in tree.items()}
