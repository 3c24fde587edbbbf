"""How long does a training step take (Adam, float32), beside PyTorch, JAX, scikit-learn and NumPy by hand?

Whole epochs of shuffled batches from arrays in memory, divided by their steps. whet and scikit-learn train several
epochs in one call, so that a step bears its share of what the call costs. What is done once, above all compiling,
stands apart: "first call" is the first such call, with its steps.
"""

from __future__ import annotations

from bench import peers
from bench.harness import Options, Record, sweep

# Widths, rows of a batch, batches of the data set, epochs of one call where a call has several.
CASES = {
    "8-1, 32": dict(widths=[8, 1], batch=32, batches=500, epochs=8),
    "10-32-32-1, 32": dict(widths=[10, 32, 32, 1], batch=32, batches=500, epochs=4),
    "100-256-256-1, 256": dict(widths=[100, 256, 256, 1], batch=256, batches=40, epochs=4),
    "784-128-10, 128": dict(widths=[784, 128, 10], batch=128, batches=100, epochs=2),
    "784-512-512-10, 256": dict(widths=[784, 512, 512, 10], batch=256, batches=20, epochs=2),
    "1024-2048-2048-100, 1024": dict(widths=[1024, 2048, 2048, 100], batch=1024, batches=2, epochs=1),
}

PEERS = peers.PEERS


def prepare(peer, case, threads):
    task = peers.random_task(case["widths"], case["batch"], case["batch"] * case["batches"])
    training = peers.make(peer, task, threads)
    epochs = case["epochs"] if training.whole else 1
    return lambda: training.train(epochs), case["batches"] * epochs


def run(options: Options) -> Record:
    also = ("first call",)
    return sweep(__name__, PEERS, CASES, options, unit="microseconds per step", kind="time", scale=1e6, also=also)
