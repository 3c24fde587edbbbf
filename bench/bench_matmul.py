"""How fast is a square product of float32 matrices, beside NumPy, PyTorch and the machine's peak?

Cases are named by size and by what is transposed: nn is a b, nt is a b^T, tn is a^T b, tt is a^T b^T.
"""

from __future__ import annotations

from bench.harness import Options, Record, sweep
from bench.products import JAX, NUMPY, PEAK, TORCH, WHET, normal, peak, product

SIZES = (32, 64, 128, 256, 512, 1024, 2048)
KINDS = ("nn", "nt", "tn", "tt")

PEERS = {"whet": WHET, **NUMPY, "torch": TORCH, "jax": JAX, "peak": PEAK}


def cases(kinds):
    return {f"{n} {kind}": {"n": n, "kind": kind, "work": 2 * n**3} for kind in kinds for n in SIZES}


def prepare(peer, case, threads):
    if peer == "peak":
        return peak(threads, case["work"])
    a, b = normal(2, case["n"], case["n"])
    return product(peer, a, b, case["kind"][0] == "t", case["kind"][1] == "t", threads), 1


def run(options: Options) -> Record:
    return sweep(__name__, PEERS, cases(KINDS), options, unit="GFLOP/s", scale=1e-9)
