"""How long does a training step of models beyond plain perceptrons take, beside PyTorch and JAX?

Adam at 1e-3, mean squared error, whole epochs of shuffled batches of 256 rows from arrays in memory: perceptrons with
normalisation, dropout or GELU, embeddings of categories (the columns of adult) and of numbers, and an ensemble of 32
members. The peak is the step's matrix products alone at the processor's rate of FMAs, forward and backward. The last
table has the fastest peer's least time over whet's, on the clock and of all processors, which a neighbour on the
machine disturbs least; and over the peak's, which nobody can be ahead by.
"""

from __future__ import annotations

import statistics
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
from bench import models, peers, tables
from bench.harness import Options, Record, sweep
from bench.products import PEAK, peak

BATCH, BATCHES, EPOCHS, MEMBERS = 256, 20, 2, 32
ADULT = [9, 16, 7, 15, 6, 5, 2, 42]  # categories of each column


def perceptron(widths: list[int], *between: list[Any]) -> list[models.Layer]:
    """Linear layers, and between them those of `between`; 0 stands for the width."""
    made: list[models.Layer] = []
    for before, after in pairwise(widths):
        made += [["Linear", before, after]]
        made += [[kind, *(after if size == 0 else size for size in sizes)] for kind, *sizes in between]
    return made[: len(made) - len(between)]


def members() -> list[models.Layer]:
    hidden = [["LinearBatchEnsemble", 8, 128, MEMBERS], ["ReLU"], ["LinearBatchEnsemble", 128, 128, MEMBERS], ["ReLU"]]
    return [*hidden, ["LinearEnsemble", 128, 1, MEMBERS]]


WIDE, RELU = [64, 256, 256, 1], ["ReLU"]
AFTER, ADULT_NET = [192, 256, 256, 1], [8 * len(ADULT) + 6, 256, 128, 1]
CASES: dict[str, Record] = {
    "LayerNorm": dict(layers=perceptron(WIDE, ["LayerNorm", 0], RELU)),
    "BatchNorm": dict(layers=perceptron(WIDE, ["BatchNorm1d", 0], RELU)),
    "dropout 0.2": dict(layers=perceptron(WIDE, RELU, ["Dropout", 0.2])),
    "GELU": dict(layers=perceptron(WIDE, ["GELU"])),
    "adult, 8 tables": dict(layers=[["Tables", ADULT, 8, 8], *perceptron(ADULT_NET, RELU)], categories=ADULT),
    "adult, one table": dict(layers=[["Tables", [sum(ADULT)], 8, 8], *perceptron(ADULT_NET, RELU)], categories=ADULT),
    "periodic": dict(layers=[["Periodic", 8, 48, 24], *perceptron(AFTER, RELU)], inputs=8),
    "piecewise linear": dict(layers=[["Piecewise", 8, 48, 24], *perceptron(AFTER, RELU)], inputs=8),
    "32 members": dict(layers=members(), inputs=8),
}

COMPARED = ("whet", "torch fused", "torch compile", "jax jit", "jax scan")
PEERS = {**{name: replace(peers.PEERS[name], limit="peak") for name in COMPARED}, "peak": PEAK}


def task_of(case: Record, rows: int) -> models.Task:
    rng = np.random.default_rng(0)
    counts = case.get("categories", [])
    numbers = rng.standard_normal((rows, 6 if counts else case.get("inputs", 64)), np.float32)
    one = len(case["layers"][0][1]) == 1 if counts else False
    firsts = np.cumsum([0, *counts[:-1]]) if one else [0] * len(counts)
    codes = [first + rng.integers(0, count, (rows, 1)) for first, count in zip(firsts, counts, strict=True)]
    x = np.concatenate([*codes, numbers], axis=1).astype(np.float32)
    y = np.tanh(numbers[:, :4].sum(axis=1, keepdims=True))
    return models.Task([x.shape[1], 1], BATCH, x, y, layers=case["layers"])


def prepare(peer, case, threads):
    if peer == "peak":
        return peak(threads, BATCH * models.product_flops(task_of(case, BATCH)))
    training = models.make(peer, task_of(case, BATCH * BATCHES), threads)
    epochs = EPOCHS if training.whole else 1
    return lambda: training.train(epochs), BATCHES * epochs


def ahead(record: Record) -> tables.Table | None:
    """The fastest peer's least time over whet's and the peak's, for each case and number of threads, and geometric
    means.
    """
    found: dict[str, dict[str, list[float]]] = {}
    for table in record["tables"]:
        if table["kind"] != "time":
            continue
        for case, row in table["cases"].items():
            least = {name: min(times) for name, times in row["peers"].items()}
            others = [seconds for name, seconds in least.items() if name not in ("whet", "peak")]
            for name, title in (("whet", table["title"]), ("peak", f"peak, {table['title']}")):
                if others and name in least:
                    found.setdefault(case, {})[title] = [min(others) / least[name]]
    if not found:
        return None
    columns = {title for row in found.values() for title in row}
    found["geometric mean"] = {
        title: [statistics.geometric_mean(row[title][0] for row in found.values() if title in row)]
        for title in sorted(columns)
    }
    return tables.make("the fastest peer's least time over whet's", found, unit="times", kind="value")


def run(options: Options) -> Record:
    also = ("first call", "processors")
    record = sweep(__name__, PEERS, CASES, options, unit="microseconds per step", kind="time", scale=1e6, also=also)
    table = ahead(record)
    if table is not None:
        print("\n" + tables.markdown(table))
        record["tables"].append(table)
    return record
