"""What does an optimizer add to a training step, above all Muon with its products, beside SGD's?

Epochs of shuffled batches from arrays in memory, divided by their steps, for five hidden layers of 208: SGD costs next
to nothing, so that what the others take beyond it is their own. Forward and backward take 135 million FMAs for a batch
of 256; Muon's iterations, with half of two of their three products saved, 18 million for each of four matrices and five
rounds. Where both run equally fast, its step takes 3.7 times AdamW's; with all products in full, it was 5.
"""

from __future__ import annotations

from bench import peers
from bench.harness import Options, Peer, Record, sweep

CASES = {"8-208-208-208-208-208-1, 256": dict(widths=[8, *[208] * 5, 1], batch=256, batches=20)}

NAMES = ("SGD", "AdamW", "LAMB", "Adafactor", "Muon")
PEERS = {f"whet {name}": Peer("whet") for name in NAMES}


def prepare(peer, case, threads):
    from whet import optim

    training = peers.Whet(peers.random_task(case["widths"], case["batch"], case["batch"] * case["batches"]))
    training.settings["optimizer"] = getattr(optim, peer.removeprefix("whet "))(lr=1e-5)
    return lambda: training.train(1), case["batches"]


def run(options: Options) -> Record:
    return sweep(__name__, PEERS, CASES, options, unit="microseconds per step", kind="time", scale=1e6)
