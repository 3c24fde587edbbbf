"""How well do models of several kinds do on real data, beside what they should reach?

Each example names its target; figures are of the test rows after the last epoch, for several seeds. Nothing was chosen
on test rows: an example called to choose trains on a part of the training rows and looks at the rest of them, and
settings were chosen by that. WHET_DATA names the folder of the data.
"""

from __future__ import annotations

import os
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from bench import tables
from bench.harness import Options, Record

Rows = tuple[np.ndarray, np.ndarray]
Figures = dict[str, float]

CATEGORIES = ("workclass", "education", "marital", "occupation", "relationship", "race", "sex", "country")
NUMBERS = ("age", "weight", "years", "gain", "loss", "hours")
ADULT = (
    *("age", "workclass", "weight", "education", "years", "marital", "occupation", "relationship", "race", "sex"),
    *("gain", "loss", "hours", "country", "income"),
)
QUANTILES = (0.1, 0.5, 0.9)
BELOW = "housing, share below the {} quantile, %"
LINEAR = "bike_hour, without a hidden layer"


def folder() -> Path:
    return Path(os.environ.get("WHET_DATA", ""))


def two(rows: Rows, share: float, seed: int) -> tuple[Rows, Rows]:
    """Rows in two parts, of which the second has this share."""
    from whet.data import split

    first, second = split(*rows, sizes=(1 - share, share), seed=seed)
    return first, second


def mnist(seed: int, choosing: bool) -> Figures:
    """784-512-512-10 with dropout and a rate of one cycle."""
    from whet import nn, optim, schedules

    with np.load(folder() / "mnist.npz") as arrays:
        train, held = (
            (arrays[f"{part}_images"].reshape(-1, 784).astype(np.float32) / 255, arrays[f"{part}_labels"])
            for part in ("train", "test")
        )
    if choosing:
        train, held = two(train, 1 / 6, 0)
    model = nn.Sequential(nn.Dropout(0.1), nn.MLP(784, (512, 512), 10, dropout=0.4))
    optimizer = optim.AdamW(lr=schedules.OneCycle(3e-3, pct_start=0.2))
    settings = dict(loss="cross_entropy", optimizer=optimizer, batch_size=256, epochs=16, seed=seed)
    model.fit(*train, **settings)
    return {"MNIST, accuracy, %": 100 * float((model.predict(held[0]).argmax(axis=1) == held[1]).mean())}


def adult_rows(name: str) -> Any:
    from whet.data import read_csv

    kinds = dict.fromkeys(CATEGORIES, "category") | dict.fromkeys(NUMBERS, "number")
    return read_csv(folder() / f"adult_{name}.csv.gz", names=ADULT, kinds=kinds)


def adult(seed: int, choosing: bool) -> Figures:
    """A vector of eight numbers for each category, the numbers beside them, and 256-128."""
    from whet import nn, optim, schedules
    from whet.data import StandardScaler, split

    train, held = adult_rows("train"), adult_rows("test")
    if choosing:
        train, held = split(train, sizes=(0.8, 0.2), seed=0)
    codes = {name: {c: i + 1 for i, c in enumerate(sorted(set(train[name]) - {None}))} for name in CATEGORIES}

    def numbers(table: Any) -> np.ndarray:
        return np.stack([table[name] for name in NUMBERS], axis=1).astype(np.float64)

    scaler = StandardScaler().fit(numbers(train))

    def rows(table: Any) -> Rows:
        known = [[codes[name].get(cell, 0) for cell in table[name]] for name in CATEGORIES]
        x = np.concatenate([np.array(known).T, scaler.transform(numbers(table))], axis=1).astype(np.float32)
        return x, np.array([income.startswith(">50K") for income in table["income"]], np.float32)

    class Classifier(nn.Module):
        def __init__(self) -> None:
            self.tables = [nn.Embedding(len(known) + 1, 8) for known in codes.values()]
            self.net = nn.MLP(8 * len(codes) + len(NUMBERS), (256, 128), 1, dropout=0.3)

        def forward(self, x):
            vectors = [table(x[:, i : i + 1]).flatten() for i, table in enumerate(self.tables)]
            return self.net(nn.concatenate([*vectors, x[:, len(codes) :]]))

    model, (x, y) = Classifier(), rows(held)
    optimizer = optim.AdamW(lr=schedules.OneCycle(2e-3), weight_decay=0.05)
    model.fit(*rows(train), loss="bce_with_logits", optimizer=optimizer, batch_size=256, epochs=10, seed=seed)
    return {"adult, accuracy, %": 100 * float(((model.predict(x)[:, 0] > 0) == y).mean())}


def bikes() -> tuple[Rows, Rows]:
    """Of every hour what a category or a number tells, without date and parts of the count; the last fifth held out."""
    from whet.data import OneHotEncoder, Preprocessor, StandardScaler, read_csv, split

    several = ("season", "mnth", "hr", "weekday", "weathersit")
    kinds = dict.fromkeys(several, "category")
    table = read_csv(folder() / "bike_hour.csv.gz", target="cnt", kinds=kinds)
    train, held = split(table, sizes=(0.8, 0.2), time="instant")
    dropped = ("instant", "dteday", "casual", "registered")
    steps = Preprocessor(scaler=StandardScaler(), encoder=OneHotEncoder())
    steps.fit(train.drop(dropped))
    first, second = ((steps.transform(part.drop(dropped)), part.labels.astype(np.float32)) for part in (train, held))
    return first, second


def bike(seed: int, choosing: bool) -> Figures:
    """A Poisson regression with a hidden layer, and one without from scikit-learn."""
    from sklearn.linear_model import PoissonRegressor
    from sklearn.metrics import mean_poisson_deviance

    from whet import losses, nn, optim, schedules

    (x, y), (xt, yt) = bikes()
    if choosing:  # the last fifth of the training rows
        cut = len(x) * 4 // 5
        (x, y), (xt, yt) = (x[:cut], y[:cut]), (x[cut:], y[cut:])
    model = nn.MLP(x.shape[1], (64,), 1)
    optimizer = optim.AdamW(lr=schedules.OneCycle(5e-3), weight_decay=0.1)
    model.fit(x, y, loss=losses.PoissonNLLLoss(), optimizer=optimizer, batch_size=256, epochs=15, seed=seed)
    linear = PoissonRegressor(alpha=0, max_iter=1000).fit(x.astype(np.float64), y)
    ours = np.exp(model.predict(xt)[:, 0].astype(np.float64))
    return {
        "bike_hour, Poisson deviance": float(mean_poisson_deviance(yt, ours)),
        LINEAR: float(mean_poisson_deviance(yt, linear.predict(xt.astype(np.float64)))),
    }


def housing(seed: int, choosing: bool) -> Figures:
    """Three quantiles of a house's value from one network."""
    from whet import losses, nn, optim, schedules
    from whet.data import StandardScaler, read_csv

    table = read_csv(folder() / "california_housing.csv.gz", target="median_house_value")
    train, held = two((table.matrix(np.float64), table.labels.astype(np.float64)), 0.2, seed)
    if choosing:
        train, held = two(train, 0.2, 0)
    scaler, middle, spread = StandardScaler().fit(train[0]), train[1].mean(), train[1].std()
    model = nn.MLP(table.columns, (128, 128), len(QUANTILES), dropout=0.05)
    optimizer = optim.AdamW(lr=schedules.OneCycle(3e-3))
    settings = dict(loss=losses.QuantileLoss(QUANTILES), optimizer=optimizer, batch_size=256, epochs=30, seed=seed)
    model.fit(scaler.transform(train[0]), (train[1] - middle) / spread, **settings)
    below = held[1][:, None] < model.predict(scaler.transform(held[0])) * spread + middle
    return {
        BELOW.format(quantile): 100 * float(share)
        for quantile, share in zip(QUANTILES, below.mean(axis=0), strict=True)
    }


@dataclass(frozen=True)
class Example:
    """`trial` takes a seed, and whether to choose settings: then it looks at no test row."""

    trial: Callable[[int, bool], Figures]
    file: str
    seeds: int
    unit: str
    goals: dict[str, str]  # what each figure should reach, by its mean over the seeds


EXAMPLES = {
    "MNIST": Example(mnist, "mnist.npz", 3, "%", {"MNIST, accuracy, %": ">= 98.4"}),
    "adult": Example(adult, "adult_test.csv.gz", 5, "%", {"adult, accuracy, %": ">= 85.2"}),
    "bike_hour": Example(bike, "bike_hour.csv.gz", 5, "deviance", {"bike_hour, Poisson deviance": f"< {LINEAR}"}),
    "housing": Example(
        housing, "california_housing.csv.gz", 5, "%", {BELOW.format(q): f"{100 * q:g} +- 2" for q in QUANTILES}
    ),
}


def reached(goal: str, value: float, others: Figures) -> bool:
    """Whether a mean meets ">= number", "number +- number", or "< the name of another figure"."""
    if goal.startswith(">= "):
        return value >= float(goal[3:])
    if goal.startswith("< "):
        return value < others[goal[2:]]
    middle, distance = map(float, goal.split(" +- "))
    return abs(value - middle) <= distance


def run(options: Options) -> Record:
    rows: dict[str, dict[str, dict[str, list[float]]]] = {}
    lines = ["| | target | mean | deviation | lowest to highest | seeds | reached |", "|---|---|---|---|---|---|---|"]
    for name, example in EXAMPLES.items():
        if options.only not in name:
            continue
        if not (folder() / example.file).is_file():
            print(f"{name} is left out: WHET_DATA names no folder with {example.file}", file=sys.stderr)
            continue
        found = [example.trial(seed, False) for seed in range(min(example.seeds, options.rounds))]
        means = {title: statistics.mean(each[title] for each in found) for title in found[0]}
        for title, mean in means.items():
            values = [each[title] for each in found]
            rows.setdefault(example.unit, {})[title] = {"whet" if title in example.goals else "scikit-learn": values}
            goal = example.goals.get(title, "")
            yes = ("yes" if reached(goal, mean, means) else "no") if goal else ""
            spread = statistics.stdev(values) if len(values) > 1 else 0.0
            cells = [
                goal,
                f"{mean:.2f}",
                f"{spread:.2f}",
                f"{min(values):.2f} to {max(values):.2f}",
                str(len(values)),
                yes,
            ]
            lines.append(f"| {title} | {' | '.join(cells)} |")
            print(lines[-1], flush=True)
    print("\n" + "\n".join(lines))
    return {"tables": [tables.make("test rows", row, unit=unit, kind="value") for unit, row in rows.items()]}
