"""Calls that are refused, or fail, change nothing of an estimator."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

__all__ = ["all_or_nothing"]

_Method = TypeVar("_Method", bound=Callable[..., Any])


def all_or_nothing(method: _Method) -> _Method:
    """The method, behind which the estimator has the attributes of before where it raises.

    Arrays and lists that were there before are not copied: the method changes copies of them.
    """

    @functools.wraps(method)
    def called(estimator: Any, *args: Any, **options: Any) -> Any:
        before = dict(vars(estimator))
        try:
            return method(estimator, *args, **options)
        except BaseException:
            for name in vars(estimator).keys() - before.keys():
                delattr(estimator, name)
            vars(estimator).update(before)
            raise

    return cast("_Method", called)
