"""A benchmark whose peers do nothing that is worth measuring, for test_bench.py: one computes, the other sleeps."""

from __future__ import annotations

import os
import time

from bench.harness import LeftOutError, Peer

PEERS = {"whet": Peer("json", {"FAKE": "1"}), "sleeper": Peer("json"), "absent": Peer("no_such_package")}


def refuse():
    raise LeftOutError("it has no compiler")


def prepare(peer, case, threads):
    if peer == "whet":
        return lambda: sum(range(50_000)), 2
    return {"work": (lambda: time.sleep(0.002), 2), "missing": None, "refused": (refuse, 1)}[case["what"]]


def examine(peer, case, threads):
    return [peer, case, threads, os.environ.get("FAKE")]
