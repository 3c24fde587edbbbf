"""Dates as numbers: all are days, so that an hour is 1/24 in whatever unit a library stores it.

A date or a time stamp is the days since 1970-01-01 00:00, in UTC where it has a time zone and as it is written where it
has none; a duration and a time of day are days, too. A missing one is NaN.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["are_dates", "days", "days_of_cells"]

_POINTS = (datetime.date, np.datetime64)  # a datetime is a date, and pandas' Timestamp a datetime
_SPANS = (datetime.timedelta, np.timedelta64)
_TIMES = (datetime.time,)
# A day in units whose number of them float64 holds exactly; other units are cast to one of these.
_DAY = {unit: int(np.timedelta64(1, "D") / np.timedelta64(1, unit)) for unit in ("D", "h", "m", "s", "ms", "us", "ns")}


def are_dates(types: Iterable[type]) -> bool:
    """Tell whether cells of these types are dates and times of one sort: time stamps, durations or times of day."""
    types = tuple(types)
    return bool(types) and any(all(issubclass(t, sort) for t in types) for sort in (_POINTS, _SPANS, _TIMES))


def days(values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Turn datetime64 or timedelta64 into days, equal bits for every unit: the shape given.

    Raises:
        TypeError: a timedelta64 of months or years, or of no unit.
    """
    kind, unit = values.dtype.kind, np.datetime_data(values.dtype)[0]
    if unit == "generic" or (kind == "m" and unit in "YM"):
        raise TypeError(f"expected a unit of fixed length, got {values.dtype}")
    if unit not in _DAY:
        unit = "D" if unit in "YMW" else "ns"
    ticks = values.astype(f"{kind}8[{unit}]").astype(np.int64)
    whole, rest = np.divmod(ticks, _DAY[unit])
    number: npt.NDArray[np.float64] = whole + rest / _DAY[unit]
    number[np.isnat(values)] = np.nan
    return number


def days_of_cells(cells: Iterable[Any]) -> npt.NDArray[np.float64]:
    """Turn Python's and NumPy's dates, of a sort that are_dates knows, into days; None is missing: shape (cells,)."""
    scalars = [None if cell is None else _scalar(cell) for cell in cells]
    missing = type(next(scalar for scalar in scalars if scalar is not None))("NaT")
    return days(np.array([missing if scalar is None else scalar for scalar in scalars]))


def _scalar(cell: Any) -> Any:
    if isinstance(cell, _SPANS):
        return np.timedelta64(cell)
    if isinstance(cell, datetime.time):
        seconds = (cell.hour * 60 + cell.minute) * 60 + cell.second
        return np.timedelta64(seconds * 10**6 + cell.microsecond, "us")
    if isinstance(cell, datetime.datetime) and cell.tzinfo is not None:
        cell = cell.astimezone(datetime.timezone.utc).replace(tzinfo=None)
    return np.datetime64(cell)
