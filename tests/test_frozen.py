"""Frozen: classes without a decorator are frozen dataclasses, as dataclasses itself would make them."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
from dataclasses import field
from typing import ClassVar

import pytest

from whet import losses, optim
from whet._frozen import Frozen


class Base(Frozen):
    kind: ClassVar[str] = "base"
    shared: str = field(default="mean", kw_only=True)
    first: float


class Derived(Base):
    second: int = 2

    def __post_init__(self):
        if self.second < 0:
            raise ValueError("second")


@dataclasses.dataclass(frozen=True)
class PlainBase:
    kind: ClassVar[str] = "base"
    shared: str = field(default="mean", kw_only=True)
    first: float


@dataclasses.dataclass(frozen=True)
class Plain(PlainBase):
    second: int = 2


def test_it_is_called_and_shown_as_a_dataclass():
    ours, theirs = Derived(1.0, shared="sum"), Plain(1.0, shared="sum")
    assert repr(ours) == repr(theirs).replace("Plain", "Derived")
    assert str(inspect.signature(Derived)) == str(inspect.signature(Plain))
    assert dataclasses.asdict(ours) == dataclasses.asdict(theirs)
    assert [each.name for each in dataclasses.fields(Derived)] == [each.name for each in dataclasses.fields(Plain)]
    assert hash(ours) == hash(theirs)
    assert dataclasses.replace(ours, second=3) == Derived(1.0, 3, shared="sum") != ours
    assert ours != theirs


def test_nothing_of_it_changes():
    ours = Derived(1.0)
    with pytest.raises(dataclasses.FrozenInstanceError, match="first"):
        ours.first = 2.0
    with pytest.raises(dataclasses.FrozenInstanceError, match="second"):
        del ours.second
    assert ours == Derived(1.0)


@pytest.mark.parametrize("arguments", [(), (1.0, 2, "sum"), (1.0, 2, 3)])
def test_wrong_arguments_name_the_class(arguments):
    with pytest.raises(TypeError, match=r"^\[Derived\] "):
        Derived(*arguments)


def test_a_check_runs_and_copies_are_equal():
    with pytest.raises(ValueError, match="second"):
        Derived(1.0, -1)
    for one in (losses.HuberLoss(2.0), optim.AdamW(lr=0.1, clip_norm=1.0)):
        assert pickle.loads(pickle.dumps(one)) == copy.deepcopy(one) == one
