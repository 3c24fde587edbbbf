"""The object files of the kernels, one per instruction set: nothing in them may leak from one set into another."""

from __future__ import annotations

import itertools
import platform
import re
import subprocess

import pytest

from tests.helpers import ROOT, tool

X86 = platform.machine() in {"x86_64", "AMD64"}
SETS = ("baseline", "avx2", "avx512", "avx512bf16") if X86 else ("baseline",)

# All that a kernel may call: memory moves that the compiler itself writes, and the linker's own table.
ALLOWED_CALLS = {"memcpy", "memmove", "memset", "memcmp", "_GLOBAL_OFFSET_TABLE_"}


@pytest.fixture(scope="session")
def objects():
    """The kernels' object file of each set, built as CMake builds them; again only where their sources changed."""
    missing = [name for name in ("cmake", "ninja", "c++", "nm", "objdump") if not tool(name)]
    if missing:
        pytest.skip(f"building and reading object files needs {' and '.join(missing)}")
    folder = ROOT / "build" / "cpp"
    configure = [tool("cmake"), "-S", ROOT, "-B", folder, "-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={tool('ninja')}"]
    targets = [f"whet_kernels_{name}" for name in SETS]
    for command in (
        [*configure, "-DWHET_PYTHON=OFF", "-DWHET_TESTS=OFF"],
        [tool("cmake"), "--build", folder, "--target", *targets, "-j", "2"],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    found = {name: list(folder.glob(f"**/whet_kernels_{name}.dir/**/*.o")) for name in SETS}
    assert all(found.values()), found
    return found


def symbols(paths, *options):
    """(kind, name) of every symbol of some object files."""
    listing = subprocess.run([tool("nm"), *options, *paths], capture_output=True, text=True, check=True).stdout
    return set(re.findall(r"^[0-9a-f ]{16} (\S) (.+)$", listing, re.MULTILINE))


def instructions(paths):
    return subprocess.run(
        [tool("objdump"), "-d", "--no-show-raw-insn", "--no-addresses", *paths],
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_no_weak_or_unique_symbol_is_shared_between_two_sets(objects):
    weak = {name: {s for kind, s in symbols(objects[name]) if kind in "WVuw"} for name in SETS}
    for one, other in itertools.combinations(SETS, 2):
        assert not weak[one] & weak[other], f"the linker would keep one copy for {one} and {other}"


@pytest.mark.parametrize("name", SETS)
def test_what_a_set_defines_for_others_carries_its_name(objects, name):
    """A weak symbol with a common name could also replace that of code compiled for every processor."""
    for kind, symbol in symbols(objects[name], "-C"):
        if kind in "WVuTDRBi":
            assert re.search(rf"\b{name}\b|_{name}\b", symbol), f"{kind} {symbol}"


@pytest.mark.parametrize("name", SETS)
def test_nothing_runs_when_the_library_is_loaded(objects, name):
    headers = subprocess.run([tool("objdump"), "-h", *objects[name]], capture_output=True, text=True, check=True).stdout
    assert ".text" in headers
    assert not re.search(r"\.init_array|\.ctors|\.preinit_array", headers)


@pytest.mark.parametrize("name", SETS)
def test_kernels_call_no_function_of_a_library(objects, name):
    undefined = {symbol for kind, symbol in symbols(objects[name]) if kind in "Uw"}
    assert undefined <= ALLOWED_CALLS


@pytest.mark.parametrize("name", SETS)
def test_no_scalar_multiply_add(objects, name):
    """A scalar FMA is a lane loop that the compiler failed to see through: nine times slower."""
    code = instructions(objects[name])
    scalar = re.findall(r"\bv?fn?m(?:add|sub)\d*s[sd]\b.*", code)
    assert not scalar, f"{len(scalar)}, the first: {scalar[0]}"
    if name != "baseline":
        assert re.search(r"\bvfmadd\d+p[sd]\b", code), "no FMA at all"


@pytest.mark.skipif(not X86, reason="the register names are those of x86")
@pytest.mark.parametrize("name", SETS)
def test_a_set_uses_its_own_registers_alone(objects, name):
    registers = {"baseline": r"%[yz]mm\d|\bv(?!err|erw)[a-z]+\s", "avx2": r"%zmm\d|%[xy]mm(1[6-9]|2\d|3[01])|%k[0-7]"}
    if name in registers:
        foreign = re.search(rf".*(?:{registers[name]}).*", instructions(objects[name]))
        assert not foreign, foreign
    else:
        assert "%zmm31" in instructions(objects[name])


@pytest.mark.parametrize("name", SETS)
def test_no_approximate_instruction(objects, name):
    """Reciprocal estimates, and exponent tricks, differ between processors."""
    assert not re.search(r"\bv?(rcp|rsqrt|scalef|getexp)(14|28)?[ps][sd]\b", instructions(objects[name]))
