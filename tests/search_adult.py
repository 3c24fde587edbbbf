"""A search of 64 configurations over adult, in a process of its own: what the tests kill, weigh and time.

python -m tests.search_adult kill JOURNAL      searches, with a journal
python -m tests.search_adult memory THREADS    prints by how much the peak of memory grew, and the bytes of the rows
python -m tests.search_adult time              prints the processors' seconds over the seconds of a search
WHET_DATA names the folder of the data.
"""

from __future__ import annotations

import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from bench.memory import peak
from numpy.typing import NDArray

from whet import nn, tune
from whet.data import Preprocessor, read_csv

NAMES = (
    *("age", "workclass", "weight", "education", "years", "marital", "occupation", "relationship", "race", "sex"),
    *("gain", "loss", "hours", "country", "income"),
)
SPACE = {
    "model.hidden": tune.choice([(16,), (32,), (64,), (32, 32)]),
    "optimizer.lr": tune.log_uniform(1e-4, 3e-2),
    "fit.batch_size": tune.choice([128, 256, 512]),
}
FIT: dict[str, Any] = {"loss": "cross_entropy", "epochs": 1}
TRIALS = 64


def rows() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Features and classes of adult's training rows."""
    table = read_csv(Path(os.environ["WHET_DATA"]) / "adult_train.csv.gz", names=NAMES, target="income")
    X = Preprocessor().fit(table).transform(table)
    return X, np.array([income.startswith(">50K") for income in table.labels], np.int64)


def build(width: int) -> Any:
    """Makes models for features of that width."""
    return lambda hidden: nn.MLP(width, hidden, 2)


def search(X: Any, y: Any, **options: Any) -> tune.SearchResult:
    """The search, with further arguments."""
    settings = {**FIT, "trials": TRIALS, "refit": False, **options}
    return tune.search(build(X.shape[1]), SPACE, X, y, **settings)


def main() -> None:
    """See above."""
    what, *arguments = sys.argv[1:]
    X, y = rows()
    if what == "kill":
        search(X, y, journal=arguments[0])
    elif what == "memory":
        X = np.tile(X, 4)  # so that what a training needs besides is little
        search(X[:1000], y[:1000], trials=2, threads=int(arguments[0]))  # what is made once
        Path("/proc/self/clear_refs").write_text("5")  # the peak is that of now
        before = peak()
        search(X, y, threads=int(arguments[0]))
        print((peak() - before) * 1024, X.nbytes)
    else:
        search(X[:1000], y[:1000], trials=2)
        began, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
        search(X, y, epochs=int(arguments[0]) if arguments else 3)
        wall, now = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
        user, system = now.ru_utime - used.ru_utime, now.ru_stime - used.ru_stime
        print(f"{user:.2f} s of user time, {system:.2f} of the system's, {wall:.2f} s: {user / wall:.3f} processors")


if __name__ == "__main__":
    main()
