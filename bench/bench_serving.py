"""How long does a caller of a loaded model wait for its labels, preprocessing included, alone and among 64 threads?

adult: six columns of numbers, eight of categories, a network 128-128, all of it from a file; one thread for the
kernels. A request is what JSON holds, a dictionary of lists, or a pandas table. scikit-learn's and PyTorch's networks
stand behind a ColumnTransformer of the same steps, which asks for a pandas table; joblib's files have both. 64 callers
ask again as soon as they are answered. Needs the folder that WHET_DATA names.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from threading import Barrier
from typing import Any

import numpy as np
from bench import tables
from bench.harness import Options, Peer, Record, Worker, at_work, present
from bench.memory import peak

HIDDEN, TRAINED, ASKED, TARGET = (128, 128), 5000, 1000, "income"
PEERS = {"whet": Peer("whet"), "scikit-learn": Peer("sklearn"), "torch": Peer("torch")}
CASES = {
    "1 row": dict(rows=1),
    "1 row, pandas": dict(rows=1, pandas=True),
    "1,000 rows": dict(rows=ASKED),
    "1,000 rows, pandas": dict(rows=ASKED, pandas=True),
}
CALLERS = (1, 64)
TURN = 10  # callers ask again for so many times the seconds of a turn

Table = dict[str, list[Any]]
Predict = Callable[[Any], Any]


def write_rows(folder: Path) -> None:
    """Rows to learn and rows to ask for, as JSON."""
    from bench.bench_examples import adult_rows

    table = adult_rows("train")
    for name, rows in (("learnt", slice(TRAINED)), ("asked", slice(TRAINED, TRAINED + ASKED))):
        part = table.take(rows)
        (folder / name).write_text(json.dumps({column: part[column].tolist() for column in part.names}))


def steps(frame: Any) -> Any:
    """What whet's preprocessing does, of scikit-learn."""
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, RobustScaler

    numbers = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), RobustScaler())
    categories = OneHotEncoder(handle_unknown="ignore", sparse_output=False, dtype=np.float32)
    of_numbers = list(frame.select_dtypes("number"))
    others = [name for name in frame if name not in of_numbers]
    return ColumnTransformer([("numbers", numbers, of_numbers), ("categories", categories, others)])


def train(peer: str, folder: Path) -> None:
    """Leaves a file of a model that has seen a few rows."""
    table, path = json.loads((folder / "learnt").read_text()), folder / peer
    if peer == "whet":
        import whet

        model = whet.TabularModel(TARGET, hidden=HIDDEN)
        model.fit(table, epochs=2)
        model.save(path)
        return
    import joblib
    import pandas as pd
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline

    labels, frame = np.array(table.pop(TARGET)), pd.DataFrame(table)
    prepared = steps(frame)
    if peer == "scikit-learn":
        network = MLPClassifier(HIDDEN, max_iter=10, early_stopping=True, n_iter_no_change=1, tol=1)
        joblib.dump(make_pipeline(prepared, network).fit(frame, labels), path)
        return
    from torch import nn

    sizes = (prepared.fit_transform(frame).shape[1], *HIDDEN)
    hidden = [nn.Sequential(nn.Linear(a, b), nn.ReLU()) for a, b in pairwise(sizes)]
    joblib.dump((prepared, nn.Sequential(*hidden, nn.Linear(sizes[-1], 2)).eval(), np.unique(labels)), path)


def opened(peer: str, path: Path) -> Predict:
    """What answers a request."""
    if peer == "whet":
        import whet

        return whet.load(path).predict
    import joblib
    import pandas as pd

    model = joblib.load(path)
    if peer == "scikit-learn":
        return lambda request: model.predict(pd.DataFrame(request))
    import torch

    torch.set_num_threads(1)
    prepared, network, classes = model

    def predict(request):
        rows = prepared.transform(pd.DataFrame(request)).astype(np.float32, copy=False)
        with torch.inference_mode():
            return classes[network(torch.from_numpy(rows)).argmax(dim=1).numpy()]

    return predict


def waits(predict: Predict, request: Any, callers: int, seconds: float) -> tuple[list[float], float]:
    """Seconds that each call took, of callers who begin together and ask again for so long; and for each."""
    together = Barrier(callers)

    def ask(_):
        found = []
        together.wait()
        now = begin = time.perf_counter()
        while now - begin < seconds:
            start = now
            predict(request)
            now = time.perf_counter()
            found.append(now - start)
        return begin, now, found

    with ThreadPoolExecutor(callers) as pool:
        begins, ends, parts = zip(*pool.map(ask, range(callers)), strict=True)
    found = [each for part in parts for each in part]
    return found, (max(ends) - min(begins)) / len(found)


_opened: dict[str, Predict] = {}


def examine(peer, case, threads):
    """The least, median and 99th percentile of the wait, the seconds for a request, and the kilobytes at the peak."""
    folder = Path(case["folder"])
    if case.get("train"):
        return train(peer, folder)
    if peer not in _opened:
        _opened[peer] = opened(peer, folder / peer)
    request = {name: cells[: case["rows"]] for name, cells in json.loads((folder / "asked").read_text()).items()}
    del request[TARGET]
    if case.get("pandas"):
        import pandas as pd

        request = pd.DataFrame(request)
    waits(_opened[peer], request, 1, case["seconds"] / 10)
    found, each = waits(_opened[peer], request, case["callers"], case["seconds"])
    return min(found), np.median(found), np.quantile(found, 0.99), each, peak()


def measured(workers: dict[str, Worker], cases: dict[str, Record], rounds: int) -> list[list[dict[str, Any]]]:
    """For each number of callers, the figures of examine: case -> peer -> rounds."""
    found = [[{title: {name: [] for name in workers} for title in cases} for _ in range(4)] for _ in CALLERS]
    for turn in range(rounds):
        for title, case in cases.items():
            for tables_of, callers in zip(found, CALLERS, strict=True):
                for name in list(workers)[:: -1 if turn % 2 else 1]:
                    figures = workers[name].ask(examine={**case, "callers": callers})
                    for table, figure in zip(tables_of, figures, strict=False):
                        table[title][name].append(figure)
    return found


def run(options: Options) -> Record:
    chosen = present(PEERS, options.peers)
    with tempfile.TemporaryDirectory() as folder:
        write_rows(Path(folder))
        given = {"folder": folder, "seconds": TURN * options.seconds}
        cases = {title: {**case, **given} for title, case in CASES.items() if options.only in title}
        with at_work(__name__, chosen, 1) as workers:
            for worker in workers.values():
                worker.ask(examine={"train": True, "folder": folder})
        kilobytes: dict[str, list[float]] = {}
        for name, peer in chosen.items():
            with at_work(__name__, {name: peer}, 1) as workers:
                asked = {**CASES["1,000 rows"], **given, "callers": CALLERS[-1]}
                kilobytes[name] = [workers[name].ask(examine=asked)[-1]]
        with at_work(__name__, chosen, 1) as workers:
            found = measured(workers, cases, options.rounds)
    made = []
    for (least, median, last, each), callers in zip(found, CALLERS, strict=True):
        title = f"{callers} caller{'s' * (callers > 1)}"
        if callers == 1:
            made.append(tables.make(f"{title}, least", least, unit="ms", kind="time", scale=1e3))
        made.append(tables.make(f"{title}, median", median, unit="ms", kind="time", scale=1e3))
        made.append(tables.make(f"{title}, 99th percentile", last, unit="ms", kind="time", scale=1e3))
        made.append(tables.make(f"{title}, all together", each, unit="requests per second", kind="rate"))
    peak = {f"{CALLERS[-1]} callers of 1,000 rows": kilobytes}
    made.append(tables.make("memory of the process at its peak", peak, unit="MB", kind="amount", scale=1 / 1024))
    for table in made:
        print("\n" + tables.markdown(table))
    return {"tables": made}
