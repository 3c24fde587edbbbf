"""Does an optimizer's update run as fast as memory allows?

GB/s count what one update has to move: it reads the parameter, the gradient and the optimizer's slots, and writes all
but the gradient; Adam's moves 28 bytes for each float32 parameter. "bandwidth" makes Adam's passes with two additions
for arithmetic.
"""

from __future__ import annotations

import numpy as np
from bench.harness import Options, Peer, Record, sweep
from bench.products import normal, tensors

COUNTS = (10_000, 1_000_000, 10_000_000)
OTHERS = 10_000_000

PEERS = {
    "whet": Peer("whet", limit="bandwidth"),
    "torch fused": Peer("torch", limit="bandwidth"),
    "bandwidth": Peer("whet"),
}
FUSED = {"adam": "Adam", "adamw": "AdamW", "sgd": "SGD", "adagrad": "Adagrad"}  # PyTorch's one-pass updates


def prepare(peer, case, threads):
    parameter, gradient = normal(2, case["n"])
    name, slots = case["optimizer"]
    if peer == "torch fused":
        import torch

        if name not in FUSED:
            return None
        p, g = tensors(threads, parameter, gradient)
        p = torch.nn.Parameter(p)
        p.grad = g
        momentum = {"momentum": 0.9} if name == "sgd" else {}
        return getattr(torch.optim, FUSED[name])([p], lr=1e-3, fused=True, **momentum).step, 1
    from whet import _core

    if peer == "whet":
        state = [np.zeros_like(parameter) for _ in range(slots)]
        momentum = [("momentum", 0.9)] if name == "sgd" or name.endswith("momentum") else []
        options = [("lr", 1e-3), *momentum]
        return lambda: _core.update(parameter, gradient, state, 1, name, options), 1
    # p + (1 - 1) and 1 + 1e-30: numbers that any number of calls leaves as they are.
    first, second = np.ones_like(parameter), -np.ones_like(parameter)
    gradient = np.full_like(parameter, 1e-30)
    share = 7 / case["vectors"]  # of what a pass moves, the case's work
    return lambda: _core.stream(parameter, gradient, first, second, threads), share


def run(options: Options) -> Record:
    from whet import _core

    slots = {entry["name"]: len(entry["slots"]) for entry in _core.optimizers()}
    wanted = [("adam", n) for n in COUNTS] + [(name, OTHERS) for name in slots if name != "adam"]
    cases = {}
    for name, n in wanted:
        vectors = 3 + 2 * slots[name]
        cases[f"{name}, {n:,}"] = {
            "n": n,
            "optimizer": [name, slots[name]],
            "vectors": vectors,
            "work": 4 * vectors * n,
        }
    return sweep(__name__, PEERS, cases, options, unit="GB/s", scale=1e-9)
