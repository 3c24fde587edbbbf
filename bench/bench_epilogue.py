"""What do a bias and an exact GELU add to a product, in one call, beside PyTorch's two?

GFLOP/s count the product's operations alone, so that the product alone ("whet product") is comparable.
"""

from __future__ import annotations

import numpy as np
from bench.harness import Options, Record, sweep
from bench.products import JAX, PEAK, TORCH, WHET, normal, peak, product, tensors

SIZES = (512, 1024, 2048)

PEERS = {"whet": WHET, "whet product": WHET, "torch": TORCH, "torch product": TORCH, "jax": JAX, "peak": PEAK}


def prepare(peer, case, threads):
    if peer == "peak":
        return peak(threads, case["work"])
    n = case["n"]
    a, b = normal(2, n, n)
    bias, out = normal(n), np.empty((n, n), np.float32)
    if peer.endswith("product"):
        return product(peer.split()[0], a, b, False, False, threads), 1
    if peer == "whet":
        from whet import ops

        return lambda: ops.matmul(a, b, bias=bias, activation="gelu", out=out), 1
    if peer == "jax":
        import jax

        given = [jax.numpy.asarray(x) for x in (a, b, bias)]
        call = jax.jit(lambda x, y, z: jax.nn.gelu(x @ y + z, approximate=False))
        return lambda: call(*given).block_until_ready(), 1
    import torch

    ta, tb, tbias, tout = tensors(threads, a, b, bias, out)
    return lambda: torch.nn.functional.gelu(torch.addmm(tbias, ta, tb, out=tout)), 1


def run(options: Options) -> Record:
    cases = {f"{n}": {"n": n, "work": 2 * n**3} for n in SIZES}
    return sweep(__name__, PEERS, cases, options, unit="GFLOP/s", scale=1e-9)
