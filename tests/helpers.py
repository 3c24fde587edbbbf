"""What several test files share."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import whet
from whet.data import Dataset

ROOT = Path(__file__).resolve().parent.parent


def run_python(*arguments: str, **environment: str) -> str:
    """The standard output of a fresh interpreter; fails with its standard error if it fails."""
    done = subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, f"exit status {done.returncode}\n{done.stdout[-6000:]}\n{done.stderr[-6000:]}"
    return done.stdout


def tool(name: str) -> str | None:
    """A program beside this interpreter, where pip puts it, or on the path."""
    beside = Path(sys.executable).parent / name
    return str(beside) if beside.exists() else shutil.which(name)


def tracked_files() -> list[Path]:
    """What git tracks or would track; in a tree without git, every file that is not in a hidden or build folder."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listing.returncode == 0:
        files = [ROOT / name for name in listing.stdout.decode().split("\0") if name]
    else:
        built = {"build", "dist", "__pycache__", ".venv", ".git"}
        files = [path for path in ROOT.rglob("*") if not built.intersection(path.relative_to(ROOT).parts)]
    return sorted(path for path in files if path.is_file())


def text_of(path: Path) -> str | None:
    """The text of a file, or None where it is not text."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None


def misaligned(a: NDArray[Any], offset: int = 1) -> NDArray[Any]:
    """A copy of `a` whose first element lies `offset` bytes after an aligned address."""
    a = np.ascontiguousarray(a)
    room = np.empty(a.nbytes + 64 + offset, np.uint8)
    start = (-room.ctypes.data) % 64 + offset
    copy: NDArray[Any] = room[start : start + a.nbytes].view(a.dtype).reshape(a.shape)
    copy[...] = a
    return copy


def layouts(a: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Equal values in every layout that NumPy allows."""
    every_other = np.repeat(a, 2, axis=0)
    wide = np.repeat(a, 3, axis=a.ndim - 1)
    read_only = a.copy()
    read_only.flags.writeable = False
    forms = {
        "contiguous": np.ascontiguousarray(a),
        "fortran": np.asfortranarray(a),
        "rows strided": every_other[::2],
        "columns strided": wide[..., ::3],
        "reversed": np.ascontiguousarray(a[::-1])[::-1],
        "columns reversed": np.ascontiguousarray(a[..., ::-1])[..., ::-1],
        "byte-swapped": a.astype(a.dtype.newbyteorder()),
        "read-only": read_only,
        "misaligned": misaligned(a),
        "off by one element": misaligned(a, a.dtype.itemsize),
    }
    for name, form in forms.items():
        assert np.array_equal(form, a, equal_nan=True), name
    return forms


def assert_within(got: NDArray[Any], want: NDArray[Any], ulps: float, scale: Any, what: str) -> None:
    """|got - want| is at most `ulps` units of roundoff of `scale`.

    What is below the smallest normal number may count as zero inside a formula, so a few of it are allowed besides.
    """
    info = np.finfo(got.dtype)
    want = np.asarray(want, np.float64)
    assert got.shape == want.shape, f"{what}: shape {got.shape}, expected {want.shape}"
    allowed = ulps * float(info.eps) * np.asarray(scale, np.float64) + 128 * float(info.tiny)
    error = abs(np.asarray(got, np.float64) - want)
    wrong = ~((error <= allowed) | (got == want))
    if wrong.any():
        first = tuple(int(i) for i in np.argwhere(wrong)[0])
        worst = np.nanmax(error / (float(info.eps) * np.maximum(np.asarray(scale, np.float64), float(info.tiny))))
        raise AssertionError(
            f"{what}: {int(wrong.sum())} of {wrong.size} outside {ulps} ulps, worst {worst:.1f}; "
            f"first at {first}: got {got[first]!r}, expected {want[first]!r}"
        )


def same_bits(a: NDArray[Any], b: NDArray[Any]) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def same_column(a: Any, b: Any) -> bool:
    """Equal cells, missing ones included."""
    return len(a) == len(b) and all(x == y or (x != x and y != y) for x, y in zip(a, b, strict=True))


def same_table(a: Dataset, b: Dataset) -> bool:
    """Equal names, kinds and cells."""
    return list(a) == list(b) and a.kinds == b.kinds and all(same_column(a[name], b[name]) for name in a)


def outputs_of_both_sets(program: str) -> set[str]:
    """What a program prints on AVX2 and on AVX-512; skips where this processor lacks one of them."""
    missing = {"avx2", "avx512"} - set(whet.build_info()["available_isas"])
    if missing:
        pytest.skip(f"this processor cannot run {' and '.join(sorted(missing))}")
    return {run_python("-c", program, WHET_ISA=isa) for isa in ("avx2", "avx512")}
