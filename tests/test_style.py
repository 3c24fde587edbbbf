"""Formatters, linters and the type checker, as tests; pyproject.toml pins their versions."""

from __future__ import annotations

import subprocess
import sys

from tests.helpers import ROOT, text_of, tool, tracked_files


def run(*command):
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-6000:]


def pinned(name):
    """A tool of the test extra."""
    found = tool(name)
    assert found, f"{name} is missing: pip install '.[test]'"
    return found


def test_ruff_finds_nothing():
    run(pinned("ruff"), "check", "--no-cache", ".")


def test_python_is_formatted():
    run(pinned("ruff"), "format", "--no-cache", "--check", "--diff", ".")


def test_types():
    run(sys.executable, "-m", "mypy")


def test_cpp_is_formatted():
    sources = [path for path in tracked_files() if path.suffix in {".h", ".cpp"}]
    run(pinned("clang-format"), "--dry-run", "-Werror", *sources)


def test_text_ends_in_one_newline_and_lines_in_no_space():
    wrong = []
    for path in tracked_files():
        text = None if path.suffix in {".csv", ".gz"} else text_of(path)
        if text and (
            not text.endswith("\n") or text.endswith("\n\n") or " \n" in text or "\t\n" in text or "\r" in text
        ):
            wrong.append(str(path.relative_to(ROOT)))
    assert not wrong
