"""TensorBoard, MLflow and Optuna: with the packages where they are, else with what stands for them."""

from __future__ import annotations

import sys
import types

import numpy as np
import pytest

from whet import callbacks, nn, optim


@pytest.fixture
def data(rng):
    return rng.normal(size=(320, 3)), rng.normal(size=320)


def fit(data, given, **options):
    """Ten steps an epoch."""
    arguments = {"epochs": 3, "batch_size": 32, "metrics": "mae", "validation_data": data, **options}
    return nn.Linear(3, 1).fit(*data, loss="mse", callbacks=given, **arguments)


# TensorBoard


def test_event_files(data, tmp_path):
    reading = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="tensorboard is not installed"
    )
    history = fit(data, callbacks.TensorBoard(tmp_path / "logs", update_freq=4))
    found = {}
    for folder in ("train", "validation"):
        events = reading.EventAccumulator(str(tmp_path / "logs" / folder)).Reload()
        found[folder] = {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
    train, validation = found["train"], found["validation"]
    assert set(train) == {"epoch_loss", "epoch_learning_rate", "epoch_mae", "batch_loss", "batch_learning_rate"}
    assert set(validation) == {"epoch_loss", "epoch_mae"}
    for tag, name in (("epoch_loss", "loss"), ("epoch_mae", "mae")):
        for numbers, prefix in ((train, ""), (validation, "val_")):
            want = np.float32(history[prefix + name]).tolist()
            assert numbers[tag] == list(enumerate(want))
    assert [step for step, _ in train["batch_loss"]] == [*range(4, 29, 4)]
    fit(data, callbacks.TensorBoard(str(tmp_path / "epochs")))
    events = reading.EventAccumulator(str(tmp_path / "epochs" / "train")).Reload()
    assert set(events.Tags()["scalars"]) == {"epoch_loss", "epoch_learning_rate", "epoch_mae"}


def test_without_tensorboard_it_says_so_before_training(data, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "tensorboard.summary.writer.event_file_writer", None)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(ImportError, match=r"\[TensorBoard\] needs the package tensorboard: pip install tensorboard"):
        fit(data, callbacks.TensorBoard(tmp_path))
    for wrong, error in (("batch", ValueError), (0, ValueError), (1.5, TypeError)):
        with pytest.raises(error, match=r"\[TensorBoard\] expected update_freq"):
            callbacks.TensorBoard(tmp_path, wrong)


# MLflow


class FakeMLflow(types.ModuleType):
    """What the callback calls, noted."""

    def __init__(self, active=None):
        super().__init__("mlflow")
        self.calls, self.active_run = [], lambda: active
        for name in ("start_run", "log_params", "log_metrics", "end_run"):
            setattr(self, name, lambda *a, name=name, **k: self.calls.append((name, *a, k)))


def test_a_run_of_mlflow(data, monkeypatch):
    mlflow = FakeMLflow()
    monkeypatch.setitem(sys.modules, "mlflow", mlflow)
    history = fit(data, callbacks.MLflow("mine"), optimizer=optim.SGD(lr=0.1), max_steps=25)
    start, params, *epochs, end = mlflow.calls
    assert start == ("start_run", {"run_name": "mine"})
    assert params[0] == "log_params"
    assert params[1]["optimizer"].startswith("SGD(lr=0.1")
    assert params[1]["total_steps"] == 25
    for epoch, (name, numbers, options) in enumerate(epochs):
        assert (name, options) == ("log_metrics", {"step": epoch})
        want = {key: history[key][epoch] for key in history}
        assert numbers == {key: value for key, value in want.items() if key != "mae" or epoch < 2}
    assert len(epochs) == 3
    assert end == ("end_run", "FINISHED", {})


def test_a_run_that_is_active_stays_so(data, monkeypatch):
    mlflow = FakeMLflow(active="a run")
    monkeypatch.setitem(sys.modules, "mlflow", mlflow)
    fit(data, callbacks.MLflow(log_params=False))
    assert [call[0] for call in mlflow.calls] == ["log_metrics"] * 3


def test_a_run_tells_how_it_ended(data, monkeypatch):
    for error, raised in ((ZeroDivisionError, "FAILED"), (KeyboardInterrupt, "KILLED")):
        mlflow = FakeMLflow()
        monkeypatch.setitem(sys.modules, "mlflow", mlflow)

        def end(epoch, logs, error=error):
            raise error

        with pytest.raises(error):
            fit(data, [callbacks.MLflow(), callbacks.LambdaCallback(on_epoch_end=end)])
        assert mlflow.calls[-1] == ("end_run", raised, {})


def test_without_mlflow_it_says_so_before_training(data, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(ImportError, match=r"\[MLflow\] needs the package mlflow: pip install mlflow"):
        fit(data, callbacks.MLflow())
    with pytest.raises(TypeError, match="run_name to be text"):
        callbacks.MLflow(3)


def test_mlflow_itself(data, monkeypatch, tmp_path):
    mlflow = pytest.importorskip("mlflow", reason="mlflow is not installed")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    mlflow.set_tracking_uri(f"file:{tmp_path}/runs")
    history = fit(data, callbacks.MLflow())
    (run,) = mlflow.MlflowClient().search_runs(["0"])
    assert run.info.status == "FINISHED"
    assert run.data.params["epochs"] == "3"
    assert run.data.metrics["val_loss"] == history["val_loss"][-1]
    assert mlflow.active_run() is None


# Optuna


class Trial:
    """Of a study that prunes from some epoch on."""

    def __init__(self, last):
        self.last, self.reports = last, []

    def report(self, value, step):
        self.reports.append((step, value))

    def should_prune(self):
        return self.reports[-1][0] == self.last


def test_a_trial_is_told_of_every_epoch(data):
    trial = Trial(last=99)
    history = fit(data, callbacks.OptunaPruning(trial, "val_mae"))
    assert trial.reports == list(enumerate(history["val_mae"]))


def test_a_trial_that_is_pruned_raises(data, monkeypatch):
    class PrunedError(Exception):
        pass

    optuna = types.ModuleType("optuna")
    optuna.TrialPruned = PrunedError
    monkeypatch.setitem(sys.modules, "optuna", optuna)
    trial = Trial(last=1)
    with pytest.raises(PrunedError, match=r"val_loss is .* after epoch 1"):
        fit(data, callbacks.OptunaPruning(trial))
    assert len(trial.reports) == 2


def test_what_is_no_trial_or_not_recorded_is_refused(data):
    with pytest.raises(TypeError, match=r"an optuna.trial.Trial, got int"):
        callbacks.OptunaPruning(3)
    with pytest.raises(ValueError, match=r"\[OptunaPruning\] expected monitor to be one of loss, mae, .* got 'auc'"):
        fit(data, callbacks.OptunaPruning(Trial(0), "auc"))


def test_optuna_itself(data):
    optuna = pytest.importorskip("optuna", reason="optuna is not installed")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    X = data[0]

    def objective(trial):
        optimizer = optim.Adam(lr=trial.suggest_float("lr", 1e-5, 1e-1, log=True))
        given = callbacks.OptunaPruning(trial)
        return fit((X, X[:, 0]), given, optimizer=optimizer, epochs=8)["val_loss"][-1]

    pruner = optuna.pruners.MedianPruner(n_startup_trials=3, n_warmup_steps=2)
    study = optuna.create_study(pruner=pruner, sampler=optuna.samplers.RandomSampler(seed=0))
    study.optimize(objective, n_trials=12)
    assert {"COMPLETE", "PRUNED"} == {trial.state.name for trial in study.trials}
