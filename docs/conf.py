"""How Sphinx builds the site: `sphinx-build -W -n docs build/docs`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.inspect import TypeAliasForwardRef

import whet

ROOT = Path(__file__).resolve().parent.parent

project = "whet"
release = version = whet.__version__
copyright = "the authors of whet, Apache-2.0"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode", "sphinx_copybutton"]

html_theme = "furo"
html_title = f"whet {release}"
html_static_path = ["_static"]
html_css_files = ["whet.css"]
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#0b6e6e", "color-brand-content": "#0b6e6e"},
    "dark_css_variables": {"color-brand-primary": "#5cc8c8", "color-brand-content": "#5cc8c8"},
}
html_show_sphinx = False
html_copy_source = False

myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence", "deflist"]
exclude_patterns = ["images"]

smartquotes_action = "D"  # dashes alone: quotes of code stay what they are
default_role = "code"  # single backticks of docstrings
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
autodoc_type_aliases = {name: name for name in ("Features", "Floats", "ArrayLike", "Number", "ClassWeight")}
autodoc_type_aliases |= {
    "npt.ArrayLike": "ArrayLike",
    "Asked": "str | Metric | Callable",
    "Streamable": "Stream | Callable | Iterator",
    "_Hidden": "int | Sequence[int]",
}
TypeAliasForwardRef.__repr__ = lambda self: self.name  # as it is shown
autodoc_class_signature = "mixed"
python_maximum_signature_line_length = 96
napoleon_numpy_docstring = False
napoleon_use_ivar = True

PUBLIC = frozenset(
    re.match(r"(?:class )?(whet[\w.]*)", line)[1]  # type: ignore[index]
    for line in (ROOT / "tests" / "contract.txt").read_text(encoding="utf-8").splitlines()
)

# Signatures also name Python's and NumPy's types, and the package's own aliases; what is public has to be there.
nitpick_ignore_regex = [("py:.*", rf"(?!(?:{'|'.join(map(re.escape, sorted(PUBLIC)))})$).*")]


def public(name: str) -> str | None:
    """The full name of what is public, such as whet.nn.Linear for nn.Linear."""
    full = name if name.startswith("whet.") else f"whet.{name}"
    return full if full in PUBLIC and "." in name and "__" not in name else None


class Linked(SphinxPostTransform):
    """Links `nn.Linear` or `optim.Adam(lr=0.1)` in the prose to the reference."""

    default_priority = 5

    def run(self, **_: Any) -> None:
        """Wraps each literal that names something public."""
        for literal in list(self.document.findall(nodes.literal)):
            target = public(re.match(r"[\w.]*", literal.astext())[0])  # type: ignore[index]
            if target and not isinstance(literal.parent, (nodes.reference, addnodes.pending_xref, nodes.title)):
                link = addnodes.pending_xref(
                    "", refdomain="py", reftype="obj", reftarget=target, refdoc=self.env.docname, refwarn=True
                )
                literal.replace_self(link)
                link += literal


def as_text(_app: Sphinx, what: str, _name: str, _thing: object, _options: object, lines: list[str]) -> None:
    """Docstrings are plain text with code in backticks: |x| and x_ mean themselves, dotted public names are code."""
    if what in ("property", "attribute") and lines:
        lines[0] = f": {lines[0]}"  # what stands before a colon is no type
    for i, line in enumerate(lines):
        if line.lstrip().startswith((">>>", "... ")):
            continue
        parts = re.split(r"(``.+?``|`[^`]*`)", line)
        parts[::2] = map(_escaped, parts[::2])
        lines[i] = "".join(parts)
        if i and lines[i - 1].strip() == "Returns:":
            lines[i] = re.sub(r"(?=\S)", ": ", lines[i], count=1)


def _escaped(text: str) -> str:
    text = re.sub(r"(?<!^)(?<! )(\*)|([|])|(?<=\w)(_)(?!\w)", r"\\\1\2\3", text)
    return re.sub(r"(?<![\w.\"'/])[a-z]+(?:\.\w+)+(?!\\)", lambda m: f"`{m[0]}`" if public(m[0]) else m[0], text)


def is_left_out(_app: Sphinx, _what: str, _name: str, thing: object, _skip: bool, _options: object) -> bool | None:
    """Leaves out methods of other packages, and those that say nothing besides what stands in their public base."""
    foreign = not (getattr(thing, "__module__", None) or "whet").startswith("whet")
    said, owner = getattr(thing, "__doc__", None) or "", getattr(thing, "__qualname__", "")
    repeats = said.startswith("See `") or (callable(thing) and not said and not owner.startswith("_"))
    return True if foreign or repeats else None


def setup(app: Sphinx) -> None:
    """Adds what the site needs besides Sphinx's own."""
    app.add_post_transform(Linked)
    app.connect("autodoc-process-docstring", as_text, priority=400)  # before napoleon
    app.connect("autodoc-skip-member", is_left_out)
