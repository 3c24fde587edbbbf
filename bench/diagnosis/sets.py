"""Data sets for seeded faults: some to write rules by, others to measure them on."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import Any

import numpy as np

from whet import data
from whet.data import Dataset
from whet.data.columns import is_missing

# Rules are written by looking at these alone.
DEVELOPMENT = ("friedman", "blobs", "rings", "iris", "wine", "concrete", "energy", "power-plant", "wine-quality-red")
# These were not looked at before a measurement.
HELD_OUT = ("adult", "california", "bike", "diamonds", "penguins", "breast-cancer", "digits", "mnist")
# Nor were these while rules of underfitting were mended by looking at new draws of all those above: other data, or
# other targets of tables above.
FRESH = (
    "yacht",
    "hastie",
    "diabetes",
    "bike-casual",
    "moons",
    "california-income",
    "friedman-2",
    "mnist-odd",
    "adult-age",
    "penguins-mass",
)
# Nor these while rules of rates were mended after a look at the fresh ones.
LAST = (
    "spirals",
    "friedman-3",
    "diamonds-cut",
    "california-age",
    "gaussian-quantiles",
    "bike-registered",
    "penguins-sex",
    "swiss-roll",
    "wine-alcohol",
    "mnist-large",
    "checkerboard",
    "adult-hours",
)

CLASSES = {"blobs", "rings", "iris", "wine", "adult", "penguins", "breast-cancer", "digits", "mnist"}
CLASSES |= {"hastie", "moons", "mnist-odd"}
CLASSES |= {"spirals", "diamonds-cut", "gaussian-quantiles", "penguins-sex", "mnist-large", "checkerboard"}
# Where a linear model is clearly worse than a network.
CURVED = {"friedman", "rings", "concrete", "energy", "california", "bike", "diamonds"}
CURVED |= {"yacht", "hastie", "bike-casual", "moons", "california-income", "friedman-2"}
CURVED |= {"spirals", "friedman-3", "gaussian-quantiles", "bike-registered", "swiss-roll", "checkerboard"}
MOST_ROWS = 3000
NOT_FEATURES = ("instant", "dteday", "casual", "registered")  # of bike: numbers of rows, days, and parts of the target


def load(name: str, rows: int, rng: np.random.Generator) -> Dataset:
    """At most so many rows of a data set, drawn at random."""
    table = _read(name) if name in _TABLES else _of_arrays(name, rng)
    return table.take(np.sort(rng.permutation(table.rows)[: min(rows, MOST_ROWS)]))


@functools.cache
def _read(name: str) -> Dataset:
    table: Dataset = _TABLES[name]()
    return table


def _folder() -> Path:
    if "WHET_DATA" not in os.environ:
        raise SystemExit("WHET_DATA has to name the folder of data sets")
    return Path(os.environ["WHET_DATA"])


def _adult(target: str) -> Dataset:
    names = [*(f"x{i}" for i in range(14)), "income"]
    return data.read_csv(_folder() / "adult_train.csv.gz", names=names, target=target)


def _bike(target: str) -> Dataset:
    table = data.read_csv(_folder() / "bike_hour.csv.gz").with_target(target)
    return table.select([name for name in table.names if name not in (*NOT_FEATURES, "cnt")])


def _penguins(target: str) -> Dataset:
    table = data.read_csv(_folder() / "penguins.csv").with_target(target)
    assert table.labels is not None
    return table.take(np.flatnonzero(~is_missing(table.labels)))


def _diamonds(target: str) -> Dataset:
    return data.read_csv(_folder() / "diamonds.csv.gz").with_target(target)


def _diamonds_cut() -> Dataset:
    """Cuts, of which the poorest, 3 % of all, counts with the next one: a rare class is a fault of its own."""
    table = _diamonds("cut")
    labels = np.where(table.labels == "Fair", "Good", table.labels)
    return Dataset(table.features, labels, kinds=table.kinds, target="cut")


_TABLES: dict[str, Any] = {
    "adult": lambda: _adult("income"),
    "adult-age": lambda: _adult("x0"),
    "adult-hours": lambda: _adult("x12"),
    "bike": lambda: _bike("cnt"),
    "bike-casual": lambda: _bike("casual"),
    "bike-registered": lambda: _bike("registered"),
    "california": lambda: data.load_california_housing(),
    "california-age": lambda: data.load_california_housing().with_target("housing_median_age"),
    "california-income": lambda: data.load_california_housing().with_target("median_income"),
    "diamonds": lambda: _diamonds("price"),
    "diamonds-cut": _diamonds_cut,
    "penguins": lambda: _penguins("species"),
    "penguins-mass": lambda: _penguins("body_mass_g"),
    "penguins-sex": lambda: _penguins("sex"),
}


def _of_arrays(name: str, rng: np.random.Generator) -> Dataset:
    X, y = _arrays(name, rng)
    # Images have pixels that are hardly ever lit: in a part of the rows they are constant, which is a fault of its own.
    usual = (np.median(X, axis=0) == X).mean(axis=0)
    return Dataset(np.ascontiguousarray(X[:, usual < 0.97]), labels=y)


def _arrays(name: str, rng: np.random.Generator) -> tuple[Any, Any]:
    if name == "friedman":
        X = rng.uniform(size=(2000, 10))
        y = 10 * np.sin(np.pi * X[:, 0] * X[:, 1]) + 20 * (X[:, 2] - 0.5) ** 2 + 10 * X[:, 3] + 5 * X[:, 4]
        return X, y + rng.normal(size=len(y))
    if name == "blobs":
        centres = rng.normal(size=(4, 8)) * 1.2
        y = rng.integers(0, 4, 1500)
        return centres[y] + rng.normal(size=(1500, 8)), y
    if name == "rings":
        y = rng.integers(0, 2, 1200)
        angle, radius = rng.uniform(0, 2 * np.pi, 1200), 1 + y + 0.3 * rng.normal(size=1200)
        return np.column_stack([radius * np.cos(angle), radius * np.sin(angle), rng.normal(size=(1200, 3))]), y
    if name == "hastie":
        X = rng.normal(size=(3000, 10))
        return X, ((X**2).sum(axis=1) > 9.34).astype(int)
    if name == "moons":
        y, angle = rng.integers(0, 2, 1500), rng.uniform(0, np.pi, 1500)
        X = np.column_stack([np.cos(angle) * (1 - 2 * y) + y, np.sin(angle) * (1 - 2 * y) + y / 2])
        return np.column_stack([X + 0.2 * rng.normal(size=X.shape), rng.normal(size=(1500, 2))]), y
    if name == "friedman-2":
        X = rng.uniform(size=(1500, 4)) * [100, 520 * np.pi, 1, 10] + [0, 40 * np.pi, 0, 1]
        y = np.sqrt(X[:, 0] ** 2 + (X[:, 1] * X[:, 2] - 1 / (X[:, 1] * X[:, 3])) ** 2)
        return X, y + 0.1 * y.std() * rng.normal(size=len(y))
    if name in ("spirals", "friedman-3", "gaussian-quantiles", "swiss-roll", "checkerboard"):
        return _drawn(name, rng)
    if name.startswith("mnist"):
        images = np.load(_folder() / "mnist.npz")
        chosen = rng.permutation(60000)[:MOST_ROWS]
        labels = images["train_labels"][chosen]
        asked = {"mnist": labels, "mnist-odd": labels % 2, "mnist-large": (labels > 4).astype(int)}[name]
        return images["train_images"][chosen].reshape(-1, 784)[:, ::3] / 255.0, asked
    if name in ("iris", "wine", "breast-cancer", "digits", "diabetes"):
        from sklearn import datasets

        found = getattr(datasets, f"load_{name.replace('-', '_')}")()
        return found.data, found.target
    folder = _folder() / "uci" / {"wine-alcohol": "wine-quality-red"}.get(name, name)
    table = np.loadtxt(folder / "data.txt")
    features = np.loadtxt(folder / "index_features.txt").astype(int)
    if name == "wine-alcohol":
        return table[:, features[:-1]], table[:, features[-1]]
    return table[:, features], table[:, int(np.loadtxt(folder / "index_target.txt"))]


def _drawn(name: str, rng: np.random.Generator) -> tuple[Any, Any]:
    """What scikit-learn draws for examples, and two arms, and squares of a board."""
    from sklearn import datasets

    seed = int(rng.integers(2**31))
    if name == "friedman-3":
        return datasets.make_friedman3(2000, noise=0.05, random_state=seed)
    if name == "gaussian-quantiles":
        return datasets.make_gaussian_quantiles(n_samples=2000, n_features=6, n_classes=3, random_state=seed)
    if name == "swiss-roll":
        return datasets.make_swiss_roll(2000, noise=0.3, random_state=seed)
    if name == "checkerboard":
        X = rng.uniform(size=(2500, 4))
        return X, (np.floor(3 * X[:, 0]) + np.floor(3 * X[:, 1])).astype(int) % 2
    y, angle = rng.integers(0, 2, 2000), np.sqrt(rng.uniform(size=2000)) * 2 * np.pi
    X = (angle * np.stack([np.cos(angle), np.sin(angle)]) * (2 * y - 1)).T
    return X + 0.3 * rng.normal(size=X.shape), y
