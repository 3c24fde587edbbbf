"""How much memory does a training need beyond the library and the data?

784-512-512-10, Adam, batch 256, one epoch of 60,000 rows; the peak of the process's resident memory, less what it was
when the library was imported and the rows were there. Each figure is of a process of its own. Parameters, gradients
and Adam's moments alone are 10.7 MB.
"""

from __future__ import annotations

import importlib

from bench import peers, tables
from bench.harness import Options, Record, at_work, present, thread_counts
from bench.memory import peak

WIDTHS, BATCH, ROWS = [784, 512, 512, 10], 256, 60_000

PEERS = {
    name: peers.PEERS[name]
    for name in ("whet", "torch", "torch fused", "torch bfloat16", "jax jit", "jax scan", "scikit-learn", "numpy")
}
# What of a package is used; nn of whet leaves nothing to be imported later.
USED = {"whet": "whet.nn", "sklearn": "sklearn.neural_network"}


def examine(peer, case, threads):
    """Kilobytes."""
    package = PEERS[peer].package
    importlib.import_module(USED.get(package, package))
    task = peers.random_task(WIDTHS, BATCH, ROWS)
    before = peak()
    peers.make(peer, task, threads).train(1)
    return peak() - before


def run(options: Options) -> Record:
    chosen, threads = present(PEERS, options.peers), thread_counts((1, 2))[-1]
    kilobytes: dict[str, list[float]] = {name: [] for name in chosen}
    for _ in range(min(options.rounds, 3)):
        for name, peer in chosen.items():
            with at_work(__name__, {name: peer}, threads) as workers:
                kilobytes[name].append(workers[name].ask(examine={}))
    title = f"{threads} thread{'s' * (threads > 1)}"
    made = [tables.make(title, {"784-512-512-10, 256": kilobytes}, unit="MB", kind="amount", scale=1 / 1024)]
    print("\n" + tables.markdown(made[0]))
    return {"tables": made}
