"""Every public signature, compared with tests/contract.txt.

A name that is removed or changed breaks somebody's program: change the list only with a line in the changelog.
`python -m tests.test_contract` writes the list anew.
"""

from __future__ import annotations

import difflib
import inspect
import re
import types

import whet
from tests.helpers import ROOT

LIST = ROOT / "tests" / "contract.txt"


def public_names(thing):
    return sorted(getattr(thing, "__all__", None) or (n for n in vars(thing) if not n.startswith("_")))


def signature_of(thing):
    """Names, kinds and defaults; annotations are mypy's."""
    try:
        signature = inspect.signature(thing)
    except ValueError:
        return "(...)"
    parameters = [p.replace(annotation=p.empty) for p in signature.parameters.values() if p.name not in ("self", "cls")]
    text = str(signature.replace(parameters=parameters, return_annotation=signature.empty))
    return re.sub(r" at 0x[0-9a-f]+", "", text)


def members(cls, public):
    """Public members that the class defines, or inherits from a class of this package that is not public itself."""
    seen = set()
    bases = [base for base in cls.__mro__[1:] if base in public]
    for owner in cls.__mro__:
        if owner.__module__.partition(".")[0] != "whet" or any(issubclass(base, owner) for base in bases):
            continue
        for name, member in vars(owner).items():
            special = name in {"__call__", "__len__", "__getitem__", "__iter__", "__add__"}
            if name not in seen and (special or not name.startswith("_")):
                seen.add(name)
                yield name, member


def describe(path, thing, public):
    if isinstance(thing, type):
        base = next(b for b in thing.__mro__[1:] if b in public or b.__module__ == "builtins")
        yield f"class {path}{signature_of(thing)}" + (f" is {base.__name__}" if base is not object else "")
        for name, member in members(thing, public):
            if isinstance(member, (staticmethod, classmethod)):
                member = member.__func__
            if callable(member):
                yield f"{path}.{name}{signature_of(member)}"
            elif isinstance(member, property) or inspect.isdatadescriptor(member):
                yield f"{path}.{name}"
    elif callable(thing):
        yield f"{path}{signature_of(thing)}"
    else:
        yield path


def public_things():
    """(shortest name, thing) of all that the package offers."""
    seen, ahead = set(), [("whet", whet)]
    while ahead:
        path, module = ahead.pop(0)
        for name in public_names(module):
            thing = getattr(module, name)
            if isinstance(thing, types.ModuleType):
                if thing.__name__ == f"{path}.{name}":
                    ahead.append((f"{path}.{name}", thing))
            elif id(thing) not in seen and (getattr(thing, "__module__", None) or "whet").partition(".")[0] == "whet":
                seen.add(id(thing))
                yield f"{path}.{name}", thing


def contract():
    """A line for each public class, method and function."""
    things = list(public_things())
    public = {thing for _, thing in things if isinstance(thing, type)}
    lines = [line for path, thing in things for line in describe(path, thing, public)]
    return sorted(lines, key=lambda line: line.removeprefix("class ").partition("(")[0])


def test_public_signatures_are_those_of_the_list():
    diff = difflib.unified_diff(
        LIST.read_text().splitlines(), contract(), "contract.txt", "this tree", lineterm="", n=0
    )
    changed = "\n".join(diff)
    assert not changed, f"the public contract changed:\n{changed}"


def test_every_public_name_is_documented():
    missing = []
    for line in contract():
        path = line.removeprefix("class ").partition("(")[0].partition(" is ")[0]
        thing = whet
        for name in path.split(".")[1:]:
            thing = getattr(thing, name)
        if callable(thing) and not re.search(r"\.__\w+__$", path) and not inspect.getdoc(thing):
            missing.append(path)
    assert not missing


if __name__ == "__main__":
    LIST.write_text("\n".join(contract()) + "\n")
    print(f"{len(contract())} lines in {LIST.name}")
