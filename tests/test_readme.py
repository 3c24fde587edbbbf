"""README.md: its commands are those that are checked, and its programs run."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.helpers import ROOT
from tests.skips import unexplained

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

PROGRAMS = [code for language, code in BLOCK.findall(README) if language == "python"]


def quick_start():
    section = re.search(r"^## Quick start\n(.*?)^## ", README, re.MULTILINE | re.DOTALL)
    assert section
    return [code.strip() for _, code in BLOCK.findall(section[1])]


def test_quick_start_has_two_commands():
    first, second = quick_start()
    assert first.endswith("whet demo")
    assert second.endswith("pytest")
    assert "\n" not in first + second


def test_the_checks_run_the_documented_command():
    assert f"\n{quick_start()[1]} || exit" in (ROOT / ".ci" / "run").read_text()


def test_every_kind_of_program_is_there():
    assert len(PROGRAMS) >= 4
    for name in ("whet.data import split", "cross_entropy", "TabularModel", "Trainer"):
        assert any(name in code for code in PROGRAMS), name


@pytest.mark.parametrize("number", range(len(PROGRAMS)))
def test_programs_run(number, tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAMS[number]],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_the_line_goes_through_the_point_that_was_left_out(tmp_path):
    done = subprocess.run([sys.executable, "-c", PROGRAMS[0]], cwd=tmp_path, capture_output=True, text=True, check=True)
    prediction, truth = (float(number) for number in re.findall(r"\[([\d.e+-]+)\s*\]", done.stdout))
    assert prediction == pytest.approx(truth, abs=0.05)


def test_the_shell_example_reads_a_table_that_is_there():
    tables = re.findall(r"^whet \w+ .*?(\S+\.csv)", README, re.MULTILINE)
    assert len(tables) == 2
    assert all((ROOT / table).exists() for table in tables)


REPORT = """<testsuites><testsuite><testcase classname="tests.test_a" name="test_b[x]">
<skipped type="pytest.skip" message="no AVX-512 here"/></testcase><testcase classname="tests.test_a" name="test_c"/>
</testsuite></testsuites>"""


def test_a_skip_needs_a_line_with_its_reason():
    skip = ("tests.test_a::test_b[x]", "no AVX-512 here")
    assert unexplained(REPORT, "") == [skip]
    assert unexplained(REPORT, "# tests.test_a::* | AVX-512") == [skip]
    assert unexplained(REPORT, "tests.test_a::test_c | AVX-512") == [skip]
    assert unexplained(REPORT, "tests.test_a::test_b*") == [skip]
    assert unexplained(REPORT, "tests.test_a::test_b* | AVX-512  # older processors") == []
