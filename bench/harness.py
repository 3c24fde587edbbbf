"""One way to measure: every peer in a process of its own, driven turn by turn, one run on the machine at a time.

A benchmark of speed is a module bench_NAME.py with
    PEERS    name -> Peer: what it needs and the environment it runs in
    prepare  (peer, case, threads) -> (function to time, units of work in one call), or None where the peer has no
             such case; called in the peer's own process
    run      (options) -> record, which calls `compare` with its cases
A benchmark of accuracy needs `run` alone. The first line of the module's docstring is the question that it answers.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.metadata
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = Path(__file__).resolve().parent / "results"

Record = dict[str, Any]


@dataclass(frozen=True)
class Peer:
    """Somebody to compare with: the package it needs, and the environment in which it is at its best."""

    package: str
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Options:
    rounds: int = 7
    seconds: float = 0.2  # for each measurement of each peer
    only: str = ""  # cases whose name contains this
    peers: tuple[str, ...] = ()


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
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bench.worker", module, peer, count],
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
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait()


def measure(call: Callable[[], object], units: int, seconds: float) -> float:
    """Seconds for one unit of work, over calls that fill `seconds`."""
    calls, spent = 1, 0.0
    while True:
        start = time.perf_counter()
        for _ in range(calls):
            call()
        spent = time.perf_counter() - start
        if spent >= seconds:
            return spent / (calls * units)
        calls = max(calls + 1, min(10 * calls, int(1.2 * calls * seconds / max(spent, 1e-9))))


def present(peers: dict[str, Peer], wanted: tuple[str, ...]) -> dict[str, Peer]:
    """The peers to measure: whet, and those of the wanted ones that are installed."""
    chosen = {}
    for name, peer in peers.items():
        if wanted and name != "whet" and name not in wanted:
            continue
        if importlib.util.find_spec(peer.package) is None:
            print(f"{name} is left out: {peer.package} is not installed", file=sys.stderr)
            continue
        chosen[name] = peer
    return chosen


def compare(
    module: str, peers: dict[str, Peer], cases: dict[str, Record], threads: int, options: Options
) -> dict[str, Record]:
    """Case -> peer -> {"median", "min", "rounds"} in seconds for a unit of work; peers take turns in every round."""
    results: dict[str, Record] = {}
    workers = {name: Worker(module, name, peer, threads) for name, peer in present(peers, options.peers).items()}
    try:
        for title, case in cases.items():
            if options.only not in title:
                continue
            able = [name for name, worker in workers.items() if worker.ask(prepare=case)]
            times: dict[str, list[float]] = {name: [] for name in able}
            for _ in range(options.rounds):
                for name in able:
                    times[name].append(workers[name].ask(measure=options.seconds))
            results[title] = {
                name: {"median": statistics.median(taken), "min": min(taken), "rounds": taken}
                for name, taken in times.items()
            }
    finally:
        for worker in workers.values():
            worker.close()
    return results


def machine() -> Record:
    """What a figure depends on besides the code."""
    with contextlib.suppress(OSError):
        names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
        processor = names[0].partition(":")[2].strip() if names else platform.processor()
    packages = ("whet", "numpy", "torch", "scikit-learn", "scipy", "jax")
    versions = {}
    for package in packages:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    import whet

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


def table(results: dict[str, Record], unit: str, convert: Callable[[str, float], float]) -> str:
    """Markdown: a row for each case, a column for each peer with its median, best round and ratio to whet."""
    peers = list(dict.fromkeys(name for row in results.values() for name in row))
    lines = [f"| {unit} | " + " | ".join(peers) + " |", "|---" * (len(peers) + 1) + "|"]
    for title, row in results.items():
        cells = []
        for name in peers:
            if name not in row:
                cells.append("-")
                continue
            text = f"{convert(title, row[name]['median']):,.4g} ({convert(title, row[name]['min']):,.4g})"
            if name != "whet" and "whet" in row:
                text += f" x{row[name]['median'] / row['whet']['median']:.2f}"
            cells.append(text)
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def save(name: str, record: Record) -> Path:
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}-{datetime.now(timezone.utc):%Y%m%d-%H%M%S}.json"
    path.write_text(json.dumps({"benchmark": name, "machine": machine(), **record}, indent=1) + "\n")
    return path
