"""What benchmarks make of their rounds: no times are compared here."""

from __future__ import annotations

import importlib
import json

import numpy as np
import pytest
from bench import __main__ as command
from bench import bench_examples, bench_language, harness, models, peers, plot, tables
from bench.__main__ import benchmarks
from bench.bench_width import over_the_line
from bench.harness import Options, calls_that_fill

from tests.fake_peers import PEERS

FAKE = "tests.fake_peers"


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


def test_peers_take_turns_in_processes_of_their_own(capsys):
    cases = {what: {"what": what} for what in ("work", "missing", "refused")}
    chosen = harness.present(PEERS, ())
    assert list(chosen) == ["whet", "sleeper"]
    turns = harness.take_turns(FAKE, chosen, cases, 1, Options(rounds=3, seconds=0.01))
    assert [list(row) for row in turns.values()] == [["whet", "sleeper"], ["whet"], ["whet"]]
    sleeper = turns["work"]["sleeper"]
    assert len(sleeper.wall) == len(sleeper.processors) == 3
    assert min(sleeper.wall) >= 0.001  # 2 ms for two units of work
    assert max(sleeper.processors) < min(sleeper.wall)
    assert sleeper.first >= 0.002
    said = capsys.readouterr().err
    assert "absent is left out: no_such_package is not installed" in said
    assert "sleeper is left out: it has no compiler" in said


def test_a_worker_is_examined_in_its_environment():
    with harness.at_work(FAKE, {"whet": PEERS["whet"]}, 2) as workers:
        assert workers["whet"].ask(examine={"seed": 3}) == ["whet", {"seed": 3}, 2, "1"]


def test_a_sweep_tells_first_calls_and_processors_time(monkeypatch, tmp_path):
    turns = {"a": {"whet": harness.Turns(0.5, [1.0, 2.0, 3.0], [2.0, 4.0, 6.0])}}
    monkeypatch.setattr(harness, "take_turns", lambda *given: turns)
    settings = dict(unit="ms", kind="time", scale=1e3, threads=(1,), also=("first call", "processors"))
    made = harness.sweep(FAKE, PEERS, {"a": {}}, Options(), **settings)["tables"]
    assert [table["title"] for table in made] == ["1 thread", "processors' time, 1 thread", "first call, 1 thread"]
    assert [tables.figures(table, "a", "whet")[1] for table in made] == [2000, 4000, 0.5]
    assert tables.markdown(made[2]).splitlines()[-1] == "| a | 0.500 |"
    machine = record([1.0], [1.0])["machine"]
    drawn = plot.draw({"benchmark": "b", "question": "?", "machine": machine, "tables": made}, tmp_path, "b")
    assert all(path.stat().st_size for path in drawn)


def test_an_amount_is_compared_and_one_round_has_no_quartiles():
    table = tables.make("t", {"a": {"whet": [2.0], "torch": [6.0]}}, unit="MB", kind="amount", scale=0.5)
    assert tables.markdown(table).splitlines()[-1] == "| a | 1.00 | 3.00 x3.00 |"


def test_a_jump_stands_over_the_line_between_its_neighbours():
    rounds = {"10": [1.0], "20": [8.0], "40": [4.0]}
    table = tables.make("t", {case: {"whet": times} for case, times in rounds.items()}, unit="us", kind="time")
    made = over_the_line(table, {case: {"width": int(case)} for case in rounds})
    assert {case: row["peers"]["whet"] for case, row in made["cases"].items()} == {"20": [4.0]}


def test_an_unknown_peer_is_refused_with_the_valid_ones(monkeypatch, capsys):
    monkeypatch.setattr(command, "perform", lambda *given: pytest.fail("ran"))
    with pytest.raises(SystemExit):
        command.run(["import", "--peer", "torhc"])
    assert "expected --peer among whet, whet.nn, numpy" in capsys.readouterr().err


@pytest.mark.parametrize("peer", [peer for peer in peers.PEERS if peer != "torch compile"])  # it takes half a minute
def test_every_peer_learns_what_it_is_timed_on(peer):
    """Whole epochs with a short last batch; the loss of a linear truth falls to a few parts of its variance."""
    packages = {"sklearn": "scikit-learn"}
    package = peers.PEERS[peer].package
    pytest.importorskip(package, reason=f"{packages.get(package, package)} is not installed")
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1000, 5), np.float32)
    for y in (x @ np.ones((5, 1), np.float32), (x[:, 0] > 0).astype(np.int64)):
        task = peers.Task([5, 32, y.shape[1] if y.ndim == 2 else 2], 64, x, y)
        training = peers.make(peer, task, 1)
        training.train(20)
        output = training.outputs(x)
        error = np.mean((output - y) ** 2) / 5 if y.ndim == 2 else np.mean(output.argmax(axis=1) != y)
        assert error < 0.05


@pytest.mark.parametrize("peer", [peer for peer in bench_language.COMPARED if peer != "torch compile"])
@pytest.mark.parametrize("case", bench_language.CASES)
def test_every_peer_learns_the_models_of_the_language(case, peer):
    package = bench_language.PEERS[peer].package
    pytest.importorskip(package, reason=f"{package} is not installed")
    task = bench_language.task_of(bench_language.CASES[case], 1000)
    training = models.make(peer, task, 1)
    training.train(15)
    output = training.outputs(task.x)
    error = np.mean((output.reshape(len(task.x), -1) - task.y) ** 2) / task.y.var()
    assert error < 0.3


@pytest.mark.parametrize("case", bench_language.CASES)
def test_the_models_of_the_language_have_as_many_parameters(torch, case):
    task = bench_language.task_of(bench_language.CASES[case], 10)
    ours, theirs = (models.make(peer, task, 1).model.state_dict() for peer in ("whet", "torch fused"))
    assert sum(np.size(value) for value in ours.values()) == sum(value.numel() for value in theirs.values())


def test_the_fastest_peer_counts():
    rows = {
        "a": {"whet": [2.0, 3.0], "x": [5.0, 4.0], "y": [6.0, 7.0], "peak": [1.0]},
        "b": {"whet": [1.0], "x": [8.0], "peak": [0.5]},
    }
    table = bench_language.ahead({"tables": [tables.make("1 thread", rows, unit="us", kind="time")]})
    ratios = {case: row["peers"] for case, row in table["cases"].items()}
    assert ratios["a"] == {"1 thread": [2.0], "peak, 1 thread": [4.0]}
    assert ratios["b"] == {"1 thread": [8.0], "peak, 1 thread": [16.0]}
    assert ratios["geometric mean"] == {"1 thread": [pytest.approx(4.0)], "peak, 1 thread": [pytest.approx(8.0)]}


def test_the_products_of_a_step_are_counted():
    layers = [["Linear", 4, 8], ["ReLU"], ["Linear", 8, 1]]
    task = models.Task([4, 1], 2, np.zeros((2, 4), np.float32), np.zeros((2, 1), np.float32), layers=layers)
    assert models.product_flops(task) == 2 * (2 * 4 * 8 + 3 * 8 * 1)  # nothing needs the gradient of the features


def test_an_example_reaches_its_target_or_not():
    assert bench_examples.reached(">= 98.4", 98.4, {})
    assert not bench_examples.reached(">= 98.4", 98.3, {})
    assert bench_examples.reached("10 +- 2", 11.5, {})
    assert not bench_examples.reached("10 +- 2", 12.5, {})
    assert not bench_examples.reached("< other", 2.0, {"other": 1.0})


@pytest.mark.parametrize("name", ["bike_hour", "housing"])
def test_an_example_on_real_data_reaches_its_targets(outside_data, name):
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    example = bench_examples.EXAMPLES[name]
    found = example.trial(0, False)
    for title, goal in example.goals.items():
        assert bench_examples.reached(goal, found[title], found), title


@pytest.mark.parametrize("name", benchmarks())
def test_every_benchmark_asks_a_question_and_can_be_run(name):
    assert benchmarks()[name].endswith("?")
    assert callable(importlib.import_module(f"bench.bench_{name}").run)
