"""Frozen: the base of immutable descriptions such as losses, optimizers and schedules."""

from __future__ import annotations

from dataclasses import MISSING, Field, FrozenInstanceError, dataclass, field, fields
from inspect import Parameter, Signature
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from typing_extensions import dataclass_transform
else:

    def dataclass_transform(**_: Any) -> Any:
        return lambda cls: cls


__all__ = ["Frozen"]


class _SignatureOfClass:
    """What a class is called with: its fields, those for keywords alone at the end. `inspect.signature` asks, too."""

    def __init__(self) -> None:
        self._known: dict[type[Frozen], Signature] = {}

    def __get__(self, instance: object, owner: type[Frozen]) -> Signature:
        if owner not in self._known:
            parameters = [_parameter(each) for each in sorted(fields(owner), key=lambda each: bool(each.kw_only))]
            self._known[owner] = Signature(parameters, return_annotation=None)
        return self._known[owner]


def _parameter(each: Field[Any]) -> Parameter:
    kind = Parameter.KEYWORD_ONLY if each.kw_only else Parameter.POSITIONAL_OR_KEYWORD
    default = Parameter.empty if each.default is MISSING else each.default
    return Parameter(each.name, kind, default=default, annotation=each.type)


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
class Frozen:
    """Every class that is derived from it is a frozen dataclass, with these methods; no decorator is needed.

    dataclasses compiles six methods anew for each class, and there are eighty: a quarter of the time that it took to
    import nn, losses and optim.
    """

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]
    __signature__ = _SignatureOfClass()
    _positional: ClassVar[tuple[str, ...]]
    _defaults: ClassVar[dict[str, Any]]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        dataclass(init=False, repr=False, eq=False)(cls)
        cls._positional = tuple(each.name for each in fields(cls) if not each.kw_only)
        cls._defaults = {each.name: each.default for each in fields(cls)}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        given = dict(zip(self._positional, args, strict=False)) | kwargs
        values = self._defaults | given
        twice, unknown = len(given) < len(args) + len(kwargs), len(values) > len(self._defaults)
        if twice or unknown or any(value is MISSING for value in values.values()):
            try:
                self.__signature__.bind(*args, **kwargs)  # raises; it takes ten times as long as all this
            except TypeError as error:
                raise TypeError(f"[{type(self).__name__}] {error}") from None
        vars(self).update(values)
        self.__post_init__()

    def __post_init__(self) -> None:
        """Raises TypeError or ValueError for a field that is out of range."""

    def __setattr__(self, name: str, value: object) -> None:
        raise FrozenInstanceError(f"cannot assign to field {name!r}")

    def __delattr__(self, name: str) -> None:
        raise FrozenInstanceError(f"cannot delete field {name!r}")

    def _values(self) -> tuple[Any, ...]:
        return tuple(getattr(self, each.name) for each in fields(self))

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._values() == other._values()

    def __hash__(self) -> int:
        return hash(self._values())

    def __repr__(self) -> str:
        values = ", ".join(f"{each.name}={getattr(self, each.name)!r}" for each in fields(self))
        return f"{type(self).__name__}({values})"
