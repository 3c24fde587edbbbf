"""How long until 97 % and 98 % of MNIST's test images are right, and do all peers get equally far?

Adam at 1e-3, the same models, batches and epochs for all; nothing is chosen by the test images. They are looked at
after each epoch, and that is not in the time; compiling is. WHET_DATA names the folder of mnist.npz.
"""

from __future__ import annotations

import functools
import os
import statistics
import sys
import time
from pathlib import Path

import numpy as np
from bench import peers, tables
from bench.harness import Options, Record, at_work, present, thread_counts

CASES = {
    "784-128-10, 128": dict(widths=[784, 128, 10], batch=128, epochs=5, goals=[0.97]),
    "784-512-512-10, 256": dict(widths=[784, 512, 512, 10], batch=256, epochs=12, goals=[0.97, 0.98]),
}
SEEDS = 5

PEERS = {
    name: peers.PEERS[name] for name in ("whet", "whet bfloat16", "torch", "torch fused", "jax scan", "scikit-learn")
}


@functools.cache
def data():
    with np.load(Path(os.environ["WHET_DATA"]) / "mnist.npz") as arrays:
        images = [arrays[f"{part}_images"].reshape(-1, 784).astype(np.float32) / 255 for part in ("train", "test")]
        labels = [arrays[f"{part}_labels"].astype(np.int64) for part in ("train", "test")]
    return images[0], labels[0], images[1], labels[1]


def examine(peer, case, threads):
    """Seconds of training and test accuracy after each epoch."""
    x, y, xt, yt = data()
    task = peers.Task(case["widths"], case["batch"], x, y, case["seed"])
    training = peers.make(peer, task, threads)
    if peer.startswith("whet"):
        # One fit is the whole training: a first one tells the accuracies, a second one, equal in every bit, the time.
        training.train(case["epochs"], validation_data=(xt, yt), metrics="accuracy")
        accuracies = training.model.history["val_accuracy"]
        training = peers.make(peer, task, threads)
        start = time.perf_counter()
        training.train(case["epochs"])
        each = (time.perf_counter() - start) / case["epochs"]
        return [(each * (i + 1), accuracy) for i, accuracy in enumerate(accuracies)]
    seconds, curve = 0.0, []
    for _ in range(case["epochs"]):
        start = time.perf_counter()
        training.epoch()
        seconds += time.perf_counter() - start
        curve.append((seconds, float((training.outputs(xt).argmax(axis=1) == yt).mean())))
    return curve


def run(options: Options) -> Record:
    if not (Path(os.environ.get("WHET_DATA", "")) / "mnist.npz").is_file():
        sys.exit("WHET_DATA names no folder with mnist.npz")
    threads, seeds = thread_counts((1, 2))[-1], range(min(SEEDS, options.rounds))
    curves: dict[str, dict[str, list]] = {}
    times: dict[str, dict[str, list[float]]] = {}
    accuracies: dict[str, dict[str, list[float]]] = {}
    with at_work(__name__, present(PEERS, options.peers), threads) as workers:
        for title, case in CASES.items():
            if options.only not in title:
                continue
            found = curves[title] = {name: [] for name in workers}
            for seed in seeds:
                for name in list(workers)[:: -1 if seed % 2 else 1]:
                    curve = workers[name].ask(examine={**case, "seed": seed})
                    print(f"{title}, seed {seed}: {name} {curve[-1][1]:.2%} after {curve[-1][0]:.1f} s", flush=True)
                    found[name].append(curve)
            for goal in case["goals"]:
                row = times[f"{title} to {100 * goal:.0f} %"] = {}
                for name, runs in found.items():
                    reached = [[seconds for seconds, accuracy in curve if accuracy >= goal] for curve in runs]
                    if missed := [seed for seed, seconds in zip(seeds, reached, strict=True) if not seconds]:
                        print(f"{title}: {name} does not reach {goal:.0%} with the seeds {missed}")
                    if any(reached):
                        row[name] = [seconds[0] for seconds in reached if seconds]
            row = accuracies[f"{title} after {case['epochs']}"] = {
                name: [curve[-1][1] for curve in runs] for name, runs in found.items()
            }
            means = ", ".join(f"{name} {statistics.mean(values):.3%}" for name, values in row.items())
            print(f"{title}, mean test accuracy after {case['epochs']} epochs: {means}", flush=True)
    title = f"time to test accuracy, {threads} thread{'s' * (threads > 1)}"
    made = [
        tables.make(title, times, unit="seconds", kind="time"),
        tables.make("test accuracy after the last epoch", accuracies, unit="%", kind="value", scale=100),
    ]
    for table in made:
        print("\n" + tables.markdown(table))
    return {"tables": made, "curves": curves}
