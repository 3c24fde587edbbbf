"""How fast is a square product of float32 matrices, beside NumPy, PyTorch and the machine's peak?

Cases are named by size and by what is transposed: nn is a b, nt is a b^T, tn is a^T b, tt is a^T b^T. Without --only,
the transposed ones run at one size.
"""

from __future__ import annotations

from bench.harness import Options, Peer, Record, sweep
from bench.products import JAX, NUMPY, PEAK, TORCH, WHET, normal, peak, product

SIZES = (32, 64, 128, 256, 512, 1024, 2048)
TRANSPOSED = 512

AVX2 = {"WHET_ISA": "avx2"}
PEERS = {
    "whet": WHET,
    "whet avx2": Peer("whet", AVX2, isa="avx2", limit="peak avx2"),
    **NUMPY,
    "torch": TORCH,
    "jax": JAX,
    "peak": PEAK,
    "peak avx2": Peer("whet", AVX2, isa="avx2"),
}


def prepare(peer, case, threads):
    if peer.startswith("peak"):
        return peak(threads, case["work"])
    a, b = normal(2, case["n"], case["n"])
    return product(peer, a, b, case["kind"][0] == "t", case["kind"][1] == "t", threads), 1


def run(options: Options) -> Record:
    cases = {
        f"{n} {kind}": {"n": n, "kind": kind, "work": 2 * n**3}
        for kind in ("nn", "nt", "tn", "tt")
        for n in SIZES
        if options.only or kind == "nn" or n == TRANSPOSED
    }
    return sweep(__name__, PEERS, cases, options, unit="GFLOP/s", scale=1e-9)
