"""The parts that every written file has: what it says of itself, guards, functions that are called, constants."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import fill

from whet.export.c_source.literals import comment
from whet.export.c_source.pieces import pieces

__all__ = ["File"]

_USE = (
    "Compile it with cc -std=c99 -O3, and on x86 with -mfma (or -march=native), without which each FMA is a slow call "
    "of the C library; never with -ffast-math. Its outputs then have the bits of whet's on processors with FMA: the "
    "same operations in the same order. Numbers below the smallest normal one are zero there, and here only if the "
    "program has told the processor so. With -DWHET_NO_FMA products are rounded before they are added: faster where "
    "there is no FMA, and equal to about 1e-6. All functions may run in any number of threads at once."
)

_GUARDS = """\
#include <math.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __FAST_MATH__
#error "expected a compiler that keeps the order of operations: leave out -ffast-math"
#endif
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("fp-contract=off")
#else
#pragma STDC FP_CONTRACT OFF
#endif
"""

_FMA = """\
#ifdef WHET_NO_FMA
#define FMA(x, y, z) ((x) * (y) + (z))
#else
#define FMA {}
#endif
"""


_TOLD = re.compile(r'/\*.*?\*/|"(?:[^"\\]|\\.)*"', re.DOTALL)  # comments and text, which call nothing


@dataclass(frozen=True)
class File:
    """What a C file says and holds.

    Args:
        about: Paragraphs at its top.
        interface: Declarations that a program may copy.
        body: Definitions, which call functions of the C files beside this one.
        dtype: In which the network computes.
    """

    about: Sequence[str]
    interface: str
    body: Sequence[str]
    dtype: str

    def text(self) -> str:
        """All of it."""
        told = "\n\n".join(
            fill(paragraph, 116, initial_indent="   ", subsequent_indent="   ", break_long_words=False)
            for paragraph in (*self.about, _USE)
        )
        body = "\n".join(self.body)
        called = pieces(re.findall(r"(\w+)\(", _TOLD.sub("", body)), self.dtype)
        fma = [_FMA.format("fmaf" if self.dtype == "float32" else "fma")] if "FMA(" in called else []
        head = comment(told.strip()).replace(" */", "\n*/")
        return "\n".join([head, _GUARDS, self.interface, *fma, called, body])
