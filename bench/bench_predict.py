"""How long does a prediction take, called from Python, for a row and for many, from one thread and from two at once?

NumPy arrays in, NumPy arrays out. Two callers each have a thread of Python and share the threads that the peer may use.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from bench import peers
from bench.harness import Options, Record, sweep

SMALL, LARGE = [10, 32, 32, 1], [784, 512, 512, 10]
CASES = {
    "10-32-32-1, 1 row": dict(widths=SMALL, rows=1, calls=500),
    "10-32-32-1, 1,000 rows": dict(widths=SMALL, rows=1_000, calls=50),
    "784-512-512-10, 1 row": dict(widths=LARGE, rows=1, calls=50),
    "784-512-512-10, 10,000 rows": dict(widths=LARGE, rows=10_000, calls=1),
    "10-32-32-1, 1 row, two callers": dict(widths=SMALL, rows=1, calls=250, callers=2),
    "784-512-512-10, 10,000 rows, two callers": dict(widths=LARGE, rows=10_000, calls=1, callers=2),
}

PEERS = {name: peers.PEERS[name] for name in ("whet", "torch", "jax jit", "scikit-learn")}


def prepare(peer, case, threads):
    # Fitted for a moment, for scikit-learn knows no other way to a model.
    training = peers.make(peer, peers.random_task(case["widths"], 32, 32), threads)
    training.train(1)
    x = np.random.default_rng(1).standard_normal((case["rows"], case["widths"][0]), np.float32)
    calls, callers = case["calls"], case.get("callers", 1)

    def call(_=None):
        for _ in range(calls):
            training.outputs(x)

    if callers == 1:
        return call, calls
    pool = ThreadPoolExecutor(callers)
    return lambda: list(pool.map(call, range(callers))), calls * callers


def run(options: Options) -> Record:
    return sweep(__name__, PEERS, CASES, options, unit="microseconds per call", kind="time", scale=1e6)
