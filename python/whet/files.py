"""Model files: safetensors, with the parameters as in ``state_dict`` and one JSON string for the rest. Never pickle."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from whet import _core
from whet._arrays import Floats
from whet._checks import as_path

__all__ = ["read_model", "write_model"]

#: Rises when an older whet could not read what this one writes.
FORMAT = 1


def write_model(path: str | os.PathLike[str], tensors: Mapping[str, Floats], description: Mapping[str, Any]) -> None:
    """Writes a model file: to a temporary file beside it, synced, then renamed; a crash leaves the old file or the new.

    Raises:
        TypeError: If `path` is no path.
        OSError: If the file cannot be written.
    """
    from safetensors.numpy import save

    given = as_path(path, "save")
    text = json.dumps({"format": FORMAT, "whet": _core.__version__, **description}, allow_nan=False)
    data = save({name: np.asarray(array, order="C") for name, array in tensors.items()}, metadata={"whet": text})
    target = Path(os.path.realpath(given))  # a link stays a link
    try:
        if target.exists() and not target.is_file():
            target.write_bytes(data)  # a device takes the bytes, a folder refuses them
        else:
            _write(target, data)
    except OSError as error:
        raise OSError(error.errno, error.strerror, given) from None


def _write(target: Path, data: bytes) -> None:
    handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    directory = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def read_model(path: str | os.PathLike[str]) -> tuple[dict[str, Floats], dict[str, Any]]:
    """The tensors and the description of a model file.

    Raises:
        TypeError: If `path` is no path.
        OSError: If the file cannot be read.
        ValueError: If it is no whole model file, or one of a newer whet.
    """
    from safetensors import SafetensorError, safe_open

    path = as_path(path, "load")
    with open(path, "rb"):
        pass  # a missing or unreadable file is an OSError, as for any other
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
        description = json.loads(metadata["whet"])
        found = description["format"]
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        reason = "it has no whet metadata" if isinstance(error, KeyError) else str(error)
        raise ValueError(f"[load] expected a whole whet model file, got {path!r}: {reason}") from None
    if not isinstance(found, int) or found > FORMAT:
        writer = description.get("whet", "?")
        raise ValueError(
            f"[load] expected a model file of format {FORMAT} or older, got {found}: "
            f"{path!r} was written by whet {writer}, this is {_core.__version__}"
        )
    return tensors, description
