"""How fast is a product in bfloat16 with sums in float32, beside PyTorch's?

whet takes float32 and rounds while it packs; "torch" is given bfloat16 and returns it, "torch from float32" converts
in the measured time, both ways. The peak is that of float32 FMAs.
"""

from __future__ import annotations

import numpy as np
from bench.harness import LeftOutError, Options, Record, sweep
from bench.products import PEAK, TORCH, WHET, normal, peak, product, tensors

SIZES = (512, 1024, 2048)

PEERS = {"whet": WHET, "whet float32": WHET, "torch": TORCH, "torch from float32": TORCH, "peak": PEAK}


def prepare(peer, case, threads):
    if peer == "peak":
        return peak(threads, case["work"])
    a, b = normal(2, case["n"], case["n"])
    if peer == "whet float32":
        return product("whet", a, b, False, False, threads), 1
    if peer == "whet":
        from whet import ops

        out = np.empty_like(a)
        try:
            ops.matmul(a, b, precision="bfloat16", out=out)
        except ValueError as error:
            raise LeftOutError(str(error)) from None
        return lambda: ops.matmul(a, b, precision="bfloat16", out=out), 1
    import torch

    ta, tb = tensors(threads, a, b)
    if peer == "torch from float32":
        return lambda: torch.mm(ta.bfloat16(), tb.bfloat16()).float(), 1
    ta, tb = ta.bfloat16(), tb.bfloat16()
    tout = torch.empty_like(ta)
    return lambda: torch.mm(ta, tb, out=tout), 1


def run(options: Options) -> Record:
    cases = {f"{n}": {"n": n, "work": 2 * n**3} for n in SIZES}
    return sweep(__name__, PEERS, cases, options, unit="GFLOP/s", scale=1e-9)
