"""Runs the programs of the pages in docs/ as a reader would: from top to bottom, in one session for each page.

A ```python block runs in Python, an ```sh block that begins with "whet" in a shell. A ```text block behind one holds
what it prints. `python -m tests.pages [PAGE ...]` runs pages and writes what was printed into them.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
IMAGES = DOCS / "images"

_BLOCK = re.compile(r"^```(python|sh|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NUMBER = re.compile(r"[-+]?(?:\d[\d,]*\.?\d*|\.\d+)(?:e[-+]?\d+)?")


@dataclass
class Block:
    """A program, and the place in the page of what it prints, where that is shown."""

    language: str
    code: str
    line: int
    shown: str | None = None
    span: tuple[int, int] = (0, 0)


def pages() -> list[Path]:
    """Pages that have programs."""
    return sorted(page for page in DOCS.rglob("*.md") if blocks_of(page.read_text(encoding="utf-8")))


def blocks_of(text: str) -> list[Block]:
    """The programs of a page, in order."""
    found: list[Block] = []
    end = 0
    for match in _BLOCK.finditer(text):
        language, code = match.groups()
        if language == "text" and found and not text[end : match.start()].strip():
            found[-1].shown, found[-1].span = code, match.span(2)
        elif language == "python" or (language == "sh" and code.startswith("whet ")):
            found.append(Block(language, code, text.count("\n", 0, match.start(2))))
        end = match.end()
    return found


def same(printed: str, shown: str) -> bool:
    """Whether the words are equal, and numbers to 2 %: other processors and versions of NumPy round differently."""
    numbers, expected = ([float(each.replace(",", "")) for each in _NUMBER.findall(text)] for text in (printed, shown))
    words, wanted = (" ".join(_NUMBER.sub("#", text).split()) for text in (printed, shown))
    close = (abs(a - b) <= 0.02 * max(abs(a), abs(b)) + 0.002 for a, b in zip(numbers, expected, strict=False))
    return words == wanted and len(numbers) == len(expected) and all(close)


def run(page: Path, images: Path | None = None) -> list[str]:
    """What each program of a page prints; pictures are saved where they are wanted.

    Raises what a program raises, with the line of the page.
    """
    os.environ |= {"MPLBACKEND": "Agg", "SOURCE_DATE_EPOCH": "0"}
    Path("matplotlibrc").write_text("svg.hashsalt: whet\n")  # pictures whose bytes are those of the last time
    for name in ("python", "docs", "examples"):
        Path(name).symlink_to(ROOT / name)
    space: dict[str, object] = {"__name__": "__main__"}
    printed = []
    for block in blocks_of(page.read_text(encoding="utf-8")):
        if block.language == "sh":
            printed.append(_run_shell(block.code))
            continue
        stream = io.StringIO()
        with contextlib.redirect_stdout(stream):
            exec(compile("\n" * block.line + block.code, page, "exec"), space)
        printed.append(stream.getvalue())
    for picture in Path().glob("*.svg") if images else ():
        lines = [line.rstrip() for line in picture.read_text(encoding="utf-8").splitlines()]
        (images / picture.name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return printed


def _run_shell(code: str) -> str:
    start = f'whet() {{ "{sys.executable}" -W error -m whet "$@"; }}\nset -e\n'
    done = subprocess.run(["bash", "-c", start + code], capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        raise RuntimeError(f"{code}{done.stderr}")
    return done.stdout


def _write(page: Path) -> None:
    """Puts what was printed into the page."""
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-m", "tests.pages", "--run", page, IMAGES],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([*filter(None, sys.path)])},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    text = page.read_text(encoding="utf-8")
    for block, printed in reversed(list(zip(blocks_of(text), json.loads(done.stdout), strict=True))):
        if block.shown is not None:
            text = text[: block.span[0]] + printed + text[block.span[1] :]
    page.write_text(text, encoding="utf-8")
    print(f"{page.relative_to(ROOT)}: {time.perf_counter() - begin:.1f} s")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--run"]:
        warnings.simplefilter("error")
        outputs = run(Path(sys.argv[2]), Path(sys.argv[3]) if sys.argv[3:] else None)
        json.dump(outputs, sys.stdout)
    else:
        IMAGES.mkdir(exist_ok=True)
        for each in map(Path, sys.argv[1:]) if sys.argv[1:] else pages():
            _write(each.resolve())
