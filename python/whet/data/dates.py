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
_INTERVAL = "MonthDayNano"  # PyArrow's, of the INTERVAL of databases; known by name, as PyArrow need not be installed
# A day in units whose number of them float64 holds exactly; other units are cast to one of these.
_DAY = {unit: int(np.timedelta64(1, "D") / np.timedelta64(1, unit)) for unit in ("D", "h", "m", "s", "ms", "us", "ns")}


def are_dates(types: Iterable[type]) -> bool:
    """Tell whether cells of these types are dates and times of one sort: time stamps, durations or times of day."""
    sorts = {_sort(t) for t in types}
    return len(sorts) == 1 and None not in sorts


def days(values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Turn datetime64 or timedelta64 into days, equal bits for every unit: the shape given.

    What days and days_of_cells refuse, the error's text alone names.

    Raises:
        TypeError: a timedelta64 of months or years, whose length varies, or of no unit.
    """
    kind, unit = values.dtype.kind, np.datetime_data(values.dtype)[0]
    if unit == "generic" or (kind == "m" and unit in "YM"):
        raise TypeError(f"dtype {values.dtype}")
    if unit not in _DAY:
        unit = "D" if unit in "YMW" else "ns"
    ticks = values.astype(f"{kind}8[{unit}]").astype(np.int64)
    whole, rest = np.divmod(ticks, _DAY[unit])
    number: npt.NDArray[np.float64] = whole + rest / _DAY[unit]
    number[np.isnat(values)] = np.nan
    return number


def days_of_cells(cells: Iterable[Any]) -> npt.NDArray[np.float64]:
    """Turn cells of a sort that are_dates knows into days; None is missing: shape (cells,).

    Raises:
        TypeError: an interval with months.
    """
    scalars = [None if cell is None else _scalar(cell) for cell in cells]
    missing = type(next(scalar for scalar in scalars if scalar is not None))("NaT")
    return days(np.array([missing if scalar is None else scalar for scalar in scalars]))


def _sort(cell: type) -> int | None:
    """Number the sorts of dates: 0 for time stamps, 1 for durations, 2 for times of day."""
    if cell.__name__ == _INTERVAL:
        return 1
    return next((number for number, sort in enumerate((_POINTS, _SPANS, _TIMES)) if issubclass(cell, sort)), None)


def _scalar(cell: Any) -> Any:
    """Make a datetime64 or timedelta64 of a cell."""
    if isinstance(cell, datetime.time):
        seconds = (cell.hour * 60 + cell.minute) * 60 + cell.second
        return np.timedelta64(seconds * 10**6 + cell.microsecond, "us")
    if type(cell).__name__ == _INTERVAL:
        if cell.months:
            raise TypeError("an interval with months")
        return np.timedelta64(cell.days, "D") + np.timedelta64(cell.nanoseconds, "ns")
    if isinstance(cell, _SPANS):
        return np.timedelta64(cell)
    if isinstance(cell, datetime.datetime) and cell.tzinfo is not None:
        cell = cell.astimezone(datetime.timezone.utc).replace(tzinfo=None)
    return np.datetime64(cell)
