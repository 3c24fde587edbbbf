"""Searches: the space, the trials and their bits, the journal, and what is returned."""

from __future__ import annotations

import functools
import json
import math
import os
import shutil
import signal
import threading
import warnings

import numpy as np
import pytest

import whet
from whet import callbacks, data, nn, optim, schedules, tune
from whet.data import split_indices
from whet.tune.space import Space

SPACE = {
    "model.hidden": tune.choice([(8,), (16, 8)]),
    "optimizer.lr": tune.log_uniform(1e-3, 1e-1),
    "fit.batch_size": tune.choice([32, 50]),
}
FIT = {"loss": "mse", "epochs": 4}


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 5)).astype(np.float32)
    return X, (X[:, 0] * X[:, 1] + np.sin(X[:, 2])).astype(np.float32)


@pytest.fixture(scope="module")
def classes(rows):
    return rows[0], (rows[1] > 0).astype(np.int64) + (rows[1] > 1)


def mlp(hidden):
    return nn.MLP(5, hidden, 1)


def table_model(**arguments):
    return whet.TabularModel("species", **arguments)


def by_hand(params, X, y, train, held, seed=0, epochs=4):
    """The loop that one would write."""
    model = nn.MLP(5, params["model.hidden"], 1)
    optimizer = optim.Adam(lr=params["optimizer.lr"])
    model.fit(
        X[train],
        y[train],
        loss="mse",
        optimizer=optimizer,
        epochs=epochs,
        seed=seed,
        batch_size=params["fit.batch_size"],
    )
    return model.evaluate(X[held], y[held])["loss"]


# Trials


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_a_search_is_the_loop_written_by_hand(rows, threads):
    found = tune.search(mlp, SPACE, *rows, trials=8, threads=threads, seed=2, refit=False, **FIT)
    train, held = split_indices(400, (0.8, 0.2), seed=2)
    scores = {each.index: each.score for each in found.trials}
    for i, params in enumerate(Space(SPACE).random(2, 8)):
        assert scores[i] == by_hand(params, *rows, train, held, seed=2)
    assert found.best.score == min(scores.values())
    assert found.threads == threads


def test_trials_share_the_threads_of_the_kernels(rows, threads):
    seen = []

    class Look(callbacks.Callback):
        def on_train_begin(self, logs=None):
            seen.append(whet.get_num_threads())

        def __deepcopy__(self, memo):
            return self

    threads(5)
    tune.search(mlp, SPACE, *rows, trials=4, threads=2, callbacks=[Look()], refit=False, **FIT)
    assert seen == [2] * 4
    assert whet.get_num_threads() == 5


def test_folds_are_the_loop_written_by_hand(rows):
    found = tune.search(mlp, SPACE, *rows, trials=3, folds=3, repeats=2, refit=False, **FIT)
    blocks = split_indices(400, [134, 133, 133], seed=0)
    for each in found.trials:
        scores = [
            by_hand(each.params, *rows, np.concatenate([blocks[i - 2], blocks[i - 1]]), blocks[i], seed)
            for seed in (0, 1)
            for i in range(3)
        ]
        assert list(each.scores) == scores
        assert each.score == math.fsum(scores) / 6


def test_a_grid_of_models_optimizers_and_losses(rows):
    space = {
        "hidden": tune.choice([(), (8,)]),
        "optimizer": tune.choice(["sgd", optim.Adam(lr=0.01)]),
        "fit.loss": tune.choice(["mse", "huber"]),
        "fit.epochs": 2,
    }
    found = tune.search(mlp, space, *rows, method="grid", metric="rmse", optimizer="lion")
    assert len(found.trials) == 8
    assert {each.epochs for each in found.trials} == {2}
    assert list(found.table) == ["trial", *space, "rmse", "deviation", "epochs", "seconds", "error"]
    model = nn.MLP(5, found.best_params["hidden"], 1)
    fit = {"optimizer": found.best_params["optimizer"], "loss": found.best_params["fit.loss"], "epochs": 2}
    model.fit(*rows, **fit)
    assert found.model.fingerprint() == model.fingerprint()


def test_a_schedule_keeps_its_shape(rows):
    given = optim.Adam(lr=schedules.Cosine(0.5), weight_decay=0.01)
    found = tune.search(mlp, {"hidden": (8,), "optimizer.lr": 0.02}, *rows, optimizer=given, trials=1, **FIT)
    model = mlp((8,))
    model.fit(*rows, optimizer=optim.Adam(lr=schedules.Cosine(0.02), weight_decay=0.01), **FIT)
    assert found.model.fingerprint() == model.fingerprint()


def test_classes_keep_their_share_and_metrics_have_a_direction(classes):
    X, y = classes
    space = {"optimizer.lr": tune.log_uniform(1e-3, 1e-1)}
    found = tune.search(nn.MLP(5, (8,), 3), space, X, y, trials=5, loss="cross_entropy", metric="accuracy", epochs=3)
    assert found.greater_is_better
    assert [each.score for each in found.trials] == sorted((each.score for each in found.trials), reverse=True)
    train, held = split_indices(400, (0.8, 0.2), seed=0, stratify=y)
    model = nn.MLP(5, (8,), 3)
    options = {"loss": "cross_entropy", "epochs": 3, "metrics": "accuracy"}
    model.fit(X[train], y[train], optimizer=optim.Adam(lr=found.best_params["optimizer.lr"]), **options)
    assert found.best.score == model.evaluate(X[held], y[held])["accuracy"]
    least = tune.search(
        *(nn.MLP(5, (8,), 3), space, X, y),
        **dict(trials=5, loss="cross_entropy", epochs=3, direction="max", metric=lambda t, p: float(np.mean(p))),
    )
    assert least.greater_is_better


def test_tables_are_preprocessed_by_the_training_rows_alone():
    table = data.load_penguins()
    space = {"hidden": tune.choice([(8,), (4, 4)]), "optimizer.lr": tune.log_uniform(1e-3, 1e-1)}
    found = tune.search(table_model, space, table, trials=4, epochs=3, metric="accuracy", seed=1)
    labels = table["species"]
    train, held = split_indices(table.rows, (0.8, 0.2), seed=1, stratify=labels)
    for each in found.trials:
        model = table_model(hidden=each.params["hidden"])
        rate = schedules.MultiStep(each.params["optimizer.lr"], (0.8,), 0.1)
        model.fit(table.take(train), optimizer=optim.Adam(lr=rate), epochs=3, seed=1)
        assert each.score == model.evaluate(table.take(held))["accuracy"]
    assert set(found.model.predict(table)) <= set(labels)
    with pytest.raises(ValueError, match="rmse needs a loss without classes"):
        tune.search(table_model, space, table, trials=2, epochs=1, metric="rmse")


def test_a_trial_that_diverges_has_failed_and_the_others_go_on(rows):
    space = {"hidden": (8,), "optimizer.lr": tune.choice([1e-2, 1e18])}
    found = tune.search(mlp, space, *rows, method="grid", optimizer="sgd", **FIT)
    assert [each.error is None for each in found.trials] == [True, False]
    assert math.isnan(found.trials[1].score)
    assert "1 failed" in repr(found)
    assert "finite" in found.trials[1].error
    with pytest.raises(ValueError, match="did not fail"):
        tune.search(mlp, {"hidden": (8,), "optimizer.lr": 1e18}, *rows, optimizer="sgd", **FIT)


def test_callbacks_are_of_each_trial_and_see_the_rows_set_aside(rows):
    watch = callbacks.EarlyStopping(patience=1)
    options = {"loss": "mse", "epochs": 30, "callbacks": [watch], "trials": 4, "refit": False}
    found = tune.search(mlp, {"hidden": (8,), "optimizer.lr": tune.log_uniform(0.05, 0.3)}, *rows, **options)
    assert min(each.epochs for each in found.trials) < 30
    assert not hasattr(watch, "model")


def test_an_error_of_an_argument_ends_the_search(rows):
    before = threading.active_count()
    with pytest.raises(ValueError, match="batch_size"):
        tune.search(mlp, {"hidden": (8,), "fit.batch_size": tune.choice([8, 0])}, *rows, method="grid", **FIT)
    assert threading.active_count() <= before


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"method": "annealing"}, ValueError),
        ({"metric": "accurcy"}, ValueError),
        ({"metric": "accuracy"}, ValueError),  # of the loss mse
        ({"metric": lambda t, p: 0.0}, ValueError),
        ({"direction": "up"}, ValueError),
        ({"folds": 1}, ValueError),
        ({"folds": 401}, ValueError),
        ({"folds": 3, "time": np.arange(400)}, ValueError),
        ({"validation": 0}, ValueError),
        ({"stratify": "no"}, TypeError),
        ({"trials": 0}, ValueError),
        ({"threads": 0}, ValueError),
        ({"method": "halving", "factor": 1}, ValueError),
        ({"method": "halving", "min_epochs": 5}, ValueError),
        ({"sample_weight": [1, 2]}, ValueError),
    ],
)
def test_wrong_arguments(rows, options, error):
    with pytest.raises(error, match=r"^\[\w+\] "):
        tune.search(mlp, SPACE, *rows, **{**FIT, **options})


def test_folds_that_cannot_be(rows):
    for options, words in (({"folds": 401}, "2 to 400 folds"), ({"folds": 3, "time": np.arange(400)}, "the past$")):
        with pytest.raises(ValueError, match=words):
            tune.search(mlp, SPACE, *rows, **options, **FIT)


@pytest.mark.parametrize(
    ("build", "args", "words"),
    [
        (3, (), "a model, or a function"),
        (lambda hidden: hidden, (), "build to return a model"),
        (nn.MLP(5, (8,), 1), (), "a function of hidden"),
        (mlp, (None,), "expected y"),
    ],
)
def test_what_is_no_model(rows, build, args, words):
    with pytest.raises(TypeError, match=words):
        tune.search(build, {"hidden": tune.choice([(8,)])}, rows[0], *(args or rows[1:]), **FIT)


def test_weights_groups_and_times(rows):
    X, y = rows
    weight, when = np.linspace(0, 2, 400), np.arange(400)[::-1]
    space = {"hidden": (8,), "optimizer.lr": tune.log_uniform(1e-3, 1e-1)}
    found = tune.search(mlp, space, X, y, trials=1, sample_weight=weight, time=when, **FIT)
    train, held = split_indices(400, (0.8, 0.2), time=when)
    model = mlp((8,))
    rate = found.best_params["optimizer.lr"]
    model.fit(X[train], y[train], sample_weight=weight[train], optimizer=optim.Adam(lr=rate), **FIT)
    assert found.best.score == model.evaluate(X[held], y[held], weight[held])["loss"]
    assert tune.search(mlp, space, X, y, trials=1, groups=np.arange(400) // 10, folds=4, **FIT).best.scores


def test_several_inputs_by_name(rows):
    class Two(nn.Module):
        def __init__(self):
            self.a, self.b = nn.Linear(2, 1), nn.Linear(3, 1)

        def forward(self, left, right):
            return self.a(left) + self.b(right)

    X = {"left": rows[0][:, :2], "right": rows[0][:, 2:]}
    found = tune.search(Two, {"optimizer.lr": tune.choice([0.01, 0.1])}, X, rows[1], method="grid", **FIT)
    train, held = split_indices(400, (0.8, 0.2))
    model = Two()
    optimizer = optim.Adam(lr=found.best_params["optimizer.lr"])
    model.fit({n: x[train] for n, x in X.items()}, rows[1][train], optimizer=optimizer, **FIT)
    assert found.best.score == model.evaluate({n: x[held] for n, x in X.items()}, rows[1][held])["loss"]


# Halving


def test_halving_goes_on_from_where_it_stopped(rows):
    """The last round has the bits of a training without a pause, with the schedule of its whole length."""
    options = {**FIT, "epochs": 9, "optimizer": optim.Adam(lr=schedules.Cosine(0.01))}
    halved = tune.search(mlp, SPACE, *rows, trials=9, method="halving", refit=False, **options)
    whole = tune.search(mlp, SPACE, *rows, trials=9, refit=False, **options)
    full = {each.index: each.score for each in whole.trials}
    assert [each.epochs for each in halved.trials] == [9] + [3] * 2 + [1] * 6
    assert list(halved.best.curve) == [1, 3, 9]
    assert halved.best.score == full[halved.best.index]


@pytest.mark.parametrize("lost", ["journal", "checkpoints", "both"])
def test_halving_goes_on_after_a_kill(rows, tmp_path, lost):
    """Where the checkpoint is ahead of the journal, and where there is none any more."""
    path = tmp_path / "runs.jsonl"
    options = {**FIT, "epochs": 9, "optimizer": optim.Adam(lr=schedules.Cosine(0.01)), "refit": False}
    first = tune.search(mlp, SPACE, *rows, trials=9, method="halving", journal=path, **options)
    lines = path.read_bytes().splitlines(keepends=True)
    if lost != "checkpoints":
        path.write_bytes(b"".join(lines[:-1]))
    else:
        path.write_bytes(b"".join(lines[:11]))
    if lost != "journal":
        shutil.rmtree(tmp_path / "runs.jsonl.trials")
    again = tune.search(mlp, SPACE, *rows, trials=9, method="halving", journal=path, **options)
    assert [(e.index, e.score, e.curve) for e in again.trials] == [(e.index, e.score, e.curve) for e in first.trials]


def test_rounds_of_halving():
    from whet.tune.running import rungs

    assert rungs(64, 40, 3, 1) == [1, 4, 13, 40]
    assert rungs(64, 40, 2, 10) == [10, 20, 40]
    assert rungs(2, 40, 3, 1) == [40]


def test_a_pause_and_what_follows_have_the_bits_of_one_training(rows, tmp_path):
    def fit(directory, pause):
        model = mlp((8,))
        watch = [callbacks.Pause(pause)] if pause else []
        options = {"optimizer": optim.Adam(lr=schedules.Linear(0.01)), "epochs": 6, "loss": "mse"}
        checkpoint = {} if directory is None else {"checkpoint": directory, "resume": True}
        return model, model.fit(*rows, callbacks=watch, **checkpoint, **options)

    history = fit(tmp_path, 2)[1]
    assert (history.stopped_by, len(history["loss"])) == ("Pause", 2)
    again = fit(tmp_path, 2)[1]
    assert (again.stopped_by, len(again["loss"])) == ("Pause", 2)
    assert len(fit(tmp_path, 5)[1]["loss"]) == 5
    model, history = fit(tmp_path, 6)
    assert history.stopped_by == "epochs"
    assert model.fingerprint() == fit(None, None)[0].fingerprint()
    with pytest.raises(ValueError, match=r"\[Pause\]"):
        callbacks.Pause(0)


# The journal


def searched(rows, journal, trials=6, **options):
    return tune.search(mlp, SPACE, *rows, trials=trials, journal=journal, refit=False, **{**FIT, **options})


def test_a_journal_repeats_nothing(rows, tmp_path):
    path = tmp_path / "runs.jsonl"
    first = searched(rows, path)
    lines = path.read_text().splitlines()
    assert len(lines) == 7
    assert json.loads(lines[0])["search"]["seed"] == 0
    again = searched(rows, path)
    assert path.read_text().splitlines() == lines
    assert again.trials == first.trials
    more = searched(rows, path, trials=8)
    assert path.read_text().splitlines()[:7] == lines
    assert sorted(each.index for each in more.trials) == list(range(8))


@pytest.mark.parametrize("cut", [1, 20, 100])
def test_a_torn_last_line_is_done_again(rows, tmp_path, cut):
    path = tmp_path / "runs.jsonl"
    first = searched(rows, path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    again = searched(rows, path)
    assert [each.score for each in again.trials] == [each.score for each in first.trials]
    before, after = whole.splitlines(), path.read_bytes().splitlines()
    assert before[:-1] == after[:-1]
    assert [json.loads(line).get("trial") for line in after[1:]] == [json.loads(line)["trial"] for line in before[1:]]


def test_a_first_line_that_is_torn(rows, tmp_path):
    path = tmp_path / "runs.jsonl"
    path.write_bytes(b'{"search": {"bui')
    assert len(searched(rows, path).trials) == 6
    assert len(list(map(json.loads, path.read_text().splitlines()))) == 7


@pytest.mark.parametrize(
    ("right", "wrong"),
    [('"score"', '"scope"'), ('"unit": 0', '"unit": "0"'), ('"params"', '"parabs"'), ("0, ", "[], ")],
)
def test_a_line_that_is_damaged_is_named(rows, tmp_path, right, wrong):
    path = tmp_path / "runs.jsonl"
    searched(rows, path, trials=2)
    lines = path.read_text().splitlines(keepends=True)
    text = "".join([*lines[:2], lines[2].replace(right, wrong, 1)])
    path.write_text(text)
    with pytest.raises(ValueError, match="the journal of this search; its line 3 is damaged"):
        searched(rows, path, trials=2)
    assert path.read_text() == text


def test_failures_are_in_the_journal(rows, tmp_path):
    path = tmp_path / "runs.jsonl"
    space = {"hidden": (8,), "optimizer.lr": tune.choice([1e-2, 1e18])}
    options = dict(method="grid", optimizer="sgd", journal=path, **FIT)
    first = tune.search(mlp, space, *rows, **options)
    records = map(json.loads, path.read_text().splitlines()[1:])
    assert {record["trial"]: record["score"] is None for record in records} == {0: False, 1: True}
    lines = path.read_text()
    again = tune.search(mlp, space, *rows, **options)
    assert path.read_text() == lines
    assert again.trials[1].error == first.trials[1].error


@pytest.mark.parametrize(
    ("options", "word"),
    [({"seed": 1}, "seed"), ({"epochs": 5}, "fit"), ({"folds": 3}, "rows"), ({"method": "grid"}, "method")],
)
def test_the_journal_of_another_search(rows, tmp_path, options, word):
    path = tmp_path / "runs.jsonl"
    searched(rows, path, trials=1)
    space = {**SPACE, "optimizer.lr": tune.choice([0.1])} if "method" in options else SPACE
    with pytest.raises(ValueError, match=f"with other .*{word}"):
        tune.search(mlp, space, *rows, trials=1, journal=path, **{**FIT, **options})
    path.write_text("epoch,loss\n1,2\n")
    with pytest.raises(ValueError, match="a journal of a search"):
        searched(rows, path)


def test_two_searches_do_not_write_to_one_journal(rows, tmp_path):
    path = tmp_path / "runs.jsonl"
    caught = []

    class Inside(callbacks.Callback):
        def on_train_begin(self, logs=None):
            with pytest.raises(RuntimeError, match="another search"):
                searched(rows, path, trials=1)
            caught.append(True)

        def __deepcopy__(self, memo):
            return self

    searched(rows, path, trials=1, callbacks=[Inside()])
    assert caught


# Ends


def test_ctrl_c_returns_what_is_done(rows, tmp_path):
    path = tmp_path / "runs.jsonl"

    class Interrupt(callbacks.Callback):
        """When two trials are done."""

        def on_epoch_begin(self, epoch, logs=None):
            if path.read_text().count("\n") > 2 and not sent:
                sent.append(True)
                os.kill(os.getpid(), signal.SIGINT)

        def __deepcopy__(self, memo):
            return self

    sent = []
    threads = threading.active_count()
    found = searched(rows, path, trials=40, epochs=40, callbacks=[Interrupt()])
    assert found.stopped_by == "interrupt"
    assert found.model is None
    assert 2 <= len(found.trials) < 40
    assert threading.active_count() == threads
    again = searched(rows, path, trials=40, epochs=40, callbacks=[Interrupt()])
    assert len(again.trials) == 40
    assert again.stopped_by == "trials"
    known = {each.index: each.score for each in again.trials}
    assert all(known[each.index] == each.score for each in found.trials)


def test_progress_says_a_line_for_each(rows, capsys):
    searched(rows, None, trials=3, progress=True)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert all("of 3: loss " in line for line in lines)


# What is returned


def test_what_a_result_shows(rows, tmp_path):
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    found = searched(rows, None)
    frame = found.to_pandas()
    assert list(frame["loss"]) == [each.score for each in found.trials]
    assert isinstance(frame, pandas.DataFrame)
    assert repr(found).startswith("SearchResult(6 trials, best loss=")
    assert len(str(found).splitlines()) == 7
    shown = found._repr_html_()
    assert shown.count("<tr>") == 8
    assert "6 trials, 0 failed" in shown
    assert found.best_params == found.trials[0].params


@pytest.mark.parametrize("method", ["random", "halving"])
def test_the_plot_has_a_panel_for_each_argument(rows, method):
    matplotlib = pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        axes = searched(rows, None, trials=9, method=method).plot()
    names = [each.get_xlabel() for each in axes]
    assert names == ["trial", *(["epochs"] if method == "halving" else []), *SPACE]
    pyplot.close("all")


# Optuna


class Suggests:
    """A trial of Optuna, as far as an objective knows it."""

    def suggest_float(self, name, low, high, log=False):
        return math.sqrt(low * high) if log else (low + high) / 2

    def suggest_int(self, name, low, high, log=False):
        return low

    def suggest_categorical(self, name, values):
        assert all(isinstance(value, str) for value in values)
        return values[-1]


def test_an_objective_asks_the_trial(rows):
    objective = tune.objective(mlp, {**SPACE, "fit.seed": tune.integers(3, 5)}, *rows, **FIT)
    train, held = split_indices(400, (0.8, 0.2))
    params = {"model.hidden": (16, 8), "optimizer.lr": math.sqrt(1e-3 * 1e-1), "fit.batch_size": 50}
    assert objective(Suggests()) == by_hand(params, *rows, train, held, seed=3)
    with pytest.raises(whet.NonFiniteError):
        tune.objective(mlp, {"hidden": (8,), "optimizer.lr": 1e18}, *rows, optimizer="sgd", **FIT)(Suggests())
    with pytest.raises(ValueError, match="to prune"):
        tune.objective(mlp, SPACE, *rows, prune=True, folds=3, **FIT)


def test_a_study_of_optuna(rows):
    optuna = pytest.importorskip("optuna", reason="optuna is not installed")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    pruner = optuna.pruners.MedianPruner(n_startup_trials=2)
    study = optuna.create_study(direction="minimize", sampler=optuna.samplers.TPESampler(seed=0), pruner=pruner)
    study.optimize(tune.objective(mlp, SPACE, *rows, prune=True, **FIT), n_trials=8, n_jobs=2)
    assert len(study.trials) == 8
    assert any(each.state.name == "PRUNED" for each in study.trials)
    best = study.best_trial.params
    assert 1e-3 <= best["optimizer.lr"] <= 1e-1
    assert best["model.hidden"] in ("(8,)", "(16, 8)")


def test_partial_classes_are_builders():
    build = functools.partial(whet.TabularModel, "species")
    found = tune.search(build, {"hidden": tune.choice([(4,), (8,)])}, data.load_penguins(), folds=2, epochs=2)
    assert len(found.trials) == 2
    assert len(found.best.scores) == 2
