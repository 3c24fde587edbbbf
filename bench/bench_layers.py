"""How fast are the products of layers as people train them, forward and backward?

A layer (m, k) x (k, n) keeps its weights as (n, k). Its products are y = x W^T, dx = dy W and dW = dy^T x.
"""

from __future__ import annotations

from bench.harness import Options, Record, sweep
from bench.products import JAX, NUMPY, PEAK, TORCH, WHET, normal, peak, product

LAYERS = ((128, 784, 128), (256, 100, 256), (256, 784, 512), (32, 10, 32), (1024, 2048, 100))

PEERS = {"whet": WHET, **NUMPY, "torch": TORCH, "jax": JAX, "peak": PEAK}


def prepare(peer, case, threads):
    if peer == "peak":
        return peak(threads, case["work"])
    m, k, n = case["layer"]
    x, weight, dy = normal(m, k), normal(n, k), normal(m, n)
    a, b, transpose_a, transpose_b = {
        "y": (x, weight, False, True),
        "dx": (dy, weight, False, False),
        "dW": (dy, x, True, False),
    }[case["result"]]
    return product(peer, a, b, transpose_a, transpose_b, threads), 1


def run(options: Options) -> Record:
    cases = {
        f"({m},{k})x({k},{n}) {result}": {"layer": [m, k, n], "result": result, "work": 2 * m * k * n}
        for m, k, n in LAYERS
        for result in ("y", "dx", "dW")
    }
    return sweep(__name__, PEERS, cases, options, unit="GFLOP/s", scale=1e-9)
