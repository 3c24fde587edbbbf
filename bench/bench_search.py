"""Does a search over adult keep all processors busy, and what does it need beside a process for each?

64 configurations for three epochs each, drawn by seed: the search with a thread for each processor, and as many
processes with one thread each, which share the configurations evenly, in a loop written by hand. Where others use
the machine, user time over wall time says how much of it they left; what does not depend on them is how long the
threads were running or ready to run, as Linux counts it, over wall time.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from bench import tables
from bench.harness import ROOT, Options, Record

TRIALS = 64
FIT: dict[str, Any] = {"loss": "cross_entropy", "epochs": 3}


def rows() -> tuple[np.ndarray, np.ndarray]:
    from bench.bench_examples import adult_rows

    from whet.data import Preprocessor

    table = adult_rows("train").with_target("income")
    return Preprocessor().fit(table).transform(table), np.array([x.startswith(">50K") for x in table.labels], np.int64)


def space() -> dict[str, Any]:
    from whet import tune

    return {
        "model.hidden": tune.choice([(64,), (128,), (64, 64), (128, 128)]),
        "optimizer.lr": tune.log_uniform(1e-4, 3e-2),
        "fit.batch_size": tune.choice([128, 256, 512]),
    }


class Scheduled:
    """Seconds that the threads of this process were running, and that they were ready to."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[int, int]] = {}
        self._before: dict[str, tuple[int, int]] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _look(self) -> None:
        for task in Path("/proc/self/task").iterdir():
            if task.name == str(self._thread.native_id):
                continue  # it watches
            try:
                run, wait, _ = map(int, (task / "schedstat").read_text().split())
            except OSError:
                continue  # it has ended meanwhile
            self._seen[task.name] = run, wait

    def _watch(self) -> None:
        while not self._over.wait(0.01):
            self._look()

    def __enter__(self) -> Scheduled:
        self._look()
        self._before = dict(self._seen)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._look()
        ends = [(self._seen[task], self._before.get(task, (0, 0))) for task in self._seen]
        self.running, self.ready = (sum(now[i] - then[i] for now, then in ends) / 1e9 for i in (0, 1))


def searched() -> dict[str, float]:
    from whet import get_num_threads, nn, tune

    X, y = rows()
    options = {**FIT, "refit": False, "trials": TRIALS}

    def build(hidden: tuple[int, ...]) -> nn.Module:
        return nn.MLP(X.shape[1], hidden, 2)

    tune.search(build, space(), X[:2000], y[:2000], **{**options, "trials": 4})
    with Scheduled() as scheduled:
        began, used = time.perf_counter(), time.process_time()
        tune.search(build, space(), X, y, **options)
        wall, used = time.perf_counter() - began, time.process_time() - used
    threads = get_num_threads()
    return {
        "wall": wall,
        "used": used / wall / threads,
        "busy": (scheduled.running + scheduled.ready) / wall / threads,
    }


def looped(first: int, every: int) -> dict[str, float]:
    from whet import nn, optim, set_num_threads
    from whet.data import split
    from whet.tune.space import Space

    set_num_threads(1)
    (X, y), (Xh, yh) = split(*(both := rows()), sizes=(0.8, 0.2), stratify=both[1])
    print("ready", flush=True)
    sys.stdin.readline()
    began, used = time.perf_counter(), time.process_time()
    for params in Space(space()).random(0, TRIALS)[first::every]:
        model = nn.MLP(X.shape[1], params["model.hidden"], 2)
        rate = optim.Adam(lr=params["optimizer.lr"])
        model.fit(X, y, optimizer=rate, batch_size=params["fit.batch_size"], **FIT)
        model.evaluate(Xh, yh)
    return {"wall": time.perf_counter() - began, "used": time.process_time() - used}


def in_a_process(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "bench.bench_search", *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def answer(process: subprocess.Popen[str]) -> Any:
    out = process.communicate()[0]
    return json.loads(out.splitlines()[-1])


def round_of(processors: int) -> dict[str, float]:
    """One turn of each."""
    found = answer(in_a_process("search"))
    loops = [in_a_process("loop", str(i), str(processors)) for i in range(processors)]
    for each in loops:
        each.stdout.readline()
    for each in loops:
        each.stdin.write("\n")
        each.stdin.flush()
    walls = [answer(each) for each in loops]
    return {**found, "loops": max(each["wall"] for each in walls)}


def run(options: Options) -> Record:
    """Rounds, in turns."""
    processors = len(os.sched_getaffinity(0))
    found = [round_of(processors) for _ in range(options.rounds)]
    for title, name in (
        ("processors' time over wall time and processors", "used"),
        ("running or ready over wall time and processors", "busy"),
    ):
        print(f"{title}: {statistics.median(each[name] for each in found):.3f}")
    times = {"64 configurations": {"whet": [e["wall"] for e in found], "processes": [e["loops"] for e in found]}}
    return {"tables": [tables.make("a search", times, unit="s", kind="time")], "rounds": found}


if __name__ == "__main__":
    what, *given = sys.argv[1:]
    print(json.dumps(searched() if what == "search" else looped(*map(int, given))))
