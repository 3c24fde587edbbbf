"""How long is it from the start of a process to a classifier trained on a small table, and how much memory is it?

The programs in bench/first, each in a fresh process: read the 344 penguins, fill, scale and encode, train 64 hidden
units for 100 epochs, and say the accuracy on the same rows. The peers read with the csv module and NumPy, which is
less work than pandas. Nobody else is given a number of threads.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from bench import tables
from bench.harness import ROOT, Options, Peer, Record, present

PEERS = {
    "whet": Peer("whet"),
    "torch": Peer("torch"),
    "torch 1 thread": Peer("torch", {"OMP_NUM_THREADS": "1"}),
    "scikit-learn": Peer("sklearn"),
    "jax": Peer("jax", {"JAX_PLATFORMS": "cpu"}),
}
PROGRAMS = Path(__file__).resolve().parent / "first"
RUN = """
import os, runpy, sys
path = sys.argv.pop(1)
sys.path.insert(1, os.path.dirname(path))
runpy.run_path(path)
from bench.memory import peak
print(peak())
"""


def table() -> Path:
    """The one that whet brings along."""
    import whet

    return Path(whet.__file__).parent / "data" / "files" / "penguins.csv"


def spend(peer: Peer) -> tuple[float, float, float]:
    """Seconds, kilobytes at the peak, accuracy."""
    start = time.perf_counter()
    program = [sys.executable, "-c", RUN, PROGRAMS / f"with_{peer.package}.py", table()]
    environment = {**os.environ, **peer.environment}
    said = subprocess.run(program, env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout
    seconds = time.perf_counter() - start
    accuracy, kilobytes = said.split()
    return seconds, float(kilobytes), float(accuracy)


def run(options: Options) -> Record:
    peers = present(PEERS, options.peers)
    found: list[dict[str, list[float]]] = [{name: [] for name in peers} for _ in range(3)]
    for turn in range(options.rounds):
        for name in list(peers)[:: -1 if turn % 2 else 1]:
            for figures, value in zip(found, spend(peers[name]), strict=True):
                figures[name].append(value)
    seconds, kilobytes, accuracies = ({"penguins, 100 epochs": figures} for figures in found)
    made = [
        tables.make("time", seconds, unit="seconds", kind="time"),
        tables.make("peak memory", kilobytes, unit="MB", kind="amount", scale=1 / 1024),
        tables.make("accuracy on the training rows", accuracies, unit="%", kind="value", scale=100),
    ]
    for part in made:
        print("\n" + tables.markdown(part))
    return {"tables": made}
