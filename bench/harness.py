"""One way to measure: every peer in a process of its own, driven turn by turn, one run on the machine at a time.

A benchmark is a module bench_NAME.py whose docstring begins with the question that it answers, with
    run      (options) -> record: {"tables": [...]}, see bench/tables.py, and whatever else is worth keeping
One of speed has also
    PEERS    name -> Peer: what it needs and the environment it runs in
    prepare  (peer, case, threads) -> (function to time, units of work in one call), or None where the peer has no
             such case; it or the function's first call may raise LeftOutError; called in the peer's own process
and its `run` calls `sweep` with its cases, each a dictionary that travels as JSON and says its "work". One whose
figures are not times of calls has
    examine  (peer, case, threads) -> what JSON can hold, found in the peer's own process
and its `run` starts a Worker for each peer and asks it.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.metadata
import importlib.util
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal

from bench import tables

ROOT = Path(__file__).resolve().parent.parent
RESULTS = Path(__file__).resolve().parent / "results"

# OpenBLAS's threads were seen to spin for 35 ms after a product: the next peer's turn begins when they sleep.
REST = 0.05

Record = dict[str, Any]


class LeftOutError(Exception):
    """What a peer cannot do here, in words."""


@dataclass(frozen=True)
class Peer:
    """Somebody to compare with: the package it needs, and the environment in which it is at its best."""

    package: str
    environment: dict[str, str] = field(default_factory=dict)
    isa: str = ""  # the instruction set that the processor must have for it
    limit: str = ""  # the peer that measures what the machine allows this one
    pinned: bool = False  # kept on as many processors as it may use threads, for it takes no number


@dataclass(frozen=True)
class Options:
    rounds: int = 7
    seconds: float = 0.1  # for each turn of each peer
    only: str = ""  # cases whose name contains this
    peers: tuple[str, ...] = ()


@dataclass
class Turns:
    """What a case takes one peer: the first call's seconds, and for the case's work a number of each round."""

    first: float  # of one call, with all that is done once: compiling, threads, plans
    wall: list[float] = field(default_factory=list)
    processors: list[float] = field(default_factory=list)  # of all threads together


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Waits until no other benchmark measures on this machine."""
    with open(Path(tempfile.gettempdir()) / "whet-bench.lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("waiting for another benchmark to end", file=sys.stderr)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


class Worker:
    """A peer in its own process. It works only while it is asked."""

    def __init__(self, module: str, peer: str, description: Peer, threads: int) -> None:
        count = str(threads)
        environment = {
            **os.environ,
            **dict.fromkeys(("WHET_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), count),
            **description.environment,
        }
        processors = ",".join(map(str, sorted(os.sched_getaffinity(0))[:threads]))
        pin = ["taskset", "--cpu-list", processors] if description.pinned else []
        self.process = subprocess.Popen(
            [*pin, sys.executable, "-m", "bench.worker", module, peer, count],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, **question: Any) -> Any:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{' '.join(map(str, self.process.args))} ended with status {self.process.wait()}")
        return json.loads(answer)

    def close(self) -> None:
        self.process.communicate()  # ends standard input, at which it ends


def spend(call: Callable[[], object], calls: int) -> tuple[float, float]:
    """Seconds that so many calls take, on the clock and of all processors."""
    start, used = time.perf_counter(), time.process_time()
    for _ in range(calls):
        call()
    return time.perf_counter() - start, time.process_time() - used


def calls_that_fill(seconds: float, call: Callable[[], object]) -> int:
    calls = 1
    while (spent := spend(call, calls)[0]) < seconds / 4:
        calls = max(calls + 1, min(10 * calls, int(calls * seconds / 2 / max(spent, 1e-9))))
    return max(1, round(calls * seconds / spent))


def present(peers: dict[str, Peer], wanted: tuple[str, ...]) -> dict[str, Peer]:
    """The peers to measure: whet, those of the wanted ones that can run here, and the limits of all of these."""
    from whet import _core

    sets = _core.available_instruction_sets()
    limits = {peer.limit for peer in peers.values()}
    chosen = {}
    for name, peer in peers.items():
        if wanted and name not in {"whet", *wanted, *limits}:
            continue
        if importlib.util.find_spec(peer.package) is None:
            print(f"{name} is left out: {peer.package} is not installed", file=sys.stderr)
        elif peer.isa and peer.isa not in sets:
            print(f"{name} is left out: this processor lacks {peer.isa}", file=sys.stderr)
        else:
            chosen[name] = peer
    needed = {peer.limit for peer in chosen.values()}
    return {name: peer for name, peer in chosen.items() if name not in limits or name in needed}


@contextlib.contextmanager
def at_work(module: str, peers: dict[str, Peer], threads: int) -> Iterator[dict[str, Worker]]:
    """A worker for each peer."""
    workers = {name: Worker(module, name, peer, threads) for name, peer in peers.items()}
    try:
        yield workers
    finally:
        for worker in workers.values():
            worker.close()


def take_turns(
    module: str, peers: dict[str, Peer], cases: dict[str, Record], threads: int, options: Options
) -> dict[str, dict[str, Turns]]:
    """Case -> peer -> its turns; in every round each peer has one."""
    results: dict[str, dict[str, Turns]] = {}
    reasons = set()
    with at_work(module, peers, threads) as workers:
        for title, case in cases.items():
            answers = {name: worker.ask(prepare=case, seconds=options.seconds) for name, worker in workers.items()}
            reasons |= {f"{name} is left out: {said}" for name, said in answers.items() if isinstance(said, str)}
            turns = {name: Turns(said) for name, said in answers.items() if isinstance(said, float)}
            start, planned = time.perf_counter(), options.rounds * len(turns) * (options.seconds + REST)
            for turn in range(options.rounds):
                # Calls that take longer than a turn end the case early: three rounds have quartiles.
                if turn >= 3 and time.perf_counter() - start > 3 * planned:
                    break
                for name in list(turns)[:: -1 if turn % 2 else 1]:
                    if threads > 1:
                        time.sleep(REST)
                    wall, processors = workers[name].ask(measure=True)
                    turns[name].wall.append(wall)
                    turns[name].processors.append(processors)
            results[title] = turns
    for reason in sorted(reasons):
        print(reason, file=sys.stderr)
    return results


def thread_counts(wanted: tuple[int, ...]) -> list[int]:
    """Those of the wanted counts that this machine has processors for."""
    return [threads for threads in wanted if threads <= len(os.sched_getaffinity(0))]


def sweep(
    module: str,
    peers: dict[str, Peer],
    cases: dict[str, Record],
    options: Options,
    *,
    unit: str,
    kind: tables.Kind = "rate",
    scale: float = 1.0,
    threads: tuple[int, ...] = (1, 2),
    also: tuple[Literal["first call", "processors"], ...] = (),
) -> Record:
    """Measures all cases for each number of threads, prints a table for each, and returns the record.

    `also` asks for tables of the first calls' seconds, or of the time that all processors spent on the same work.
    """
    chosen = present(peers, options.peers)
    limits = {name: peer.limit for name, peer in chosen.items() if peer.limit in chosen}
    wanted = {title: case for title, case in cases.items() if options.only in title}
    work = {title: case.get("work", 1) for title, case in wanted.items()}
    made, others = [], []
    for count in thread_counts(threads):
        title = f"{count} thread{'s' * (count > 1)}"
        turns = take_turns(module, chosen, wanted, count, options)
        wall, first, processors = (
            {case: {name: getattr(taken, what) for name, taken in row.items()} for case, row in turns.items()}
            for what in ("wall", "first", "processors")
        )
        made.append(tables.make(title, wall, unit=unit, kind=kind, scale=scale, work=work, limits=limits))
        print("\n" + tables.markdown(made[-1]), flush=True)
        if "processors" in also:
            told = dict(unit=f"{unit}, all processors", kind="time", scale=scale, work=work)
            others.append(tables.make(f"processors' time, {title}", processors, **told))
        if "first call" in also:
            once = {case: {name: [seconds] for name, seconds in row.items()} for case, row in first.items()}
            others.append(tables.make(f"first call, {title}", once, unit="seconds", kind="value"))
    for table in others:
        print("\n" + tables.markdown(table), flush=True)
    return {"tables": made + others, "environment": {name: peer.environment for name, peer in chosen.items()}}


def machine() -> Record:
    """What a figure depends on besides the code."""
    processor = platform.processor()
    with contextlib.suppress(OSError):
        names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
        processor = names[0].partition(":")[2].strip() if names else processor
    packages = ("whet", "numpy", "torch", "scikit-learn", "scipy", "jax")
    versions = {}
    for package in packages:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    import whet

    versions["whet"] = whet.__version__
    return {
        "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "processor": processor,
        "processors": len(os.sched_getaffinity(0)),
        "load": os.getloadavg(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": versions,
        "commit": commit.stdout.strip(),
        "whet": whet.build_info(),
    }


def perform(name: str, options: Options) -> Path:
    """Runs one benchmark and keeps its record, with all that it depends on."""
    module = importlib.import_module(f"bench.bench_{name}")
    question = (module.__doc__ or "").splitlines()[0]
    before = machine()
    start = time.perf_counter()
    record = module.run(options)
    settings = {**asdict(options), "took": time.perf_counter() - start}
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}-{datetime.now(timezone.utc):%Y%m%d-%H%M%S}.json"
    whole = {"benchmark": name, "question": question, "machine": before, "settings": settings, **record}
    path.write_text(json.dumps(whole, indent=1) + "\n")
    return path
