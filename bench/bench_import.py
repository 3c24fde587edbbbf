"""What do `import whet` and its peers cost, in time and memory?"""

from __future__ import annotations

import statistics
import subprocess
import sys

from bench.harness import Options, Peer, Record, present

PROGRAM = """
import resource, sys, time
start = time.perf_counter()
import {module}
print(time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""

PEERS = {
    "numpy": Peer("numpy"),
    "whet": Peer("whet"),
    "sklearn.neural_network": Peer("sklearn"),
    "torch": Peer("torch"),
}


def run(options: Options) -> Record:
    taken: dict[str, list[list[float]]] = {name: [] for name in present(PEERS, options.peers)}
    for _ in range(options.rounds):
        for name in taken:
            program = [sys.executable, "-c", PROGRAM.format(module=name)]
            out = subprocess.run(program, capture_output=True, text=True, check=True).stdout
            taken[name].append([float(word) for word in out.split()])
    print("\n| import | milliseconds, median (best) | MB |\n|---|---|---|")
    for name, rounds in taken.items():
        times = [1e3 * seconds for seconds, _ in rounds]
        memory = statistics.median(kilobytes for _, kilobytes in rounds) / 1024
        print(f"| {name} | {statistics.median(times):.0f} ({min(times):.0f}) | {memory:.0f} |")
    return {"seconds and kilobytes": taken}
