"""What do batches from memory cost, in an epoch's loading and in a training of many short epochs?

"load": every peer draws an order of 100,000 rows of 32 float32 numbers and their targets and takes batches of 256, the
case of pytorch/pytorch#106704 shuffled. PyTorch and NumPy do no more. whet trains a linear model on them meanwhile;
"whet in order" is that training with the rows as they lie, so what whet takes beyond it is its loading.
"train": 80 rows of 301 features and 8 classes, the case of skorch-dev/skorch#433, with 32 hidden units and all rows as
one batch: an epoch is a step and whatever else an epoch costs.
"""

from __future__ import annotations

from collections import deque

from bench import peers
from bench.harness import Options, Peer, Record, sweep

CASES = {
    "load 100,000 x 32, 256": dict(widths=[32, 1], rows=100_000, batch=256, epochs=4, trains=False),
    "train 80 x 301-32-8, 80": dict(widths=[301, 32, 8], rows=80, batch=80, epochs=200, trains=True),
}

PEERS = {
    "whet": Peer("whet"),
    "whet in order": Peer("whet"),
    "numpy": peers.PEERS["numpy"],
    "torch": peers.TORCH,
    "torch DataLoader": peers.TORCH,
    "scikit-learn": peers.PEERS["scikit-learn"],
}


def prepare(peer, case, threads):
    task = peers.random_task(case["widths"], case["batch"], case["rows"])
    if peer == "whet in order":
        if case["trains"]:
            return None
        training = peers.Whet(task)
        return lambda: training.train(case["epochs"], shuffle=False), case["epochs"]
    training = peers.make(peer, task, threads)
    if case["trains"] or peer == "whet":
        return lambda: training.train(case["epochs"]), case["epochs"]
    if peer == "scikit-learn":
        return None
    return lambda: deque(training.batches(), maxlen=0), 1


def run(options: Options) -> Record:
    return sweep(__name__, PEERS, CASES, options, unit="milliseconds per epoch", kind="time", scale=1e3)
