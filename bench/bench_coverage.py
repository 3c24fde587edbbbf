"""How many test rows lie in 90 % intervals and sets, where rows come in any order and where time goes on?

Five seeds each. A model learns from some rows, intervals from others, and the figure is the share of test rows whose
target lies inside; beside it stand the mean width of an interval, as a share of the targets' deviation, or the mean
number of classes in a set. WHET_DATA names the folder of the data.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from bench import tables
from bench.bench_examples import adult_rows, folder
from bench.harness import Options, Record

LEVEL = 0.9
SEEDS = 5
Parts = tuple[Any, Any, Any]  # to learn from, held out, test rows


def housing(seed: int) -> Parts:
    from whet.data import read_csv, split

    table = read_csv(folder() / "california_housing.csv.gz", target="median_house_value")
    learnt, held, later = split(table, sizes=(0.6, 0.2, 0.2), seed=seed)
    return learnt, held, later


def bikes() -> Any:
    """Without the date, and the parts that the count is a sum of; "instant" numbers the hours."""
    from whet.data import read_csv

    kinds = dict.fromkeys(("season", "mnth", "hr", "weekday", "weathersit"), "category")
    table = read_csv(folder() / "bike_hour.csv.gz", target="cnt", kinds=kinds)
    return table.drop(["dteday", "casual", "registered"])


def bike(seed: int) -> Parts:
    from whet.data import split

    learnt, held, later = split(bikes().drop(["instant"]), sizes=(0.6, 0.2, 0.2), seed=seed)
    return learnt, held, later


def bike_later(seed: int) -> Parts:
    """The test rows are the last fifth; the held-out ones are drawn from all before."""
    from whet.data import split

    before, later = split(bikes(), sizes=(0.8, 0.2), time="instant")
    learnt, held = split(before.drop(["instant"]), sizes=(0.75, 0.25), seed=seed)
    return learnt, held, later.drop(["instant"])


def bike_in_turn(seed: int) -> Parts:
    """Likewise, but the held-out rows are the fifth before the last."""
    from whet.data import split

    parts = split(bikes(), sizes=(0.6, 0.2, 0.2), time="instant")
    learnt, held, later = (part.drop(["instant"]) for part in parts)
    return learnt, held, later


def adult(seed: int) -> Parts:
    from whet.data import split

    table, later = (adult_rows(name) for name in ("train", "test"))
    later = later.with_columns({"income": [cell.rstrip(".") for cell in later["income"]]})
    learnt, held = split(table, sizes=(0.75, 0.25), seed=seed)
    return learnt, held, later


def margin(target: str, parts: Parts, seed: int) -> tuple[float, float]:
    """One margin for all rows."""
    import whet

    model = whet.TabularModel(target, task="regression")
    model.fit(parts[0], epochs=20, seed=seed)
    return of_intervals(model, parts)


def quantiles(target: str, parts: Parts, seed: int) -> tuple[float, float]:
    """The quantiles of a second kind of network, widened or narrowed."""
    import whet
    from whet import losses, nn

    def network(features: int, _: int) -> nn.Module:
        return nn.MLP(features, (128, 128), 2)

    model = whet.TabularModel(target, task="regression", network=network)
    model.fit(parts[0], loss=losses.QuantileLoss((0.05, 0.95)), epochs=20, seed=seed)
    return of_intervals(model, parts)


def of_intervals(model: Any, parts: Parts) -> tuple[float, float]:
    from whet.calibration import conformal_regression

    _, held, later = parts
    low, high = conformal_regression(model, held).predict_interval(later, LEVEL).T
    truth = later.with_target(model.target).labels.astype(np.float64)
    return float(((low <= truth) & (truth <= high)).mean()), float((high - low).mean() / truth.std())


def sets(method: str) -> Callable[[str, Parts, int], tuple[float, float]]:
    def found(target: str, parts: Parts, seed: int) -> tuple[float, float]:
        import whet
        from whet.calibration import conformal_classification

        model = whet.TabularModel(target, hidden=(64,))
        model.fit(parts[0], epochs=5, seed=seed)
        inside = conformal_classification(model, parts[1], method=method, seed=seed).predict_set(parts[2], LEVEL)
        truth = model.classes_.tolist()
        place = [truth.index(label) for label in parts[2].with_target(target).labels]
        return float(inside[np.arange(len(place)), place].mean()), float(inside.sum(axis=1).mean())

    return found


CASES: dict[str, tuple[Callable[[int], Parts], str, str, Callable[[str, Parts, int], tuple[float, float]]]] = {
    "california_housing, one margin": (housing, "california_housing", "median_house_value", margin),
    "california_housing, quantiles": (housing, "california_housing", "median_house_value", quantiles),
    "bike_hour, one margin": (bike, "bike_hour", "cnt", margin),
    "bike_hour, quantiles": (bike, "bike_hour", "cnt", quantiles),
    "bike_hour, the last fifth, one margin": (bike_later, "bike_hour", "cnt", margin),
    "bike_hour, the last fifth, quantiles": (bike_later, "bike_hour", "cnt", quantiles),
    "bike_hour, the last fifth, calibrated on the one before, one margin": (bike_in_turn, "bike_hour", "cnt", margin),
    "bike_hour, the last fifth, calibrated on the one before, quantiles": (
        bike_in_turn,
        "bike_hour",
        "cnt",
        quantiles,
    ),
    "adult, sets by lac": (adult, "adult_test", "income", sets("lac")),
    "adult, sets by aps": (adult, "adult_test", "income", sets("aps")),
}


def run(options: Options) -> Record:
    shares: dict[str, dict[str, list[float]]] = {}
    sizes: dict[str, dict[str, list[float]]] = {}
    lines = ["| | rows inside, %: mean | of each seed | mean width or classes |", "|---|---|---|---|"]
    for title, (parts_of, file, target, method) in CASES.items():
        if options.only not in title:
            continue
        if not (folder() / f"{file}.csv.gz").is_file():
            print(f"{title} is left out: WHET_DATA names no folder with {file}.csv.gz", file=sys.stderr)
            continue
        found = [method(target, parts_of(seed), seed) for seed in range(min(SEEDS, options.rounds))]
        inside, size = ([each[i] for each in found] for i in range(2))
        shares[title] = {"whet": [100 * share for share in inside]}
        sizes[title] = {"whet": size}
        each = ", ".join(f"{100 * share:.1f}" for share in inside)
        lines.append(f"| {title} | {100 * np.mean(inside):.1f} | {each} | {np.mean(size):.2f} |")
        print(lines[-1], flush=True)
    print("\n" + "\n".join(lines))
    return {
        "tables": [
            tables.make("rows inside", shares, unit="%", kind="value"),
            tables.make("mean width or number of classes", sizes, unit="deviations or classes", kind="value"),
        ]
    }
