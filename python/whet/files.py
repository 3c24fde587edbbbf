"""Model files: safetensors, with the parameters as in ``state_dict`` and one JSON string for the rest. Never pickle.

A checkpoint of a fit is a model file with more tensors, whose names begin with `OF_TRAINING`.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import tempfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whet import _core
from whet._arrays import Floats
from whet._checks import as_path

__all__ = ["checkpoint_name", "checkpoints", "checksum", "read_model", "read_whole", "remove_leftovers", "write_model"]

#: Rises when an older whet could not read what this one writes.
FORMAT = 1

#: What the names of tensors begin with that a training goes on with, and a model has not.
OF_TRAINING = "checkpoint/"

_CHECKPOINT = re.compile(r"checkpoint-(\d{8,})\.whet")
_LEFTOVER = re.compile(r"\.(checkpoint-\d{8,}|best)\.whet\.\w+\.tmp")

# A description begins with its checksum; those of the first releases had none, and began with the format.
_SEAL = re.compile(r'\{"crc32": "([0-9a-f]{8})", ')
_UNSEALED = '{"format"'

_BLOCK_BYTES = 1 << 24  # arrays are read in blocks: rows that are strided would be copied at once


def write_model(path: str | os.PathLike[str], tensors: Mapping[str, Floats], description: Mapping[str, Any]) -> None:
    """Writes a model file: to a temporary file beside it, synced, then renamed; a crash leaves the old file or the new.

    Raises:
        TypeError: If `path` is no path.
        OSError: If the file cannot be written.
    """
    from safetensors.numpy import save

    given = as_path(path, "save")
    arrays = {name: np.asarray(array, order="C") for name, array in tensors.items()}
    text = json.dumps({"format": FORMAT, "whet": _core.__version__, **description}, allow_nan=False)
    data = save(arrays, metadata={"whet": f'{{"crc32": "{_checksum(arrays, text)}", {text[1:]}'})
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
            if os.fstat(file.fileno()).st_size != len(data):
                raise OSError(errno.EIO, "Short write")
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


def _checksum(tensors: Mapping[str, Floats], text: str) -> str:
    """Of a description without its checksum, and of every tensor."""
    names = sorted(tensors)
    return checksum(text, *names, *(tensors[name] for name in names))


def checksum(*parts: str | NDArray[Any]) -> str:
    """CRC-32, in hexadecimal, of texts and arrays: types, shapes and little-endian bytes.

    It finds damage, no forgery. 50 MB take 0.03 s; SHA-256 needs 0.25 s where the processor has no instruction for it.
    """
    found = 0
    for part in parts:
        if isinstance(part, str):
            found = zlib.crc32(part.encode() + b"\0", found)
            continue
        found = zlib.crc32(f"{part.dtype.name}{part.shape}".encode(), found)
        whole = np.atleast_1d(part)
        rows = max(1, _BLOCK_BYTES * len(whole) // max(whole.nbytes, 1))
        for first in range(0, len(whole), rows):
            block = np.ascontiguousarray(whole[first : first + rows], whole.dtype.newbyteorder("<"))
            found = zlib.crc32(block.data, found)
    return f"{found:08x}"


def read_model(path: str | os.PathLike[str]) -> tuple[dict[str, Floats], dict[str, Any]]:
    """The tensors and the description of a model file.

    Raises:
        TypeError: If `path` is no path.
        OSError: If the file cannot be read.
        ValueError: If it is no whole model file, or one of a newer whet; of a checkpoint, it names the last good one.
    """
    try:
        return read_whole(path)
    except ValueError as error:
        good = _another_good(as_path(path, "load"))
        raise ValueError(f"{error}; the last good checkpoint beside it is {good!r}" if good else str(error)) from None


def read_whole(path: str | os.PathLike[str]) -> tuple[dict[str, Floats], dict[str, Any]]:
    """As `read_model`, without a look at other files."""
    from safetensors import SafetensorError, safe_open

    path = as_path(path, "load")
    with open(path, "rb"):
        pass  # a missing or unreadable file is an OSError, as for any other
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
        text = metadata["whet"]
        description: dict[str, Any] = json.loads(text)
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
    if not _is_whole(text, tensors):
        reason = "its content is not that of its checksum"
        raise ValueError(f"[load] expected a whole whet model file, got {path!r}: {reason}")
    return tensors, description


def _is_whole(text: str, tensors: Mapping[str, Floats]) -> bool:
    """Whether the checksum of a description, if it is to have one, is that of the file."""
    seal = _SEAL.match(text)
    if seal is None:
        return text.startswith(_UNSEALED)
    return _checksum(tensors, "{" + text[seal.end() :]) == seal[1]


def checkpoint_name(steps: int) -> str:
    """The name of the checkpoint after so many steps."""
    return f"checkpoint-{steps:08d}.whet"


def checkpoints(directory: str) -> list[str]:
    """The paths of the checkpoints in a directory, newest first; none if there is no directory."""
    if not os.path.isdir(directory):
        return []
    found = [match for match in map(_CHECKPOINT.fullmatch, os.listdir(directory)) if match]
    paths = [os.path.join(directory, each[0]) for each in sorted(found, key=lambda each: int(each[1]), reverse=True)]
    return list(filter(os.path.isfile, paths))  # to open a pipe of that name would wait for ever


def remove_leftovers(directory: str) -> None:
    """Removes what a process that was killed has left of a checkpoint it was writing."""
    for name in filter(_LEFTOVER.fullmatch, os.listdir(directory)):
        with contextlib.suppress(OSError):
            os.unlink(os.path.join(directory, name))


def _another_good(path: str) -> str | None:
    """The newest good checkpoint beside a damaged one; None where there is none, or the file is no checkpoint."""
    directory, name = os.path.split(path)
    if _CHECKPOINT.fullmatch(name):
        for other in checkpoints(directory or os.curdir):
            if os.path.basename(other) != name:
                with contextlib.suppress(ValueError, OSError):
                    read_whole(other)
                    return other
    return None
