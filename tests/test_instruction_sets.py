"""The same checks on every instruction set that this processor can run: each in an interpreter of its own."""

from __future__ import annotations

import pytest

import whet
from tests.helpers import run_python

CHECKS = ("tests/test_ops.py", "tests/test_gradients.py", "tests/test_arithmetic.py", "tests/test_layers.py")


def run_checks(isa):
    told = run_python("-c", "import whet; print(whet.build_info()['isa'])", WHET_ISA=isa)
    assert told.strip() == isa
    run_python("-m", "pytest", "-q", "-p", "no:cacheprovider", *CHECKS, WHET_ISA=isa)


def test_the_chosen_set_is_one_of_those_available():
    info = whet.build_info()
    assert info["isa"] in info["available_isas"]
    assert info["available_isas"][0] == "baseline"


@pytest.mark.parametrize("isa", [isa for isa in whet.build_info()["available_isas"] if isa != whet.build_info()["isa"]])
def test_checks_pass_on(side_by_side, isa):
    side_by_side(run_checks, isa)


REFUSED = """
import numpy, whet
try:
    whet.ops.softmax(numpy.ones((2, 2)))
except ValueError as error:
    print(error)
"""


def test_an_unknown_set_is_refused():
    answer = run_python("-c", REFUSED, WHET_ISA="mmx")
    assert "mmx" in answer
    assert "baseline" in answer
