"""docs/ and examples/: their programs run and print what is shown, and the reference has every public name.

The tests of the built site need Sphinx, the extra `docs`.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zlib

import pytest

from tests import pages
from tests.helpers import ROOT
from tests.pages import DOCS
from tests.test_contract import contract, public_things

PAGES = [str(page.relative_to(DOCS)) for page in pages.pages()]
EXAMPLES = sorted(path.name for path in (ROOT / "examples").glob("*.py"))
NEEDS = {
    "torch": "torch",
    "matplotlib": "plot()",
    "pandas": "import pandas",
    "sklearn": "sklearn",
    "pyarrow": "parquet",
    "onnxruntime": "import onnxruntime",
    "fastapi": "from fastapi",
    "uvicorn": "import uvicorn",
    "httpx": "import httpx",
    "distributed": "from dask",
    "scipy": "scipy",
}


def need(text):
    for package, used in NEEDS.items():
        if used in text:
            pytest.importorskip(package, reason=f"{package} is not installed")


def run(folder, *arguments):
    """The standard output of a fresh interpreter in that folder, where every warning is an error."""
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", PAGES)
def test_programs_of_a_page_print_what_it_shows(name, tmp_path):
    text = (DOCS / name).read_text(encoding="utf-8")
    need(text)
    printed = json.loads(run(tmp_path, "-m", "tests.pages", "--run", DOCS / name))
    for block, output in zip(pages.blocks_of(text), printed, strict=True):
        if block.shown is None:
            assert not output, f"{name}, line {block.line + 1}: prints what the page does not show"
        else:
            assert pages.same(output, block.shown), f"{name}, line {block.line + 1} prints:\n{output}"


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_run(name, tmp_path):
    text = (ROOT / "examples" / name).read_text(encoding="utf-8")
    assert text.count("\n") <= 80
    need(text)
    assert run(tmp_path, "-W", "error", ROOT / "examples" / name)


def test_pictures_are_there_and_used():
    used = {name for page in DOCS.rglob("*.md") for name in re.findall(r"images/([\w.-]+)", page.read_text())}
    assert used == {path.name for path in (DOCS / "images").iterdir()}


def test_figures_of_performance_stand_in_the_reports():
    reports = "".join(path.read_text() for path in (ROOT / "bench" / "reports").glob("*.md"))
    page = (DOCS / "performance" / "index.md").read_text()
    figures = re.findall(r"\d+(?:,\d+)*\.\d+|\d+,\d{3}|\d{3}", page)
    assert len(figures) > 30
    assert [each for each in figures if not re.search(rf"(?<![\d.,]){re.escape(each)}(?!\d)", reports)] == []


def documented():
    """Every name that the pages of the reference say, in full."""
    for page in (DOCS / "reference").glob("*.md"):
        module = "whet"
        for directive, name in re.findall(r"^\.\. (\w+):: ([\w.]+)$", page.read_text(), re.MULTILINE):
            if directive == "currentmodule":
                module = name
            elif directive not in ("automodule", "module"):
                yield f"{module}.{name}"


def test_the_reference_has_every_public_name_once():
    names = list(documented())
    assert sorted(set(names)) == sorted(names)
    things = {path for path, thing in public_things() if callable(thing) or path == "whet.data.MISSING"}
    assert things - set(names) == set()


# What Sphinx is asked for is the site alone: no page may warn, and no name may be missing in its index.


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    pytest.importorskip("sphinx", reason="sphinx is not installed")
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "-n", "-q", "-d", folder / "doctrees", DOCS, folder / "html"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder / "html"


def test_the_index_of_the_site_has_every_line_of_the_contract(site):
    data = (site / "objects.inv").read_bytes()
    lines = zlib.decompress(data.split(b"\n", 4)[4]).decode().splitlines()
    there = {line.split(" ", 1)[0] for line in lines}
    classes = {path: thing for path, thing in public_things() if isinstance(thing, type)}
    public = set(classes.values())
    paths = {thing: path for path, thing in classes.items()}

    def stands(path):
        """Whether a name stands there itself, or, of a method, in a public base."""
        owner, _, name = path.rpartition(".")
        bases = classes[owner].__mro__ if owner in classes else ()
        return path in there or any(f"{paths[base]}.{name}" in there for base in bases if base in public)

    names = [line.removeprefix("class ").partition("(")[0].partition(" is ")[0] for line in contract()]
    assert [name for name in names if not name.endswith("__") and not stands(name)] == []


def test_links_within_the_site_lead_somewhere(site):
    anchors = {page: set(re.findall(r'\bid="([^"]+)"', page.read_text())) for page in site.rglob("*.html")}
    broken = []
    for page in anchors:
        for link in re.findall(r'<a [^>]*href="([^"]*)"', page.read_text()):
            path, _, anchor = link.partition("#")
            if ":" in path:
                continue
            target = (page.parent / path).resolve() if path else page
            if not target.exists() or (anchor and anchor not in anchors.get(target, ())):
                broken.append(f"{page.relative_to(site)}: {link}")
    assert broken == []
