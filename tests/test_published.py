"""The repeated published runs: the same model in both libraries, and what their report makes of the figures."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from bench.published import __main__ as command
from bench.published import report, train
from bench.published.rows import Part, Rows
from bench.published.runs import CHOSEN, Run, published

ADAMW = {"type": "AdamW", "lr": 0.003, "weight_decay": 0.3}
AVERAGED = {**ADAMW, "ema_decay": 0.8}
MUON = {"type": "Muon", "lr": 0.002, "weight_decay": 0.2, "betas": [0.9, 0.999], "eps": 1e-8, "muon": {"lr": 0.01}}
SGD = {"type": "SGD", "lr": 0.05, "momentum": 0.9, "dampening": 0.9, "weight_decay": 0.01}
PERIODIC = {"kind": "periodic", "n_frequencies": 5, "scale": 0.5, "width": 3}
PIECEWISE = {"kind": "piecewise", "n_bins": 7, "width": 3}

SMALL = Run(
    dataset="california",
    model="mlp",
    optimizer="adamw",
    mean=0.5,
    deviation=0.01,
    published_seeds=10,
    parameters=0,
    ms_per_step=2.0,
    gpu="A100",
    blocks=2,
    width=12,
    dropout=0.0,
    members=0,
    outputs=1,
    embedding={},
    optimizing=ADAMW,
    batch=32,
    patience=4,
    clip_norm=0.5,
)
RUNS = {
    "plain": {},
    "two classes": {"dataset": "adult", "outputs": 2},
    "periodic": {"embedding": PERIODIC, "dataset": "adult"},
    "piecewise": {"embedding": PIECEWISE, "optimizing": AVERAGED},
    "piecewise, Muon": {"embedding": PIECEWISE, "optimizing": {**MUON, "ema_decay": 0.8}},
    "members": {"members": 3, "optimizing": AVERAGED},
    "members, Muon": {"members": 3, "optimizing": MUON, "dataset": "adult"},
    "SGD": {"optimizing": SGD},
}


def small(name: str) -> Run:
    return dataclasses.replace(SMALL, **RUNS[name])


@pytest.fixture
def rows(rng) -> Rows:
    """Four numbers, one of them with few values, and two categories, one with a single value."""

    def part(count: int, kind: type) -> Part:
        numbers = rng.normal(size=(count, 4))
        numbers[:, 1] = np.minimum(numbers[:, 1], 0.0)
        numbers[:, 2] = numbers[:, 2] > 0
        categories = np.eye(3)[rng.integers(0, 3, count)]
        signal = numbers[:, 0] - np.abs(numbers[:, 3]) + categories[:, 0]
        x = np.concatenate([numbers, categories, np.ones((count, 1))], axis=1)
        return Part(x.astype(np.float32), (signal > 0).astype(np.int64) if kind is int else signal.astype(np.float32))

    return lambda kind: Rows(*(part(count, kind) for count in (300, 90, 90)), 4, (3, 1), 2.0)


def learners(torch, run, rows, dtype):
    """Both libraries', from the parameters that PyTorch drew."""
    from bench.published import with_torch, with_whet

    ours, theirs = with_whet.Learner(run, rows, 0, dtype), with_torch.Learner(run, rows, 0)
    drawn = {name: value.numpy().copy() for name, value in theirs.model.state_dict().items()}
    ours.model.load_state_dict({**ours.model.initialize(0).state_dict(), **drawn})
    return ours, theirs


@pytest.mark.parametrize("name", RUNS)
def test_both_libraries_train_the_same_model(wide_torch, rows, name):
    run = small(name)
    rows = rows(float if run.metric == "rmse" else int)
    x, y = rows.train.x.astype(np.float64), rows.train.y
    y = y.astype(np.float64) if run.metric == "rmse" else y
    ours, theirs = learners(wide_torch, run, rows, "float64")
    with wide_torch.no_grad():
        first = theirs.model.eval()(wide_torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(ours.model.predict(x), first, rtol=0, atol=1e-12)
    for order in train.batches(np.random.default_rng(0), len(x), run):
        for each in (ours, theirs):
            each.step(x[order], y[order])
    np.testing.assert_allclose(ours.outputs(x), theirs.outputs(x), rtol=0, atol=1e-9)
    assert np.abs(ours.outputs(x) - first).max() > 1e-2
    for key, value in theirs.model.state_dict().items():
        np.testing.assert_allclose(ours.model.state_dict()[key], value.numpy(), rtol=0, atol=1e-9, err_msg=key)


@pytest.mark.parametrize("name", RUNS)
def test_both_libraries_predict_alike_in_float32(torch, rows, name):
    run = small(name)
    rows = rows(float if run.metric == "rmse" else int)
    ours, theirs = learners(torch, run, rows, "float32")
    with torch.no_grad():
        want = theirs.model.eval()(torch.from_numpy(rows.test.x)).numpy()
    np.testing.assert_allclose(ours.model.predict(rows.test.x), want, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["members", "two classes"])
@pytest.mark.parametrize("library", train.LIBRARIES)
def test_a_training_ends_when_the_validation_rows_say_so(torch, rows, library, name):
    run = dataclasses.replace(small(name), dropout=0.1)
    line = train.train(run, library, 0, rows(float if run.metric == "rmse" else int), most_epochs=40)
    assert line["run"] == run.name
    assert line["epochs"] == 40 or line["epochs"] == line["best_epoch"] + run.patience
    assert line["steps"] == 10 * line["epochs"]
    assert line["test"] < 1.0 if run.metric == "rmse" else line["test"] > 0.8
    assert 0 < line["ms_per_step"] < 1e3 * line["seconds"]


def test_the_figure_is_that_of_the_members_mean():
    part = Part(np.zeros((2, 1), np.float32), np.array([1.0, 0.0], np.float32))
    rows = Rows(part, part, part, 1, (), 2.0)
    outputs = np.array([[0.0, 2.0], [1.0, 3.0]], np.float32)
    assert train.figure(SMALL, rows, outputs, part) == pytest.approx(2.0 * 2.0 / 2**0.5)
    binary = dataclasses.replace(SMALL, dataset="adult")
    # Sigmoids of 0.1 and -9 have a mean below a half, of 1 and -0.5 one above.
    assert train.figure(binary, rows, np.array([[1.0, -0.5], [0.1, -9.0]]), part) == 1.0
    two = dataclasses.replace(binary, outputs=2)
    assert train.figure(two, rows, np.array([[0.0, 1.0], [0.0, 1.0]]), part) == 0.5


def lines(run, whet, torch):
    return [
        {"run": run.name, "library": library, "seed": seed, "test": test, "steps": 100, "ms_per_step": 1.0 + seed}
        for library, tests in (("whet", whet), ("torch", torch))
        for seed, test in enumerate(tests)
    ]


def test_the_report_compares_pairs_of_seeds():
    record = lines(SMALL, [0.50, 0.52, 0.54, 9.0], [0.51, 0.50, 0.55])
    told = report.table([SMALL], record).splitlines()[2]
    # Differences -0.01, 0.02, -0.01 have a mean of 0; the fourth seed has no pair.
    assert told.startswith(
        "| california mlp adamw (3 seeds) | 0.5000 ± 0.0100 | 0.5200 ± 0.0115 | 0.5200 ± 0.0153 | +0.0 "
    )
    assert "+4.00 % (!)" in told
    assert told.endswith("| 100, 100 | 1.00 | 1.00 | 2.00 |")
    far = report.table([SMALL], lines(SMALL, [0.50, 0.51], [0.60, 0.62])).splitlines()[2]
    assert "| -21.0 (!) (-9.4) | +1.00 % |" in far
    assert "| +nan (+nan) | +0.90 points |" in report.table(
        [dataclasses.replace(SMALL, dataset="adult")],
        lines(dataclasses.replace(SMALL, dataset="adult"), [0.509], [0.51]),
    )
    assert len(report.table([SMALL], []).splitlines()) == 2


def test_a_difference_asks_for_as_many_seeds_again(monkeypatch, tmp_path):
    monkeypatch.setattr(report, "RECORD", tmp_path / "record.jsonl")
    monkeypatch.setattr(command, "published", lambda: [SMALL])

    def keep(*found):
        report.RECORD.write_text("".join(json.dumps(line) + "\n" for line in lines(SMALL, *found)))
        return [(seed, library) for _, seed, library in command.missing("")]

    assert keep([0.5, 0.5], [0.5]) == [(1, "torch"), *((seed, each) for seed in (2, 3, 4) for each in train.LIBRARIES)]
    alike, apart = [0.50, 0.51, 0.52, 0.53, 0.50], [0.60, 0.61, 0.62, 0.63, 0.61]
    assert keep(alike, alike[::-1]) == []
    assert [seed for seed, _ in keep(alike, apart)] == [5, 5, 6, 6, 7, 7, 8, 8, 9, 9]
    assert keep([*alike, *alike], [*apart, *alike]) == []
    assert list(command.missing("adult")) == []


def test_the_order_of_published_means_is_kept_or_not():
    near, far = (
        dataclasses.replace(SMALL, optimizer=name, mean=mean) for name, mean in (("muon", 0.504), ("sgd", 0.6))
    )
    record = [*lines(SMALL, [0.5, 0.52], [0.5]), *lines(near, [0.45], [0.5]), *lines(far, [0.49, 0.49], [0.5])]
    told = report.order([SMALL, near, far], record)
    assert [line.partition(":")[0] for line in told] == ["NOT kept", "kept"]
    assert "california mlp adamw against california mlp sgd, published -0.1000" in told[0]


def test_the_models_have_as_many_parameters_as_published(torch, outside_data):
    from bench.published import with_torch, with_whet

    runs = published()
    assert [(run.dataset, run.model, run.optimizer) for run in runs] == [chosen[:3] for chosen in CHOSEN]
    for run in runs:
        cardinalities = (9, 16, 7, 15, 6, 5, 2, 42) if run.dataset == "adult" else ()
        numbers = 6 if cardinalities else 8
        bins = [np.linspace(-1, 1, run.embedding.get("n_bins", 1) + 1)] * numbers
        ours = with_whet.Network(run, numbers, cardinalities, [edges.tolist() for edges in bins])
        theirs = with_torch.Network(run, numbers, cardinalities, bins)
        buffers = {name for name, _ in theirs.named_buffers()}
        sizes = [array.size for name, array in ours.state_dict().items() if name not in buffers]
        assert sum(sizes) == sum(p.numel() for p in theirs.parameters()) == run.parameters, run.name


def test_the_rows_of_the_published_runs(outside_data):
    from bench.published.rows import rows_of

    rows = rows_of("california", 0)
    assert [len(part.x) for part in (rows.train, rows.validation, rows.test)] == [13209, 3303, 4128]
    assert rows.train.x.shape[1] == rows.numbers == 8
    assert abs(rows.train.y.mean()) < 1e-6
    assert rows.train.y.std() == pytest.approx(1, rel=1e-5)
    assert 1.1 < rows.unit < 1.2
    np.testing.assert_allclose(rows.train.x.std(axis=0), 1, atol=0.03)
