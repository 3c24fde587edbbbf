"""What does softmax cross-entropy with its gradient cost, for each element of the prediction?

Beside PyTorch's loss and backward pass, and beside whet's sigmoid over the same array: there is no exp to call alone,
and a sigmoid is one exp and one division for each element.
"""

from __future__ import annotations

import numpy as np
from bench.harness import Options, Peer, Record, sweep
from bench.products import JAX, normal, tensors

SHAPES = ((1024, 1000), (128, 10))

PEERS = {
    "whet": Peer("whet"),
    "whet sigmoid": Peer("whet"),
    "torch": Peer("torch"),
    "numpy": Peer("numpy"),
    "jax": Peer("jax", JAX.environment, pinned=True),
}


def prepare(peer, case, threads):
    rows, classes = case["shape"]
    x = normal(rows, classes)
    labels = np.random.default_rng(1).integers(0, classes, rows)
    if peer == "whet":
        from whet import ops

        return lambda: ops.loss("cross_entropy", x, labels), 1
    if peer == "whet sigmoid":
        from whet import ops

        out = np.empty_like(x)
        return lambda: ops.activation("sigmoid", x, out=out), 1
    if peer == "torch":
        return with_torch(threads, x, labels), 1
    if peer == "jax":
        return with_jax(x, labels), 1
    every = np.arange(rows)

    def by_hand():
        d = x - x.max(axis=1, keepdims=True)
        right = d[every, labels]
        np.exp(d, out=d)
        sums = d.sum(axis=1, keepdims=True)
        d /= sums
        d[every, labels] -= 1
        d /= rows
        return np.mean(np.log(sums[:, 0]) - right), d

    return by_hand, 1


def with_torch(threads, x, labels):
    import torch

    prediction, target = tensors(threads, x, labels)
    prediction.requires_grad_()

    def call():
        prediction.grad = None
        torch.nn.functional.cross_entropy(prediction, target).backward()

    return call


def with_jax(x, labels):
    import jax

    def loss(prediction, target):
        return -jax.numpy.take_along_axis(jax.nn.log_softmax(prediction), target[:, None], 1).mean()

    call, given = jax.jit(jax.value_and_grad(loss)), (jax.numpy.asarray(x), jax.numpy.asarray(labels))
    return lambda: jax.block_until_ready(call(*given))


def run(options: Options) -> Record:
    cases = {f"({m}, {n})": {"shape": [m, n], "work": m * n} for m, n in SHAPES}
    return sweep(__name__, PEERS, cases, options, unit="ns per element", kind="time", scale=1e9)
