"""What does it add to a training to watch it: a bar, callbacks, metrics, records, a way back, checkpoints?

Adam and cross-entropy on random rows, whole fits of as many epochs of 100 steps as a case says. "progress" draws its
bar in a terminal, "callback" has methods that do nothing, after each epoch and each 10th step, "record" notes norms and
units of every layer, "rollback" keeps the last good state, "checkpoint" writes one every 100 steps. Every peer looks
for numbers that are not finite, as every training does.
"""

from __future__ import annotations

import io
import shutil
import tempfile
from collections.abc import Callable
from typing import Any

from bench import peers
from bench.harness import Options, Peer, Record, sweep

STEPS = 100  # of an epoch
CASES: dict[str, Record] = {
    "10-32-32-3, 128": dict(widths=[10, 32, 32, 3], batch=128, epochs=40),
    "100-256-256-10, 128": dict(widths=[100, 256, 256, 10], batch=128, epochs=4),
    "784-512-512-10, 128": dict(widths=[784, 512, 512, 10], batch=128, epochs=1),
}
WATCHED = ("progress", "callback", "accuracy", "record", "rollback", "checkpoint")
PEERS = {"whet": Peer("whet"), **{name: Peer("whet") for name in WATCHED}}


class Terminal(io.StringIO):
    """What a bar takes for a terminal."""

    def isatty(self) -> bool:
        return True


def watching(peer: str) -> dict[str, Any]:
    from whet import callbacks

    class Idle(callbacks.Callback):
        every_n_steps = 10

    if peer == "progress":
        return {"callbacks": callbacks.Progress(stream=Terminal())}
    if peer == "checkpoint":
        return {"checkpoint": tempfile.mkdtemp(), "checkpoint_every": STEPS}
    arguments: dict[str, dict[str, Any]] = {
        "callback": {"callbacks": Idle()},
        "accuracy": {"metrics": ["accuracy"]},
        "record": {"record": True},
        "rollback": {"on_nonfinite": "rollback"},
    }
    return arguments.get(peer, {})


def prepare(peer: str, case: Record, threads: int) -> tuple[Callable[[], object], int]:
    from whet import nn, optim

    task = peers.random_task(case["widths"], case["batch"], STEPS * case["batch"])
    first, *hidden, last = case["widths"]
    model = nn.MLP(first, hidden, last)
    settings = dict(loss="cross_entropy", epochs=case["epochs"], batch_size=case["batch"])

    def train() -> None:
        arguments = watching(peer)
        model.fit(task.x, task.y, optimizer=optim.Adam(1e-4), **settings, **arguments)
        if "checkpoint" in arguments:
            shutil.rmtree(arguments["checkpoint"])

    return train, STEPS * case["epochs"]


def run(options: Options) -> Record:
    return sweep(
        __name__,
        PEERS,
        CASES,
        options,
        unit="microseconds per step",
        kind="time",
        scale=1e6,
        threads=(1,),
        also=("processors",),
    )
