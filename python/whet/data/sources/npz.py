"""Arrays in NumPy's npz files."""

from __future__ import annotations

import math
import zipfile
import zlib

import numpy as np

from whet.data.dataset import Dataset
from whet.data.sources.files import Source, name_of, opened

__all__ = ["read_npz"]

# np.load looks for these arrays when it is not told which are the features and the labels.
_FEATURES, _LABELS = "X", "y"


def read_npz(source: Source, *, features: str | None = None, labels: str | None = None) -> Dataset:
    """Read arrays saved by numpy.savez.

    Args:
        source: a path or an open file.
        features: the array of shape (rows, ...), flattened to (rows, columns); "X" if there is one, and otherwise
            every array of shape (rows,) is a column.
        labels: the array of shape (rows,) that holds the labels; "y" by default, where there is one.

    Raises:
        OSError: a file that is not there or cannot be read.
        ValueError: a file that is no npz, holds objects, or lacks the named arrays.
    """
    where = name_of(source)
    try:
        with opened(source) as file:
            begin = file.tell()
            if not zipfile.is_zipfile(file):
                raise ValueError("no zip file")
            file.seek(begin)
            archive = np.load(file, allow_pickle=False)
            arrays = {name: archive[name] for name in archive.files}
    except (ValueError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"[data] {where}: expected an npz file of numbers and text ({error})") from None
    for name in (features, labels):
        if name is not None and name not in arrays:
            raise ValueError(f"[data] {where}: expected an array {name!r}, got {list(arrays)}")
    target = labels if labels is not None else _LABELS if _LABELS in arrays else None
    truth = None if target is None else arrays.pop(target)
    source_of_features = features if features is not None else _FEATURES if _FEATURES in arrays else None
    if source_of_features is None:
        return Dataset(arrays, truth, target=target)
    matrix = arrays[source_of_features]
    if matrix.ndim == 0:
        raise ValueError(f"[data] {where}: expected {source_of_features!r} of shape (rows, ...), got a single number")
    return Dataset(matrix.reshape(len(matrix), math.prod(matrix.shape[1:])), truth, target=target)
