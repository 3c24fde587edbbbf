"""The functions that a written model needs, out of the C files beside this one."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

__all__ = ["pieces"]

_FLOAT_TO_DOUBLE = (
    (r"\bfloat\b", "double"),
    (r"\buint32_t\b", "uint64_t"),
    (r"\b(fma|sqrt|fabs|copysign)f\b", r"\1"),
    (r"(?<=[\d.])f\b", ""),  # of a literal
)
_DEFINED = re.compile(r"^(?:#define (\w+)|static const double (\w+)\[|static .*?(\w+)\(|\} (\w+);)", re.MULTILINE)


def pieces(wanted: Iterable[str], dtype: str) -> str:
    """The definitions of what is wanted and of what that needs, in an order that C takes."""
    known = _known(dtype)
    needed: set[str] = set()
    rest = list(wanted)
    while rest:
        name = rest.pop()
        if name in known and name not in needed:
            needed.add(name)
            rest.extend(re.findall(r"\w+", re.sub(r"/\*.*?\*/", "", known[name], flags=re.DOTALL)))
    texts = [text for name, text in known.items() if name in needed]
    macros = [text for text in texts if "#define" in text]
    functions = [text for text in texts if "#define" not in text]
    return "\n".join([*(["\n".join(macros) + "\n"] if macros else []), *(f"{text}\n" for text in functions)])


@cache
def _known(dtype: str) -> dict[str, str]:
    """Every definition by its name."""
    known: dict[str, str] = {}
    for name in ("numbers.c", f"{dtype}.c", "functions.c", "table.c"):
        text = (Path(__file__).parent / name).read_text(encoding="utf-8")
        if dtype == "float64" and name in ("numbers.c", "functions.c"):
            for pattern, replacement in _FLOAT_TO_DOUBLE:
                text = re.sub(pattern, replacement, text)
        known |= _split(text)
    return known


def _split(text: str) -> dict[str, str]:
    """Definitions by name: a block between blank lines is one, and so is each macro with the comment before it."""
    blocks = re.sub(r"^(#define .*)\n", r"\1\n\n", text, flags=re.MULTILINE).split("\n\n")
    found = ((_DEFINED.search(block), block.strip("\n")) for block in blocks)
    return {next(filter(None, match.groups())): block for match, block in found if match}
