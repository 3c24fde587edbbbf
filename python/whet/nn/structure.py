"""What a module is made of: walked once, and again only after something has changed."""

from __future__ import annotations

from operator import is_
from typing import TYPE_CHECKING

from whet import _core

if TYPE_CHECKING:
    from whet.nn.module import Module
    from whet.nn.parameter import Parameter

__all__ = ["Structure", "current"]


class Structure:
    """The modules and parameters of a model at one time.

    Attributes:
        parameters: Every parameter once, by name.
    """

    def __init__(self, root: Module) -> None:
        self._version = _core.structure_version()
        modules = [module for _, module in root.named_modules()]
        self.parameters: dict[str, Parameter] = dict(root.named_parameters())
        self._lists = [(v, tuple(v)) for module in modules for v in vars(module).values() if isinstance(v, list)]
        self._known = all(type(module).children.__module__.startswith("whet.") for module in modules)
        self._identity = (
            # Not the root, which holds this and is the same in all that are compared.
            [(None if module is root else module, module._changes) for module in modules],
            list(self.parameters.values()),
            [parameter.requires_grad for parameter in self.parameters.values()],
            [then for _, then in self._lists],
        )

    @property
    def version(self) -> int | None:
        """The core's count of changes to any module, at which all of this was true.

        None if only a look can tell, because there are lists, or children that come from elsewhere.
        """
        return None if self._lists or not self._known else self._version

    def holds(self) -> bool:
        """Whether nothing can have changed since."""
        return (
            self._known
            and self._version == _core.structure_version()
            and all(len(now) == len(then) and all(map(is_, now, then)) for now, then in self._lists)
        )

    def same(self, other: Structure) -> bool:
        """Whether two walks found the same."""
        return self._known and self._identity == other._identity


def current(root: Module, known: Structure | None) -> Structure:
    """The structure of `root`: the `known` one itself if that is still true."""
    if known is not None and known.holds():
        return known
    found = Structure(root)
    if known is not None and known.same(found):
        known._version = found._version
        return known
    return found
