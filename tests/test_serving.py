"""A loaded model in a service: predictions from many threads and processes at once, their memory and their threads."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import polars as pl
import pytest

import whet
from tests.helpers import run_python, same_bits
from whet import data, ops

CALLERS = 64
WAIT = 120  # seconds after which threads count as stuck


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("service") / "penguins.whet"
    model = whet.TabularModel("species", hidden=(16,))
    model.fit(data.load_penguins(), epochs=5, seed=0)
    model.save(path)
    return path


@pytest.fixture(scope="module")
def requests():
    """Tables of one and of many rows as dicts of lists and of arrays, and of pandas and Polars."""
    table = data.load_penguins()
    tables = []
    for start, rows in ((0, 1), (3, 1), (7, 40), (0, 344)):
        part = table.take(slice(start, start + rows))
        lists = {name: [None if cell != cell else cell for cell in part[name].tolist()] for name in part.names}
        tables += [lists, {name: part[name] for name in part.names}, pd.DataFrame(lists), pl.DataFrame(lists)]
    return tables


def asked(model, table):
    return model.predict(table), model.predict_proba(table)


def agree(found, expected):
    return found[0].tolist() == expected[0].tolist() and same_bits(found[1], expected[1])


def test_64_threads_get_the_answers_of_one(path, requests):
    model = whet.load(path)
    expected = [asked(model, table) for table in requests]
    wrong, together = [], threading.Barrier(CALLERS)

    def caller(first):
        together.wait(WAIT)
        for call in range(2 * len(requests)):
            which = (first + call) % len(requests)
            if not agree(asked(model, requests[which]), expected[which]):
                wrong.append((first, call))

    threads = [threading.Thread(target=caller, args=(first,), daemon=True) for first in range(CALLERS)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(WAIT)
    assert not any(each.is_alive() for each in threads), "a caller is stuck"
    assert wrong == []


def test_the_first_predictions_may_come_at_once(path, requests):
    """Whatever a model makes when it is first used, it makes once or alike."""
    expected = asked(whet.load(path), requests[0])
    for _ in range(5):
        model, together = whet.load(path), threading.Barrier(CALLERS)

        def first(_, model=model, together=together):
            together.wait(WAIT)
            return asked(model, requests[0])

        with ThreadPoolExecutor(CALLERS) as pool:
            assert all(agree(found, expected) for found in pool.map(first, range(CALLERS), timeout=WAIT))


GROWTH = """
import sys
from concurrent.futures import ThreadPoolExecutor
import whet
from whet import data

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4

model, table = whet.load(sys.argv[1]), data.load_penguins()
row = {name: table[name][:1].tolist() for name in table.names}

def ask(calls):
    for _ in range(calls):
        model.predict(row)

with ThreadPoolExecutor(64) as pool:
    list(pool.map(ask, [40] * 64))
    concurrent = resident()
ask(1000)
before = resident()
ask(5000)
print(concurrent, resident() - before)
"""


def test_memory_does_not_grow(path):
    if not os.path.exists("/proc/self/statm"):
        pytest.skip("no /proc on this system")
    peak, growth = map(int, run_python("-c", GROWTH, str(path)).split())
    assert peak < 100_000  # kilobytes; twice what Python, NumPy and whet take
    assert growth < 500  # 100 bytes for each of 5000 calls


# 1024 x 1024 x 1024 multiply-adds are worth every thread that there is.
LARGE = np.ones((1024, 1024), np.float32)

CROWD = """
import os
from concurrent.futures import ThreadPoolExecutor
import numpy as np
from whet import ops

a = np.ones((512, 512), np.float32)
ops.matmul(a, a)
alone = len(os.listdir("/proc/self/task"))
with ThreadPoolExecutor(16) as pool:
    list(pool.map(lambda _: [ops.matmul(a, a) for _ in range(5)], range(64)))
    print(alone, len(os.listdir("/proc/self/task")))
"""


def test_callers_share_the_threads_of_the_kernels():
    if not os.path.exists("/proc/self/task"):
        pytest.skip("no /proc on this system")
    alone, together = map(int, run_python("-c", CROWD, WHET_NUM_THREADS="3", OPENBLAS_NUM_THREADS="1").split())
    assert (alone, together) == (3, 3 + 16)


def answers(path, table):
    """What a worker finds, and how many threads it may use; all of them, in a product before."""
    ops.matmul(LARGE, LARGE)
    return asked(whet.load(path), table), whet.get_num_threads()


@pytest.mark.parametrize("backend", ["loky", "threading", "multiprocessing"])
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_workers_of_joblib(path, requests, backend):
    """Processes made anew, threads, and forks of this one, whose threads are at work by then."""
    joblib = pytest.importorskip("joblib", reason="scikit-learn is not installed")
    expected = [answers(path, table)[0] for table in requests]
    with joblib.parallel_config(backend=backend, n_jobs=2):
        found = joblib.Parallel(timeout=WAIT)(joblib.delayed(answers)(path, table) for table in requests)
    assert all(agree(each, wanted) for (each, _), wanted in zip(found, expected, strict=True))


@pytest.mark.parametrize("threads", [1, 2])
def test_the_inner_limit_of_joblib_is_obeyed(path, requests, monkeypatch, threads):
    joblib = pytest.importorskip("joblib", reason="scikit-learn is not installed")
    monkeypatch.delenv("WHET_NUM_THREADS", raising=False)
    limit = min(threads, len(os.sched_getaffinity(0)))
    with joblib.parallel_config(backend="loky", n_jobs=2, inner_max_num_threads=threads):
        found = joblib.Parallel(timeout=WAIT)(joblib.delayed(answers)(path, table) for table in requests[:4])
    assert {used for _, used in found} == {limit}


@pytest.mark.parametrize(
    ("environment", "threads"),
    [
        ({"OMP_NUM_THREADS": "1"}, 1),
        ({"OMP_NUM_THREADS": "1", "WHET_NUM_THREADS": "3"}, 3),
        ({"OMP_NUM_THREADS": "1000000"}, None),
        ({"OMP_NUM_THREADS": "2,1"}, None),
        ({"OMP_NUM_THREADS": "0"}, None),
        ({"OMP_NUM_THREADS": ""}, None),
    ],
)
def test_the_environment_limits_threads(monkeypatch, environment, threads):
    monkeypatch.delenv("WHET_NUM_THREADS", raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    ask = "import whet; print(whet.get_num_threads())"
    assert int(run_python("-c", ask, **environment)) == (threads or int(run_python("-c", ask)))
