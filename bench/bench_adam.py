"""Does an Adam update run as fast as memory allows?

GB/s count what one update has to move: it reads the parameter, the gradient and two moments, and writes all but the
gradient, 28 bytes for each float32 parameter. "bandwidth" makes the same passes with two additions for arithmetic.
"""

from __future__ import annotations

import numpy as np
from bench.harness import Options, Peer, Record, sweep
from bench.products import normal, tensors

COUNTS = (10_000, 1_000_000, 10_000_000)
BYTES = 7 * 4

PEERS = {
    "whet": Peer("whet", limit="bandwidth"),
    "torch fused": Peer("torch", limit="bandwidth"),
    "bandwidth": Peer("whet"),
}


def prepare(peer, case, threads):
    parameter, gradient = normal(2, case["n"])
    if peer == "whet":
        from whet import ops

        state = {}
        return lambda: ops.update("adam", parameter, gradient, state, lr=1e-3), 1
    if peer == "torch fused":
        import torch

        p, g = tensors(threads, parameter, gradient)
        p = torch.nn.Parameter(p)
        p.grad = g
        return torch.optim.Adam([p], lr=1e-3, fused=True).step, 1
    from whet import _core

    # p + (1 - 1) and 1 + 1e-30: numbers that any number of calls leaves as they are.
    first, second = np.ones_like(parameter), -np.ones_like(parameter)
    gradient = np.full_like(parameter, 1e-30)
    return lambda: _core.stream(parameter, gradient, first, second, threads), 1


def run(options: Options) -> Record:
    cases = {f"{n:,}": {"n": n, "work": BYTES * n} for n in COUNTS}
    return sweep(__name__, PEERS, cases, options, unit="GB/s", scale=1e-9)
