"""`python -m tests.skips REPORT.xml` fails if pytest's report has a skip that expected_skips.txt does not explain."""

from __future__ import annotations

import sys
from fnmatch import fnmatchcase
from pathlib import Path
from xml.etree import ElementTree

LIST = Path(__file__).parent / "expected_skips.txt"


def expected(text: str) -> list[tuple[str, str]]:
    """(test, reason) of each line; the test may hold wildcards, the reason is part of what pytest reports."""
    rows = [line.partition("#")[0].strip() for line in text.splitlines()]
    return [(test.strip(), reason.strip()) for test, _, reason in (row.partition("|") for row in rows if row)]


def skipped(report: str) -> list[tuple[str, str]]:
    """(test, reason) of each test that pytest skipped or expected to fail."""
    cases = ElementTree.fromstring(report).iter("testcase")
    return [
        (f"{case.get('classname')}::{case.get('name')}", skip.get("message", ""))
        for case in cases
        for skip in case.iter("skipped")
    ]


def unexplained(report: str, listed: str) -> list[tuple[str, str]]:
    """The skips of a report that no line of the list explains."""
    rows = expected(listed)
    return [
        (test, reason)
        for test, reason in skipped(report)
        if not any(fnmatchcase(test, pattern) and why and why in reason for pattern, why in rows)
    ]


if __name__ == "__main__":
    wrong = unexplained(Path(sys.argv[1]).read_text(encoding="utf-8"), LIST.read_text(encoding="utf-8"))
    for test, reason in wrong:
        print(f"skipped without a line in {LIST.name}: {test}: {reason}", file=sys.stderr)
    sys.exit(bool(wrong))
