"""One way in for everything a table can come as."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from whet.data.columns import Kind
from whet.data.dataset import Dataset
from whet.data.preprocessing import match_columns
from whet.data.readers import parse_csv, read_npz

__all__ = ["as_dataset"]


def as_dataset(
    data: Any,
    *,
    wanted: Iterable[str] | None = None,
    ignored: Iterable[str] = (),
    kinds: Mapping[str, Kind] | None = None,
) -> Dataset:
    """Read a table, without making any column the target.

    Args:
        data: a Dataset; the path of a CSV or npz file, "-" for standard input, or an open CSV file; a mapping from
            names to columns; a pandas, Polars or PyArrow table; an array of shape (rows, columns).
        wanted: the columns to read, by default all; the cells of others are not looked at.
        ignored: columns that may be there without a warning.
        kinds: "number" or "category" for columns whose kind should not follow from their cells.

    Raises:
        TypeError: something else, or cells that are neither numbers, text nor booleans.
        OSError: a file that is not there or cannot be read.
        ValueError: wanted columns that are not there, or a damaged table.

    Warns:
        WhetWarning: columns that are neither wanted nor ignored.
    """
    from whet.data.frames import frame_names, is_frame

    if isinstance(data, (str, os.PathLike)) or hasattr(data, "read"):
        is_npz = isinstance(data, (str, os.PathLike)) and os.fspath(data).endswith(".npz")
        data = read_npz(data) if is_npz else parse_csv(data, kinds=kinds)
    elif isinstance(data, (np.ndarray, list, tuple)):
        data = Dataset(data, kinds=kinds)
    if isinstance(data, Dataset):
        data = data.with_target(None)
    elif not isinstance(data, Mapping) and not is_frame(data):
        raise TypeError(
            "[data] expected a table: a path, a Dataset, a pandas, Polars or PyArrow table, a mapping of columns "
            f"or an array; got {type(data).__name__}"
        )
    names = list(data) if isinstance(data, (Dataset, Mapping)) else frame_names(data)
    if wanted is not None:
        wanted = list(wanted)
        match_columns(names, wanted, ignored)
        names = wanted
    if isinstance(data, Dataset):
        return data.select(names)
    if isinstance(data, Mapping):
        return Dataset(data, names=names, kinds=kinds)
    return Dataset.from_frame(data, columns=names)
