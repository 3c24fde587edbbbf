"""TabularModel: a table in, labels or the target's own units out."""

from __future__ import annotations

import copy
import json
import pickle
import signal
import threading

import numpy as np
import pandas as pd
import polars as pl
import pytest

import whet
from tests.helpers import same_bits
from whet import TabularModel, callbacks, data, nn, optim


def numbers(rng, rows=80):
    """A table whose target, in large units, follows from a number and a category."""
    size = rng.uniform(0, 10, rows)
    color = rng.choice(np.array(["red", "blue", None], object), rows)
    price = 1e5 + 2e4 * size + 3e4 * (color == "red")
    return {"size": np.where(rng.random(rows) < 0.1, np.nan, size), "color": color, "price": price}


def classes(rng, rows=80):
    x = rng.normal(size=(rows, 2))
    return {"a": x[:, 0], "b": x[:, 1], "kind": np.array(["low", "high"], object)[(x.sum(axis=1) > 0).astype(int)]}


def fitted(columns, target, **arguments):
    model = TabularModel(target, hidden=(16,))
    model.fit(columns, **{"epochs": 3, "seed": 1, **arguments})
    return model


@pytest.fixture(scope="module")
def regression():
    columns = numbers(np.random.default_rng(0))
    return fitted(columns, "price"), columns


@pytest.fixture(scope="module")
def classification():
    columns = classes(np.random.default_rng(0))
    return fitted(columns, "kind", epochs=30), columns


@pytest.mark.parametrize(
    ("target", "task"),
    [
        (["a", "b"] * 10, "classification"),
        ([True, False] * 10, "classification"),
        ([1, 2, 3, 4] * 5, "classification"),
        ([1.0, 2.0] * 10, "classification"),
        ([0.5, 1.5] * 10, "regression"),
        (range(20), "regression"),
        ([2, 4, 6, 8], "regression"),
    ],
)
def test_the_task_follows_from_the_target(target, task):
    target = list(target)
    model = fitted({"x": np.arange(len(target)), "y": target}, "y")
    assert model.task == task
    if task == "classification":
        assert model.classes_.tolist() == sorted(set(target))
        prediction = model.predict({"x": np.arange(len(target))})
        assert set(prediction.tolist()) <= set(target)
        assert prediction.dtype == model.classes_.dtype
    else:
        with pytest.raises(AttributeError, match="classes_"):
            _ = model.classes_


def test_the_task_can_be_given():
    columns = {"x": np.arange(20), "y": [1, 2] * 10}
    model = TabularModel("y", task="regression", hidden=())
    model.fit(columns, epochs=2)
    assert model.task == "regression"
    assert model.predict(columns).dtype == np.float64
    with pytest.raises(ValueError, match=r"auto, classification, regression.*'cluster'"):
        TabularModel("y", task="cluster")
    with pytest.raises(TypeError, match="name of the target"):
        TabularModel(3)
    with pytest.raises(ValueError, match=r"'y'.*regression.*categories"):
        TabularModel("y", task="regression").fit({"x": [1, 2], "y": ["a", "b"]})


def test_predictions_are_in_the_targets_own_units(rng):
    columns = numbers(rng, 400)
    model = TabularModel("price", hidden=(32,))
    history = model.fit(columns, epochs=60)
    prediction = model.predict(columns)
    assert prediction.shape == (400,)
    assert np.sqrt(np.mean((prediction - columns["price"]) ** 2)) < 0.5 * columns["price"].std()
    scores = model.evaluate(columns)
    assert scores["rmse"] == pytest.approx(np.sqrt(np.mean((prediction - columns["price"]) ** 2)))
    assert scores["mae"] == pytest.approx(np.mean(abs(prediction - columns["price"])))
    assert scores["r2"] == pytest.approx(1 - np.mean((prediction - columns["price"]) ** 2) / columns["price"].var())
    assert scores["loss"] == pytest.approx(scores["rmse"] ** 2 / columns["price"].var(), rel=1e-4)
    assert len(history["loss"]) == 60
    assert history["loss"][-1] < 0.3 * history["loss"][0]


def test_classes_are_learned(classification):
    model, columns = classification
    scores = model.evaluate(columns)
    assert set(scores) == {"loss", "accuracy", "log_loss"}
    assert scores["accuracy"] == np.mean(model.predict(columns) == columns["kind"])
    assert scores["accuracy"] > 0.9
    probability = model.predict_proba(columns)
    assert probability.shape == (80, 2)
    np.testing.assert_allclose(probability.sum(axis=1), 1, rtol=1e-6)
    assert (model.classes_[probability.argmax(axis=1)] == model.predict(columns)).all()
    truth = np.searchsorted(model.classes_, columns["kind"].astype(str))
    assert scores["log_loss"] == pytest.approx(-np.log(probability[np.arange(80), truth]).mean(), rel=1e-5)
    assert scores["loss"] == pytest.approx(scores["log_loss"], rel=1e-4)


def test_asked_metrics(rng):
    columns = classes(rng)
    model = fitted(columns, "kind", metrics=("f1", "auc"), validation_fraction=0.25)
    assert set(model.evaluate(columns)) == {"loss", "f1", "auc"}
    assert set(model.history) >= {"loss", "val_loss", "f1", "auc", "val_f1", "val_auc"}
    with pytest.raises(ValueError, match=r"classification.*rmse"):
        fitted(columns, "kind", metrics="rmse")
    with pytest.raises(ValueError, match=r"regression.*accuracy"):
        fitted(numbers(rng), "price", metrics="accuracy")


def test_every_kind_of_table_gives_the_same_model(rng, tmp_path):
    columns = numbers(rng)
    frame = pd.DataFrame(columns)
    frame.to_csv(tmp_path / "t.csv", index=False)
    want = fitted(columns, "price")
    for table in (
        frame,
        pl.DataFrame(columns, strict=False),
        tmp_path / "t.csv",
        str(tmp_path / "t.csv"),
        data.Dataset(columns),
        data.Dataset(columns).with_target("price"),
        data.read_csv(tmp_path / "t.csv"),
    ):
        model = fitted(table, "price")
        assert model.network.fingerprint() == want.network.fingerprint(), type(table)
        assert same_bits(model.predict(table), want.predict(columns)), type(table)
    assert same_bits(want.predict(frame[["color", "size"]]), want.predict(columns)), "columns go by name"


def test_fit_learns_nothing_from_validation_rows(rng):
    """Validation rows may hold other categories and scales: preprocessing and weights are those of training alone."""
    columns = numbers(rng)
    table = data.Dataset(columns)
    train, validation = data.split(table, sizes=(0.75, 0.25), seed=1)
    other = validation.with_columns({"size": np.full(validation.rows, 1e6), "color": ["green"] * validation.rows})
    alone, beside, strange = (fitted(train, "price", validation_data=v) for v in (None, validation, other))
    assert alone.preprocessor.describe() == beside.preprocessor.describe() == strange.preprocessor.describe()
    assert alone.network.fingerprint() == beside.network.fingerprint() == strange.network.fingerprint()
    assert "color=green" not in strange.preprocessor.feature_names
    fraction = fitted(columns, "price", validation_fraction=0.25)
    assert fraction.preprocessor.describe() == alone.preprocessor.describe()
    assert fraction.history["val_loss"] == beside.history["val_loss"]


def test_sample_weights_follow_their_rows(rng):
    columns = numbers(rng)
    weight = rng.uniform(0.1, 2, 80)
    train, _ = data.split_indices(80, (0.75, 0.25), seed=1)
    split = fitted(columns, "price", validation_fraction=0.25, sample_weight=weight)
    alone = fitted(data.Dataset(columns).take(train), "price", sample_weight=weight[train])
    assert split.network.fingerprint() == alone.network.fingerprint()
    assert split.network.fingerprint() != fitted(columns, "price", validation_fraction=0.25).network.fingerprint()
    with pytest.raises(ValueError, match=r"\(80,\), got \(3,\)"):
        fitted(columns, "price", sample_weight=[1, 1, 1])


def test_the_learning_rate_falls_by_default(rng):
    columns = numbers(rng)
    default = fitted(columns, "price", epochs=10).history
    assert default["lr"] == pytest.approx([3e-3] * 8 + [3e-4] * 2, rel=1e-12)
    assert (default.seed, default.stopped_by, default.steps) == (1, "epochs", 10 * 3)
    assert fitted(columns, "price", epochs=10, optimizer=optim.Adam(lr=0.1)).history["lr"] == [0.1] * 10
    assert fitted(columns, "price", epochs=1).history["lr"] == [3e-3]
    stopped = fitted(columns, "price", epochs=10, max_steps=26).history
    assert (stopped.stopped_by, stopped.steps) == ("max_steps", 26)


def test_networks_of_ones_own(rng):
    columns = numbers(rng)
    made = TabularModel("price", network=lambda features, outputs: nn.Linear(features, outputs))
    made.fit(columns, epochs=2)
    assert isinstance(made.network, nn.Linear)
    given = nn.MLP(5, (4,), 1, activation="tanh")
    model = TabularModel("price", network=given)
    model.fit(columns, epochs=2)
    assert model.network is given
    before = given.fingerprint()
    model.fit(columns, epochs=1)
    assert given.fingerprint() != before
    with pytest.raises(TypeError, match=r"nn\.Module, got str"):
        TabularModel("price", network=lambda features, outputs: "network").fit(columns)
    for width, loss in ((1, "bce_with_logits"), (3, "cross_entropy")):
        classifier = TabularModel("cheap", network=lambda features, _, width=width: nn.Linear(features, width))
        with pytest.raises(ValueError, match=f"network with 2 outputs, one for each class; got {width}"):
            classifier.fit({**columns, "cheap": columns["price"] > np.median(columns["price"])}, loss=loss)


def test_a_callback_that_does_not_let_a_fit_begin_leaves_the_model(rng):
    columns = numbers(rng)
    model = fitted(columns, "price")
    before, history, evaluated = bits(model), model.history, model.evaluate(columns)
    refusing = callbacks.LambdaCallback(on_train_begin=lambda logs: 1 / 0)  # as a tracker whose package is not there
    with pytest.raises(ZeroDivisionError):
        model.fit(columns, loss="l1", metrics=("mae",), callbacks=refusing)
    assert bits(model) == before
    assert model.history is history
    assert model.evaluate(columns) == evaluated


def test_steps_of_ones_own(rng):
    steps = data.Preprocessor(scaler="StandardScaler", imputer=data.Imputer("mean", indicator=False))
    model = TabularModel("price", preprocessor=steps)
    model.fit(numbers(rng), epochs=1)
    assert model.preprocessor.describe()["scaler"]["step"] == "StandardScaler"
    with pytest.raises(RuntimeError, match="fit first"):
        steps.describe()


# Files and copies


@pytest.mark.parametrize("kind", ["regression", "classification"])
def test_a_file_has_everything(kind, request, tmp_path):
    model, columns = request.getfixturevalue(kind)
    model.save(tmp_path / "m.whet")
    again = whet.load(tmp_path / "m.whet")
    assert isinstance(again, TabularModel)
    assert repr(again) == repr(model)
    assert same_bits(again.predict(columns), model.predict(columns))
    assert again.evaluate(columns) == model.evaluate(columns)
    again.save(tmp_path / "n.whet")
    assert (tmp_path / "n.whet").read_bytes() == (tmp_path / "m.whet").read_bytes()
    assert again.fit(columns, epochs=2, seed=3)["loss"] == copy.deepcopy(model).fit(columns, epochs=2, seed=3)["loss"]


@pytest.mark.parametrize("labels", [[False, True], [3, 7], ["3", "x"], [0.5, 1.5]])
def test_labels_survive_a_file(labels, tmp_path):
    columns = {"x": np.arange(40), "y": labels * 20}
    model = TabularModel("y", task="classification", hidden=(4,))
    model.fit(columns, epochs=1)
    model.save(tmp_path / "m.whet")
    again = whet.load(tmp_path / "m.whet")
    assert again.classes_.tolist() == labels
    assert again.classes_.dtype == model.classes_.dtype
    pd.DataFrame(columns).to_csv(tmp_path / "t.csv", index=False)
    assert again.evaluate(tmp_path / "t.csv") == model.evaluate(columns)


def test_text_that_looks_like_numbers_stays_text(tmp_path):
    model = fitted({"zip": ["01", "10", "x", "y"] * 5, "y": ["007", "x"] * 10}, "y")
    (tmp_path / "t.csv").write_text("zip,y\n01,007\n10,007\n")
    want = model.evaluate({"zip": ["01", "10"], "y": ["007", "007"]})
    assert model.evaluate(tmp_path / "t.csv") == want


def test_a_given_network_is_trained_further_after_loading(rng, tmp_path):
    columns = numbers(rng)
    model = TabularModel("price", network=nn.MLP(5, (4,), 1, activation="tanh"))
    model.fit(columns, epochs=2)
    model.save(tmp_path / "m.whet")
    again = whet.load(tmp_path / "m.whet")
    again.fit(columns, epochs=1, seed=5)
    model.fit(columns, epochs=1, seed=5)
    assert same_bits(again.predict(columns), model.predict(columns))


def test_copies(regression):
    model, columns = regression
    for again in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert same_bits(again.predict(columns), model.predict(columns))
        again.fit(columns, epochs=1, seed=9)
        assert not same_bits(again.predict(columns), model.predict(columns))


def test_descriptions_of_something_else(regression):
    tensors, description = regression[0]._description()
    assert json.loads(json.dumps(description, allow_nan=False))["kind"] == "table"
    for broken in (
        {name: value for name, value in description.items() if name != "encoder"},
        {**description, "encoder": {"step": "LabelEncoder"}},
        {**description, "preprocessor": None},
        {**description, "preprocessor": {**description["preprocessor"], "imputer": {"step": "Imputer"}}},
    ):
        with pytest.raises(ValueError, match="expected"):
            TabularModel._from_description(tensors, broken)


def test_repr(regression, classification):
    assert repr(TabularModel("y")) == "TabularModel('y', task='auto', hidden=(128, 128))"
    assert repr(regression[0]) == "TabularModel('price', task='regression', 2 columns as 5 features)"
    assert repr(classification[0]) == "TabularModel('kind', task='classification', 2 columns as 2 features)"


# Bad input


def bits(model):
    return model.network.fingerprint(), json.dumps(model.preprocessor.describe()), model.history


FITS_REFUSED = {
    "missing targets": (lambda c: {**c, "price": [None, 1.5, None] + [2.5] * 77}, ValueError, "2 of 80.*row 0"),
    "infinite target": (lambda c: {**c, "price": [1.5, np.inf] + [2.5] * 78}, ValueError, "infinite in 1.*row 1"),
    "no target": (lambda c: {"size": c["size"]}, ValueError, r"target.*\['size'\].*'price'"),
    "no features": (lambda c: {"price": c["price"]}, ValueError, "one feature"),
    "no rows": (lambda c: {name: column[:0] for name, column in c.items()}, ValueError, "one row"),
    "infinite feature": (lambda c: {**c, "size": np.r_[c["size"][:-1], np.inf]}, ValueError, "'size'.*row 79"),
    "one class": (lambda c: {**c, "price": ["a"] * 80}, ValueError, "two classes"),
    "a list": (lambda c: [1, 2, 3], ValueError, "rows, columns"),
    "nothing": (lambda c: None, TypeError, "expected a table.*NoneType"),
    "a file that is not there": (lambda c: "nosuch.csv", OSError, "nosuch"),
}


@pytest.mark.parametrize("wrong", FITS_REFUSED)
def test_fits_that_are_refused(rng, wrong):
    make, error, words = FITS_REFUSED[wrong]
    columns = numbers(rng)
    model = fitted(columns, "price")
    before = bits(model)
    with pytest.raises(error, match=words):
        model.fit(make(columns))
    assert bits(model) == before


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (dict(epochs=0), ValueError, "epochs"),
        (dict(epochs=2.5), TypeError, "epochs"),
        (dict(batch_size=0), ValueError, "batch_size"),
        (dict(seed=-1), ValueError, "seed"),
        (dict(validation_fraction=1.5), ValueError, "validation_fraction"),
        (dict(validation_fraction=-0.5), ValueError, "validation_fraction"),
        (dict(validation_fraction=0.5, validation_data={}), ValueError, "both"),
        (dict(validation_data={"size": [1.0]}), ValueError, r"\['color', 'price'\]"),
        (dict(metrics="acuracy"), ValueError, "accuracy"),
        (dict(epoch=3), TypeError, "epoch"),
        (dict(resume=True), ValueError, "resume"),
    ],
)
def test_arguments_that_are_refused(rng, arguments, error, words):
    columns = numbers(rng)
    model = fitted(columns, "price")
    before = bits(model)
    with pytest.raises(error, match=words):
        model.fit(columns, **arguments)
    assert bits(model) == before


def test_columns_that_are_missing_or_too_many(regression):
    model, columns = regression
    want = model.predict(columns)
    with pytest.raises(ValueError, match=r"\['color'\].*missing"):
        model.predict({"size": columns["size"]})
    more = pl.DataFrame(columns, strict=False).with_columns(more=pl.lit([1]), most=pl.date(2020, 1, 1))
    with pytest.warns(whet.WhetWarning, match=r"\['more', 'most'\].*ignored"):
        prediction = model.predict(more)
    assert same_bits(prediction, want)
    with pytest.raises(ValueError, match=r"\['price'\].*missing"):
        model.evaluate({"size": columns["size"], "color": columns["color"]})


def test_rows_to_predict(regression, classification):
    model, columns = regression
    assert model.predict({"size": [], "color": []}).shape == (0,)
    assert np.isfinite(model.predict({"size": [None, 1e30], "color": ["green", None]})).all()
    one = model.predict({"size": columns["size"][:1], "color": columns["color"][:1]})
    assert same_bits(one, model.predict(columns)[:1])
    for bad, words in [
        ({"size": ["secret"], "color": ["red"]}, "'size'.*text"),
        ({"size": [-np.inf], "color": [1]}, "'size'"),
    ]:
        with pytest.raises(ValueError, match=words) as raised:
            model.predict(bad)
        assert "secret" not in str(raised.value)
    model, columns = classification
    assert model.predict({"a": [], "b": []}).shape == (0,)
    assert model.predict_proba({"a": [], "b": []}).shape == (0, 2)
    with pytest.raises(ValueError, match="1 others, first in row 1") as raised:
        model.evaluate({"a": [0, 0], "b": [0, 0], "kind": ["low", "secret"]})
    assert "secret" not in str(raised.value)


def test_what_needs_a_fit_or_another_task(regression, tmp_path):
    for action in (
        lambda model: model.predict({"x": [1]}),
        lambda model: model.predict_proba({"x": [1]}),
        lambda model: model.evaluate({"x": [1], "y": [1]}),
        lambda model: model.save(tmp_path / "m.whet"),
        lambda model: model.classes_,
    ):
        with pytest.raises(RuntimeError, match="fit first"):
            action(TabularModel("y"))
    with pytest.raises(ValueError, match="classification"):
        regression[0].predict_proba(regression[1])


def test_data_are_left_as_they_were(rng):
    frame = pd.DataFrame(numbers(rng))
    before = frame.copy(deep=True)
    model = fitted(frame, "price", validation_fraction=0.2)
    model.predict(frame)
    model.evaluate(frame)
    pd.testing.assert_frame_equal(frame, before)


def test_ctrl_c_leaves_a_model_that_predicts(rng):
    columns = numbers(rng, 4000)
    model = TabularModel("price")
    timer = threading.Timer(0.3, signal.raise_signal, [signal.SIGINT])
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        model.fit(columns, epochs=10**6)
    timer.join()
    assert model.history.stopped_by == "interrupt"
    assert np.isfinite(model.predict(columns)).all()


def test_checkpoints_have_the_preprocessing(rng, tmp_path):
    columns = numbers(rng, 200)
    straight = fitted(columns, "price", epochs=4, metrics="mae", validation_fraction=0.1)
    fitted(columns, "price", epochs=2, metrics="mae", validation_fraction=0.1, optimizer="adam", checkpoint=tmp_path)
    with pytest.raises(ValueError, match="optimizer"):
        fitted(columns, "price", epochs=4, metrics="mae", validation_fraction=0.1, checkpoint=tmp_path, resume=True)
    options = dict(epochs=4, metrics="mae", validation_fraction=0.1, checkpoint=tmp_path / "run", checkpoint_every=5)
    stop = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        fitted(columns, "price", callbacks=stop, **options)
    resumed = fitted(columns, "price", callbacks=callbacks.LambdaCallback(), resume=True, **options)
    assert bits(resumed)[:2] == bits(straight)[:2]
    assert dict(resumed.history) == dict(straight.history)
    newest = max((tmp_path / "run").glob("checkpoint-*"))
    loaded = whet.load(newest)
    np.testing.assert_array_equal(loaded.predict(columns), straight.predict(columns))
    assert loaded.evaluate(columns) == straight.evaluate(columns)
    assert whet.load(tmp_path / "run" / "best.whet").predict(columns).shape == (200,)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (dict(hidden=64), "sequence of widths"),
        (dict(network=3), "network.*int"),
        (dict(preprocessor=3), "Preprocessor.*int"),
    ],
)
def test_models_that_are_refused(arguments, words):
    with pytest.raises(TypeError, match=words):
        TabularModel("t", **arguments)


def test_an_unknown_argument_names_the_function_called(regression):
    with pytest.raises(TypeError, match=r"TabularModel\.fit.*'bogus'"):
        regression[0].fit(regression[1], bogus=1)
