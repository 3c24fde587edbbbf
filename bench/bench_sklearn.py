"""Do whet's estimators train faster than scikit-learn's of the same names, default against default, to equal scores?

Each case is one estimator on one data set. In every round both fit the same training rows with the same seed, one after
the other in turns, and are scored on the same test rows, a fifth of all. Inputs are scaled and encoded before, by
scikit-learn for both. WHET_DATA names the folder of the data.
The time of the processors is that of all threads together: it says more where the machine does other work, too.
"""

from __future__ import annotations

import math
import os
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from bench import tables
from bench.bench_examples import ADULT
from bench.harness import Options, Record

Rows = tuple[np.ndarray, np.ndarray]
Found = dict[str, dict[str, dict[str, list[float]]]]  # of what, case and peer

CLASSIFIERS = ("MLPClassifier", "LogisticRegression", "SGDClassifier")
REGRESSORS = ("MLPRegressor", "LinearRegression", "Ridge", "Lasso", "ElasticNet", "SGDRegressor", "QuantileRegressor")
COUNTS = ("PoissonRegressor",)
LEFT_OUT = {("QuantileRegressor", "california"), ("QuantileRegressor", "diamonds")}  # gigabytes in scikit-learn's form


def read(name: str, names: tuple[str, ...] | None = None) -> Any:
    import pandas

    path = Path(os.environ.get("WHET_DATA", "")) / name
    return pandas.read_csv(path, names=names, na_values="?", skipinitialspace=True)


def encoded(table: Any, target: str) -> Rows:
    """The rows of a table without gaps; categories as columns of zeros and ones, numbers scaled."""
    import pandas
    from sklearn.preprocessing import StandardScaler

    rows = table.dropna()
    X = pandas.get_dummies(rows.drop(columns=target)).to_numpy(np.float64)
    return StandardScaler().fit_transform(X), rows[target].to_numpy()


def data_sets() -> dict[str, Callable[[], Rows]]:
    from sklearn import datasets
    from sklearn.preprocessing import StandardScaler

    def bundled(load: Callable[..., Rows]) -> Rows:
        X, y = load(return_X_y=True)
        return StandardScaler().fit_transform(X), y

    return {
        "iris": lambda: bundled(datasets.load_iris),
        "wine": lambda: bundled(datasets.load_wine),
        "cancer": lambda: bundled(datasets.load_breast_cancer),
        "digits": lambda: bundled(datasets.load_digits),
        "adult": lambda: encoded(read("adult_train.csv.gz", ADULT), "income"),
        "diabetes": lambda: bundled(datasets.load_diabetes),
        "california": lambda: encoded(read("california_housing.csv.gz"), "median_house_value"),
        "diamonds": lambda: encoded(read("diamonds.csv.gz"), "price"),
    }


def cases() -> Iterator[tuple[str, str]]:
    for data in data_sets():
        regression = data in ("diabetes", "california", "diamonds")
        for name in (*REGRESSORS, *COUNTS) if regression else CLASSIFIERS:
            if (name, data) not in LEFT_OUT:
                yield name, data


def fitted(kind: Any, train: Rows, test: Rows, seed: int) -> dict[str, float]:
    """Seconds of a fit by the clock and of the processors, and the score of the test rows."""
    model = kind()
    if "random_state" in model.get_params():
        model.set_params(random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        start, busy = time.perf_counter(), time.process_time()
        model.fit(*train)
        taken = {"wall": time.perf_counter() - start, "processors": time.process_time() - busy}
        return taken | {"score": float(model.score(*test))}


def measured(chosen: list[tuple[str, str]], seeds: range) -> Found:
    """What fits of these estimators on these data sets give."""
    import sklearn.linear_model
    import sklearn.neural_network
    from sklearn.model_selection import train_test_split

    import whet.sklearn

    found: Found = {what: {} for what in ("wall", "processors", "score")}
    loaded: dict[str, Rows] = {}
    for name, data in chosen:
        case = f"{name}, {data}"
        if data not in loaded:
            loaded[data] = data_sets()[data]()
        theirs = getattr(sklearn.neural_network if name.startswith("MLP") else sklearn.linear_model, name)
        kinds = {"whet": getattr(whet.sklearn, name), "scikit-learn": theirs}
        for numbers in found.values():
            numbers[case] = {peer: [] for peer in kinds}
        for seed in seeds:
            X, held, y, truth = train_test_split(*loaded[data], test_size=0.2, random_state=seed)
            for peer in list(kinds)[:: -1 if seed % 2 else 1]:
                for what, number in fitted(kinds[peer], (X, y), (held, truth), seed).items():
                    found[what][case][peer].append(number)
        print(case, {peer: f"{min(taken):.4f}" for peer, taken in found["wall"][case].items()}, flush=True)
    return found


def tabled(found: Found) -> Record:
    """What was measured, as tables."""
    shares = {
        f"{kind}, by {what}": each for what in ("wall", "processors") for kind, each in ratios(found[what]).items()
    }
    return {
        "tables": [
            tables.make("time of a fit", found["wall"], unit="ms", kind="time", scale=1e3),
            tables.make("time of the processors", found["processors"], unit="ms", kind="time", scale=1e3),
            tables.make("score of the test rows", found["score"], unit="accuracy, R2 or D2", kind="value"),
            tables.make("ratio of the times", shares, unit="geometric mean, x: whet's advantage", kind="value"),
        ]
    }


def run(options: Options) -> Record:
    made = tabled(measured([each for each in cases() if options.only in ", ".join(each)], range(options.rounds)))
    for part in made["tables"]:
        print("\n" + tables.markdown(part))
    return made


def ratios(seconds: dict[str, dict[str, list[float]]]) -> dict[str, dict[str, list[float]]]:
    """scikit-learn's median time by whet's: a geometric mean over the data sets of an estimator, and of each kind."""
    found: dict[str, list[float]] = {}
    for case, taken in seconds.items():
        name = case.partition(",")[0]
        ratio = statistics.median(taken["scikit-learn"]) / statistics.median(taken["whet"])
        for key in (name, "all perceptrons" if name.startswith("MLP") else "all linear estimators"):
            found.setdefault(key, []).append(ratio)
    return {key: {"whet": [math.exp(statistics.fmean(map(math.log, each)))]} for key, each in found.items()}
