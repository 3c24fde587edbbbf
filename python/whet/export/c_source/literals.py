"""Python's numbers, text and names as C writes them."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator

import numpy as np

from whet._arrays import Floats

__all__ = ["array", "comment", "identifier", "is_identifier", "number", "quoted", "real", "string", "strings"]

_WIDTH = 120
_KEYWORD = re.compile(
    "auto|break|case|char|const|continue|default|do|double|else|enum|extern|float|for|goto|if|inline|int|long|register|"
    "restrict|return|short|signed|sizeof|static|struct|switch|typedef|union|unsigned|void|volatile|while|linux|unix"
)


def real(dtype: str) -> str:
    """C's name of a precision."""
    return "float" if dtype == "float32" else "double"


def number(value: float, dtype: str = "float64") -> str:
    """A literal with the very bits of `value` in that precision."""
    rounded = np.dtype(dtype).type(value)
    if not np.isfinite(rounded):
        return "NAN" if np.isnan(rounded) else "-INFINITY" if rounded < 0 else "INFINITY"
    suffix = "f" if dtype == "float32" else ""
    if rounded == int(rounded) and abs(rounded) < 1000:
        return ("-" if np.signbit(rounded) else "") + f"{abs(int(rounded))}.0{suffix}"
    mantissa, exponent = float(rounded).hex().split("p")
    return f"{mantissa.rstrip('0').rstrip('.')}p{exponent}{suffix}"


def array(name: str, values: Floats, note: str = "") -> str:
    """A definition of constants, on lines of their own; numbers that would be denormal are zeros, as in the kernels."""
    values = np.asarray(values)
    small = np.abs(values) < np.finfo(values.dtype).tiny
    flat = np.where(small, np.copysign(values.dtype.type(0), values), values).ravel()
    dtype = values.dtype.name
    items = (number(value, dtype) for value in flat)
    lines = "\n".join(_wrapped(items))
    return f"{comment(note)}static const {real(dtype)} {name}[{flat.size}] = {{\n{lines}}};\n"


def _wrapped(items: Iterable[str]) -> Iterator[str]:
    line = "   "
    for item in items:
        if len(line) + len(item) + 2 > _WIDTH:
            yield line
            line = "   "
        line += f" {item},"
    yield line[:-1]


def comment(text: str) -> str:
    """A comment on a line of its own, in plain characters; nothing for no text."""
    plain = text.encode("ascii", "backslashreplace").decode().replace("*/", "* /").replace("/*", "/ *")
    return f"/* {plain} */\n" if text else ""


def string(text: str) -> str:
    """A literal of the UTF-8 of `text`, in plain characters."""
    special = b'"\\?'  # what ends it, escapes, or may begin a trigraph
    data = text.encode("utf-8", "surrogatepass")
    written = (chr(byte) if 32 <= byte < 127 and byte not in special else f"\\{byte:03o}" for byte in data)
    return f'"{"".join(written)}"'


def quoted(text: str) -> str:
    """Text for a comment, on one line."""
    return json.dumps(text)


def is_identifier(text: str) -> bool:
    """Whether C takes it as the name of something."""
    return re.fullmatch(r"[A-Za-z]\w*", text, re.ASCII) is not None and not _KEYWORD.fullmatch(text)


def identifier(text: str, taken: Collection[str] = ()) -> str:
    """A name for C like `text`, other than those taken; none in capitals, as macros are."""
    name = re.sub(r"[^0-9A-Za-z_]+", "_", text).strip("_")
    name = name.lower() if name.isupper() else name
    if not is_identifier(name):
        name = f"c_{name}"
    found, count = name, 1
    while found in taken:
        count += 1
        found = f"{name}_{count}"
    return found


def strings(name: str, texts: Iterable[str]) -> str:
    """A definition of an array of text."""
    items = [string(text) for text in texts]
    lines = "\n".join(_wrapped(items))
    return f"static const char *const {name}[{len(items)}] = {{\n{lines}}};\n"
