"""What do `import whet` and its peers cost, in time and memory?

`import whet` alone leaves NumPy and the layers for when they are used; `import whet.nn` is what a training needs.
"""

from __future__ import annotations

import subprocess
import sys

from bench import tables
from bench.harness import ROOT, Options, Peer, Record, present

PROGRAM = """
import time
start = time.perf_counter()
import {module}
print(time.perf_counter() - start)
from bench.memory import peak
print(peak())
"""

PEERS = {
    "whet": Peer("whet"),
    "whet.nn": Peer("whet"),
    "numpy": Peer("numpy"),
    "sklearn.neural_network": Peer("sklearn"),
    "torch": Peer("torch"),
    "jax": Peer("jax"),
}


def run(options: Options) -> Record:
    peers = present(PEERS, options.peers)
    seconds: dict[str, list[float]] = {name: [] for name in peers}
    kilobytes: dict[str, list[float]] = {name: [] for name in peers}
    for _ in range(options.rounds):
        for name in peers:
            program = [sys.executable, "-c", PROGRAM.format(module=name)]
            out = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
            seconds[name].append(float(out[0]))
            kilobytes[name].append(float(out[1]))
    made = [
        tables.make("time", {"import": seconds}, unit="milliseconds", kind="time", scale=1e3),
        tables.make("memory", {"import": kilobytes}, unit="MB", kind="amount", scale=1 / 1024),
    ]
    for table in made:
        print("\n" + tables.markdown(table))
    return {"tables": made}
