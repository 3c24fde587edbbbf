"""What benchmarks make of their rounds: no times are compared here."""

from __future__ import annotations

import importlib
import json

import pytest
from bench import tables
from bench.__main__ import benchmarks
from bench.harness import calls_that_fill


def record(whet, torch):
    """One product of 2e9 operations: rounds in seconds, a peak that takes one second."""
    rounds = {"512": {"torch": torch, "peak": [1.0, 1.0, 1.0], "whet": whet}}
    limits = {"whet": "peak", "torch": "peak"}
    table = tables.make("1 thread", rounds, unit="GFLOP/s", kind="rate", scale=1e-9, work={"512": 2e9}, limits=limits)
    machine = {"processor": "P", "processors": 2, "time": "2026-01-01T00:00", "versions": {"whet": "1"}, "commit": "c"}
    return {"benchmark": "b", "question": "?", "machine": {**machine, "whet": {"isa": "i"}}, "tables": [table]}


def test_a_rate_has_its_quartiles_its_ratio_and_its_share_of_the_peak():
    (table,) = record([1.0, 2.0, 4.0], [2.0, 4.0, 8.0])["tables"]
    assert tables.peers_of(table) == ["whet", "torch", "peak"]
    assert tables.figures(table, "512", "whet") == pytest.approx((2 / 3, 1.0, 4 / 3))
    assert tables.advantage(table, "512", "torch") == 2
    assert tables.share(table, "512", "whet") == 0.5
    assert tables.share(table, "512", "peak") is None
    assert "| 512 | 1.00 (0.667-1.33) 50 % | 0.500 (0.333-0.667) x2.00 25 % | 2.00 (2.00-2.00) |" in tables.markdown(
        table
    )


def test_a_time_is_told_for_a_unit_of_work():
    table = tables.make("t", {"a": {"whet": [3.0]}}, unit="ns", kind="time", scale=1e9, work={"a": 1e9})
    assert tables.figures(table, "a", "whet") == pytest.approx((3.0, 3.0, 3.0))


def test_what_the_machine_did_between_two_records_drops_out():
    old, new = record([1.0, 1.0, 1.0], [2.0, 2.0, 2.0]), record([1.0, 1.0, 1.0], [4.0, 4.0, 4.0])
    new["tables"][0]["cases"]["512"]["peers"]["peak"] = [2.0, 2.0, 2.0]
    assert "| 512 | 1.00 ~ | 0.50 | 0.50 | 2.00 |" in tables.differences(old, new)


def test_a_record_without_tables_is_refused(tmp_path):
    path = tmp_path / "old.json"
    path.write_text(json.dumps({"benchmark": "b"}))
    with pytest.raises(ValueError, match="no tables"):
        tables.read(path)


def test_a_turn_of_calls_is_never_empty():
    assert calls_that_fill(1e-9, lambda: None) == 1
    assert calls_that_fill(1e-3, lambda: None) > 1


@pytest.mark.parametrize("name", benchmarks())
def test_every_benchmark_asks_a_question_and_can_be_run(name):
    assert benchmarks()[name].endswith("?")
    assert callable(importlib.import_module(f"bench.bench_{name}").run)
