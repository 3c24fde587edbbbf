"""Does the rate that a range test suggests train as well as the best of a fine grid?

Ten data sets of scikit-learn and of WHET_DATA, none of which had a part in choosing the rule. Each is trained as
TabularModel does by default, 128-128 with Adam whose rate falls to a tenth for the last fifth, with the suggestion and
with each rate of a grid, four to a decade; scores are means over five folds of small sets, of a fifth set aside of
large ones, and over two seeds. All of it twice: for as many epochs as were asked for, and stopped early, by a fifth of
the training rows. The best of a grid is the best by luck, too: what another seed gives for the same rate is beside it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from bench import tables
from bench.harness import Options, Record

GRID = np.geomspace(1e-4, 1e-1, 13)
SEEDS = 2
LARGE = 5000  # rows
NEAR = 1.05
KINDS = {"all epochs": False, "stopped early": True}


def bundled(name: str) -> Any:
    from sklearn import datasets

    from whet.data import as_dataset

    loaded = getattr(datasets, f"load_{name}")()
    columns = {f"x{i}": column for i, column in enumerate(loaded.data.T)}
    target = loaded.target.astype(np.float64) if name == "diabetes" else [f"c{label}" for label in loaded.target]
    return as_dataset({**columns, "target": target}).with_target("target")


def file(name: str, target: str, dropped: tuple[str, ...] = (), **options: Any) -> Any:
    from whet.data import read_csv

    table = read_csv(Path(os.environ.get("WHET_DATA", "")) / name, target=target, **options)
    return table.drop(dropped) if dropped else table


def adult() -> Any:
    from bench.bench_examples import ADULT

    return file("adult_train.csv.gz", "income", names=ADULT)


SETS: dict[str, Callable[[], Any]] = {
    "iris": lambda: bundled("iris"),
    "wine": lambda: bundled("wine"),
    "breast_cancer": lambda: bundled("breast_cancer"),
    "digits": lambda: bundled("digits"),
    "diabetes": lambda: bundled("diabetes"),
    "penguins": lambda: file("penguins.csv", "species"),
    "adult": adult,
    "california_ocean": lambda: file("california_ocean.csv.gz", "median_house_value"),
    "diamonds": lambda: file("diamonds.csv.gz", "price"),
    "bike_hour": lambda: file("bike_hour.csv.gz", "cnt", ("instant", "dteday", "casual", "registered")),
}


def parts(table: Any, classes: bool) -> Iterator[tuple[Any, Any]]:
    """Training and held rows: of five folds, or of one part."""
    from whet.data import split_indices

    rows = table.rows
    stratify = table.labels if classes else None
    if rows > LARGE:
        train, held = split_indices(rows, (0.8, 0.2), stratify=stratify)
        yield table.take(train), table.take(held)
        return
    blocks = split_indices(rows, [rows // 5 + (i < rows % 5) for i in range(5)], stratify=stratify)
    for i, block in enumerate(blocks):
        yield table.take(np.concatenate(blocks[:i] + blocks[i + 1 :])), table.take(block)


def arrays(train: Any, held: Any, classes: bool) -> tuple[Any, ...]:
    from whet.data import LabelEncoder, Preprocessor, TargetScaler

    steps = Preprocessor().fit(train)
    encoder = (LabelEncoder() if classes else TargetScaler()).fit(train.labels)
    kind = np.int64 if classes else np.float32
    made = [(steps.transform(each), encoder.transform(each.labels).astype(kind)) for each in (train, held)]
    return (*made[0], *made[1])


def scores(rows: list[tuple[Any, ...]], rate: float, classes: bool, epochs: int, early: bool) -> list[dict[str, float]]:
    """Of each seed, the mean over the parts."""
    from whet import NonFiniteError, nn, optim, schedules
    from whet.callbacks import EarlyStopping

    settings: dict[str, Any] = {"loss": "mse", "metrics": "rmse"}
    if classes:
        settings = {"loss": "cross_entropy", "metrics": "accuracy"}
    if early:
        stopping = EarlyStopping(patience=5, restore_best_weights=True)
        settings |= {"validation_fraction": 0.2, "callbacks": [stopping]}
    found = []
    for seed in range(SEEDS):
        each = []
        for X, y, Xh, yh in rows:
            model = nn.MLP(X.shape[1], (128, 128), int(y.max()) + 1 if classes else 1)
            optimizer = optim.Adam(lr=schedules.MultiStep(rate, (0.8,), 0.1))
            try:
                model.fit(X, y, optimizer=optimizer, epochs=epochs, seed=seed, **settings)
                each.append(model.evaluate(Xh, yh))
            except NonFiniteError:
                each.append({"loss": np.inf, "accuracy": 1e-9, "rmse": np.inf})
        found.append({name: float(np.mean([one[name] for one in each])) for name in each[0]})
    return found


def ratio(found: list[dict[str, float]], best: list[dict[str, float]], name: str) -> float:
    """How much worse: 1.05 for 5 %."""
    mine, theirs = (float(np.mean([each[name] for each in some])) for some in (found, best))
    return theirs / mine if name == "accuracy" else mine / theirs


def examine(name: str) -> dict[str, dict[str, Any]]:
    """Of one data set, for each kind of training."""
    from whet import TabularModel, tune

    table = SETS[name]()
    classes = table.labels.dtype.kind not in "fiu"
    score, epochs = "accuracy" if classes else "rmse", 10 if table.rows > LARGE else 40
    suggestion = tune.learning_rate(TabularModel(table.target, hidden=(128, 128)), table).suggestion
    rows = [arrays(train, held, classes) for train, held in parts(table, classes)]
    return {kind: compare(rows, suggestion, classes, epochs, early, score) for kind, early in KINDS.items()}


def compare(
    rows: list[tuple[Any, ...]], suggestion: float, classes: bool, epochs: int, early: bool, score: str
) -> dict[str, Any]:
    """The suggestion beside the best of the grid."""
    grid = [scores(rows, float(rate), classes, epochs, early) for rate in GRID]
    mine = scores(rows, suggestion, classes, epochs, early)

    def best(of: str) -> int:
        means = [np.mean([each[of] for each in some]) for some in grid]
        return int(np.argmax(means) if of == "accuracy" else np.argmin(means))

    top = best(score)
    return {
        "suggestion": suggestion,
        "best rate": float(GRID[top]),
        "score": score,
        "suggested": float(np.mean([each[score] for each in mine])),
        "best": float(np.mean([each[score] for each in grid[top]])),
        "ratio": ratio(mine, grid[top], score),
        "loss ratio": ratio(mine, grid[best("loss")], "loss"),
        "seeds": float(abs(grid[top][0][score] - grid[top][1][score])) / float(np.mean([e[score] for e in grid[top]])),
    }


def run(options: Options) -> Record:
    """A table of all for each kind of training."""
    head = (
        "| | suggestion | best of the grid | measure | with the suggestion | with the best | worse by | within 5 % "
        "| loss worse by | between seeds |\n|---|---|---|---|---|---|---|---|---|---|"
    )
    lines: dict[str, list[str]] = {kind: [head] for kind in KINDS}
    ratios: dict[str, dict[str, list[float]]] = {}
    for name in SETS:
        if options.only not in name:
            continue
        try:
            measured = examine(name)
        except OSError as error:
            print(f"{name} is left out: {error}", file=sys.stderr)
            continue
        ratios[name] = {kind: [found["ratio"]] for kind, found in measured.items()}
        for kind, found in measured.items():
            cells = [
                *(f"{found['suggestion']:.2g}", f"{found['best rate']:.2g}", found["score"]),
                *(f"{found['suggested']:.4g}", f"{found['best']:.4g}", f"{100 * (found['ratio'] - 1):.1f} %"),
                *("yes" if found["ratio"] <= NEAR else "no", f"{100 * (found['loss ratio'] - 1):.1f} %"),
                f"{100 * found['seeds']:.1f} %",
            ]
            lines[kind].append(f"| {name} | {' | '.join(cells)} |")
            print(f"{kind}: {lines[kind][-1]}", flush=True)
    for kind, rows in lines.items():
        print(f"\n**{kind}**\n\n" + "\n".join(rows))
    return {"tables": [tables.make("with the suggestion over the best", ratios, unit="times", kind="value")]}
