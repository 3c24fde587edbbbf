"""How fast is a square product of float32 matrices held to AVX2, beside NumPy and PyTorch held to it, and its peak?"""

from __future__ import annotations

from bench import bench_matmul
from bench.harness import Options, Peer, Record, sweep

SET = {"WHET_ISA": "avx2"}
PEERS = {
    "whet": Peer("whet", SET, isa="avx2", limit="peak"),
    "numpy": Peer("numpy", {"OPENBLAS_CORETYPE": "Haswell"}, isa="avx2", limit="peak"),
    "torch": Peer("torch", {"MKL_ENABLE_INSTRUCTIONS": "AVX2"}, isa="avx2", limit="peak"),
    "peak": Peer("whet", SET, isa="avx2"),
}

prepare = bench_matmul.prepare


def run(options: Options) -> Record:
    return sweep(__name__, PEERS, bench_matmul.cases(("nn",)), options, unit="GFLOP/s", scale=1e-9)
