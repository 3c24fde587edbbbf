"""The data sets that come with whet; files/SOURCES.md names their sources and licences."""

from __future__ import annotations

from os.path import dirname, join

from whet.data.dataset import Dataset
from whet.data.sources.text import read_csv

__all__ = ["load_california_housing", "load_penguins"]


def load_california_housing() -> Dataset:
    """Districts of California in 1990: 20,640 rows, 8 numbers (207 cells missing) and the category ocean_proximity.

    The target median_house_value is in US dollars, cut off at 500,001. Pace and Barry, 1997; Apache-2.0.
    """
    return _load("california_ocean.csv.gz", "median_house_value")


def load_penguins() -> Dataset:
    """Penguins of the Palmer Archipelago: 344 rows, 4 numbers (mm and g), the categories island and sex.

    19 cells are missing; the target species has three classes. Horst, Hill and Gorman, 2020; CC0.
    """
    return _load("penguins.csv", "species")


def _load(file: str, target: str) -> Dataset:
    with open(join(dirname(__file__), "files", file), "rb") as stream:
        return read_csv(stream, target=target)
