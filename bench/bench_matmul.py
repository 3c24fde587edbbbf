"""How fast is a square product of float32 matrices, beside NumPy and PyTorch?"""

from __future__ import annotations

import numpy as np
from bench.harness import Options, Peer, Record, compare, table

SIZES = (32, 64, 128, 256, 512, 1024, 2048)

PEERS = {
    "whet": Peer("whet"),
    "numpy": Peer("numpy"),
    # OpenBLAS runs its AVX2 code on recent AMD processors unless it is told otherwise.
    "numpy avx512": Peer("numpy", {"OPENBLAS_CORETYPE": "SkylakeX"}),
    "torch": Peer("torch"),
}


def prepare(peer, case, threads):
    n = case["n"]
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, n, n)).astype(np.float32)
    out = np.empty_like(a)
    if peer == "whet":
        from whet import ops

        return lambda: ops.matmul(a, b, out=out), 1
    if peer == "torch":
        import torch

        torch.set_num_threads(threads)
        ta, tb, tout = (torch.from_numpy(x) for x in (a, b, out))
        return lambda: torch.mm(ta, tb, out=tout), 1
    return lambda: np.matmul(a, b, out=out), 1


def run(options: Options) -> Record:
    record: Record = {}
    for threads in (1, 2):
        cases = {f"{n}": {"n": n} for n in SIZES}
        results = compare(__name__, PEERS, cases, threads, options)
        print(f"\nGFLOP/s on {threads} thread{'s' * (threads > 1)}: median (best), whet's advantage")
        print(table(results, "size", lambda title, seconds: 2 * int(title) ** 3 / seconds / 1e9))
        record[f"{threads} threads"] = results
    return record
