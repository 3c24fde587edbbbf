"""The rows of the published runs: split, and prepared as their configurations say.

Those runs have one split each, which is not public; here each seed has its own, 64 % for training, 16 % for validation
and 20 % for the test, or of adult 80 % and 20 % of its training rows and its own test rows. So the mean over the seeds
depends less on the rows that the test happens to hold; both libraries have the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from bench.bench_examples import CATEGORIES, NUMBERS, adult_rows
from bench.published.runs import folder

PARTS = ("train", "validation", "test")
CALIFORNIA = 100_000  # dollars, the unit of the published errors


@dataclass(frozen=True)
class Part:
    x: np.ndarray  # float32: numbers, then a column of 0 and 1 for each category
    y: np.ndarray  # a standardised value, or 0 and 1


@dataclass(frozen=True)
class Rows:
    train: Part
    validation: Part
    test: Part
    numbers: int
    cardinalities: tuple[int, ...]
    unit: float = 1.0  # what a standardised target of 1 is


def _prepared(tables: list[Any], targets: list[np.ndarray], unit: float = 1.0) -> Rows:
    """Normal quantiles of the numbers, fitted with noise, and codes of the categories, as columns of 0 and 1."""
    from whet.data import Imputer, OrdinalEncoder, Preprocessor, QuantileScaler

    steps = Preprocessor(imputer=Imputer(indicator=False), scaler=QuantileScaler(), encoder=OrdinalEncoder())
    steps.fit(tables[0])
    known = [count - 1 for count in steps.cardinalities]  # an unknown category is all zeros
    numbers = len(steps.feature_names) - len(known)

    def part(table: Any, y: np.ndarray) -> Part:
        matrix = steps.transform(table)
        codes = matrix[:, numbers:]
        columns = [codes[:, [i]] == np.arange(count) for i, count in enumerate(known)]
        return Part(np.concatenate([matrix[:, :numbers], *columns], axis=1, dtype=np.float32), y)

    return Rows(*map(part, tables, targets), numbers, tuple(known), unit)


def california(seed: int) -> Rows:
    from whet.data import Dataset, read_csv, split_indices

    table = read_csv(folder() / "california_housing.csv.gz")
    rooms, bedrooms, people, households = (
        np.asarray(table[name], np.float64) for name in ("total_rooms", "total_bedrooms", "population", "households")
    )
    features = Dataset(
        {name: table[name] for name in ("median_income", "housing_median_age", "latitude", "longitude")}
        | {"rooms": rooms / households, "bedrooms": bedrooms / households}
        | {"population": people, "occupation": people / households}
    )
    value = np.asarray(table["median_house_value"], np.float64) / CALIFORNIA
    parts = split_indices(len(value), (0.64, 0.16, 0.2), seed=seed)
    middle, unit = value[parts[0]].mean(), value[parts[0]].std()
    targets = [((value[rows] - middle) / unit).astype(np.float32) for rows in parts]
    return _prepared([features.take(rows) for rows in parts], targets, unit)


def adult(seed: int) -> Rows:
    from whet.data import split

    train, test = adult_rows("train"), adult_rows("test")
    parts = [*split(train, sizes=(0.8, 0.2), seed=seed), test]
    targets = [np.array([income.startswith(">50K") for income in part["income"]], np.int64) for part in parts]
    return _prepared([part.select([*NUMBERS, *CATEGORIES]) for part in parts], targets)


def rows_of(dataset: str, seed: int) -> Rows:
    return california(seed) if dataset == "california" else adult(seed)
