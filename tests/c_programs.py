"""C files that whet writes, compiled and called: what several test files share."""

from __future__ import annotations

import ctypes
import shutil
import subprocess

import numpy as np
import pytest

import whet
from tests.helpers import same_bits

STRICT = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-fPIC", "-shared")
PLAIN = ("-O2",)


def found(compiler):
    """A compiler by its name, or by that with a version."""
    versions = [f"{compiler}-{number}" for number in range(30, 9, -1)]
    return next(filter(None, map(shutil.which, [compiler, *versions])), None)


def compiled(folder, *names, compiler="gcc", options=PLAIN):
    """The library of C files in a folder."""
    program = found(compiler)
    if program is None:
        pytest.skip(f"{compiler} is not installed")
    library = folder / f"{'_'.join(names)}{abs(hash((compiler, options)))}.so"
    files = [f"{folder / name}.c" for name in names]
    done = subprocess.run([program, *STRICT, *options, *files, "-lm", "-o", library], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[:4000]
    return ctypes.CDLL(str(library))


def pointer(array):
    return array.ctypes.data_as(ctypes.c_void_p)


def predicted(library, X, outputs, name="model"):
    out = np.full((len(X), outputs), np.nan, X.dtype)
    getattr(library, f"{name}_predict_rows")(pointer(X), pointer(out), ctypes.c_size_t(len(X)))
    return out


def probable(library, X, outputs):
    out = np.full((len(X), outputs), np.nan, X.dtype)
    for x, to in zip(X, out, strict=True):
        library.model_predict_proba(pointer(x), pointer(to))
    return out


def assert_same(got, want):
    """Equal bits, which the plainest kernels do not promise: they have no FMA."""
    want = want.reshape(got.shape)
    if whet.build_info()["isa"] == "baseline":
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)
    else:
        assert same_bits(got, want), f"{(got != want).sum()} of {got.size} differ, by up to {abs(got - want).max()}"
