"""Does whet reach PyTorch's test accuracy on MNIST with the same recipe?

784-128-10, ReLU, Adam 1e-3, batch 128, 5 epochs, the accuracy after the last one, 5 seeds. WHET_DATA names the folder
of mnist.npz.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from pathlib import Path

import numpy as np
from bench import tables
from bench.harness import Options, Peer, Record, present

EPOCHS, BATCH, SEEDS = 5, 128, range(5)

PEERS = {"whet": Peer("whet"), "torch": Peer("torch")}


def data():
    folder = os.environ.get("WHET_DATA")
    if not folder:
        sys.exit("WHET_DATA names no folder with mnist.npz")
    with np.load(Path(folder) / "mnist.npz") as arrays:
        images = [arrays[f"{part}_images"].reshape(-1, 784).astype(np.float32) / 255 for part in ("train", "test")]
        labels = [arrays[f"{part}_labels"].astype(np.int64) for part in ("train", "test")]
    return images[0], labels[0], images[1], labels[1]


def with_whet(seed, x, y, xt, yt):
    from whet import nn, optim

    model = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
    model.fit(x, y, loss="cross_entropy", optimizer=optim.Adam(lr=1e-3), epochs=EPOCHS, batch_size=BATCH, seed=seed)
    return float((model.predict(xt).argmax(axis=1) == yt).mean())


def with_torch(seed, x, y, xt, yt):
    import torch

    torch.manual_seed(seed)
    model = torch.nn.Sequential(torch.nn.Linear(784, 128), torch.nn.ReLU(), torch.nn.Linear(128, 10))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    tx, ty = torch.from_numpy(x), torch.from_numpy(y)
    for _ in range(EPOCHS):
        order = torch.randperm(len(tx))
        for rows in order.split(BATCH):
            optimizer.zero_grad(set_to_none=True)
            torch.nn.functional.cross_entropy(model(tx[rows]), ty[rows]).backward()
            optimizer.step()
    with torch.no_grad():
        return float((model(torch.from_numpy(xt)).argmax(dim=1).numpy() == yt).mean())


def run(options: Options) -> Record:
    arrays, learners = data(), {"whet": with_whet, "torch": with_torch}
    names = list(present(PEERS, options.peers))
    accuracies: dict[str, list[float]] = {name: [] for name in names}
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for seed in SEEDS:
        for name in names:
            start = time.perf_counter()
            accuracies[name].append(learners[name](seed, *arrays))
            seconds[name].append(time.perf_counter() - start)
    for name in names:
        listed = " ".join(f"{100 * a:.2f}" for a in accuracies[name])
        print(f"{name:6} mean {100 * statistics.mean(accuracies[name]):.3f} %  ({listed})")
    if "torch" in names:
        difference = statistics.mean(accuracies["whet"]) - statistics.mean(accuracies["torch"])
        print(f"whet - torch: {100 * difference:+.3f} points")
    made = [
        tables.make("accuracy", {"10,000 test images": accuracies}, unit="%", kind="value", scale=100),
        tables.make("time", {"5 epochs": seconds}, unit="seconds a seed", kind="time"),
    ]
    for table in made:
        print("\n" + tables.markdown(table))
    return {"tables": made}
