"""whet.diagnose: faults that are put into a run are named, and a sound run is left alone."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import whet
from whet import explain, losses, nn, optim
from whet.callbacks import EarlyStopping
from whet.data import Dataset, Preprocessor
from whet.diagnosis import Diagnosis, Finding
from whet.diagnosis.columns import ordered, ranks, skill
from whet.diagnosis.rules import EXPLAINS, RULES

ROWS = 600


def curved(seed=0, rows=ROWS):
    """Two columns of six matter, and a linear model is not enough."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(rows, 6)).astype(np.float32)
    y = np.sin(2 * X[:, 0]) + X[:, 1] ** 2 - 1 + 0.1 * rng.normal(size=rows)
    return X, (y / (y.std() or 1)).astype(np.float32)


def classes(seed=0, rows=ROWS):
    X, y = curved(seed, rows)
    return X, (y > 0).astype(np.int64)


def fitted(X, y, hidden=(32,), activation="relu", rate=3e-3, loss="mse", network=None, **arguments):
    """A run with early stopping on the last third of the rows: (history, model, X, y, validation rows)."""
    cut = 2 * len(X) // 3
    outputs = int(y.max()) + 1 if loss == "cross_entropy" else 1
    model = network or nn.MLP(X.shape[1], hidden, outputs, activation)
    held = X[cut:], y[cut:]
    options = {"epochs": 150, "optimizer": optim.Adam(lr=rate), "callbacks": EarlyStopping(patience=15), **arguments}
    try:
        run = model.fit(X[:cut], y[:cut], loss=loss, validation_data=held, **options)
    except whet.NonFiniteError as error:
        run = error
    return run, model, X[:cut], y[:cut], held


def judged(*data, **options):
    run, model, X, y, held = fitted(*data, **options)
    return whet.diagnose(run, model, X, y, validation_data=held)


def test_a_sound_run_is_left_alone():
    found = judged(*curved())
    assert found == ()
    assert found.faults == ()
    assert set(found.checked) == set(RULES)
    assert repr(found).startswith("No fault found.")
    assert "No fault found." in found._repr_html_()
    assert judged(*classes(), loss="cross_entropy") == ()


def test_a_rate_too_high():
    found = judged(*curved(), rate=1.0, callbacks=(), epochs=30)
    assert found.faults == ("rate too high",)
    assert found[0].numbers["better"] in (0.1, 0.01, 0.001)


def test_a_rate_so_high_that_numbers_are_not_finite():
    X, y = curved()
    run, model, X, y, _ = fitted(X, y, optimizer=optim.SGD(lr=1e3))
    assert isinstance(run, whet.NonFiniteError)
    assert whet.diagnose(run, model, X, y).faults[0] == "rate too high"
    stopped = fitted(X, y, optimizer=optim.SGD(lr=1e3), callbacks=whet.callbacks.TerminateOnNaN())
    assert whet.diagnose(*stopped[:4]).faults[0] == "rate too high"


def test_a_rate_too_low():
    found = judged(*curved(), rate=3e-6, epochs=30)
    assert found.faults == ("rate too low",)
    assert found[0].numbers["better"] > 1e-4


def test_a_rate_too_low_of_an_optimizer_that_decays_by_itself():
    found = judged(*curved(), optimizer=optim.AdamW(lr=3e-4), epochs=5)
    assert found.faults == ("rate too low",)


@pytest.mark.parametrize("factor", [1e3, 1e5])
def test_an_unscaled_column(factor):
    X, y = curved()
    X[:, 3] *= factor
    found = judged(X, y)
    assert found.faults[0] == "unscaled features"
    assert "x3" in found[0].evidence


class Halves(nn.Module):
    """Two inputs."""

    def __init__(self):
        self.body = nn.MLP(6, (32,), 1)

    def forward(self, left, right):
        return self.body(nn.concatenate([left, right]))


def test_a_model_of_several_inputs_and_its_columns_in_the_order_of_its_inputs():
    X, y = curved()
    X[:, 5] *= 1000
    train, held = ({"right": part[:, 2:], "left": part[:, :2]} for part in (X[:400], X[400:]))
    model, validation = Halves(), (held, y[400:])
    history = model.fit(
        train, y[:400], loss="mse", optimizer=optim.Adam(lr=3e-3), epochs=20, validation_data=validation
    )
    found = whet.diagnose(history, model, train, y[:400], validation_data=validation)
    assert found.faults[0] == "unscaled features"
    assert "right.3" in found[0].evidence


def test_columns_of_zero_and_one_and_what_the_model_normalises_are_not_unscaled():
    X, y = curved()
    X[:, 4] = X[:, 4] > 2.5
    assert "unscaled features" not in judged(X, y).faults
    X[:, 3] *= 1e3
    network = nn.Sequential(nn.BatchNorm1d(6), nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 1))
    assert "unscaled features" not in judged(X, y, network=network).faults


def test_an_unscaled_target():
    X, y = curved()
    assert judged(X, y * 1e5, epochs=20).faults == ("unscaled target",)


def test_a_constant_column():
    X, y = curved()
    X[:, 2] = 0.5
    found = judged(X, y)
    assert found.faults == ("constant feature",)
    assert found[0].confidence == "certain"


class Both(nn.Module):
    """Two inputs side by side."""

    def __init__(self):
        self.body = nn.MLP(6, (32,), 1)

    def forward(self, hour, weather):
        return self.body(nn.concatenate([hour, weather]))


def test_columns_of_several_inputs_have_the_names_that_explanations_give_them():
    X, y = curved()
    X[:, 3] = 1
    inputs = {"weather": X[:, 1:], "hour": X[:, :1]}  # in another order than forward's
    model = Both()
    held = {name: part[:100] for name, part in inputs.items()}, y[:100]
    run = model.fit(inputs, y, loss="mse", epochs=5, validation_data=held)
    found = whet.diagnose(run, model, inputs, y, validation_data=held)
    constant = next(each for each in found if each.fault == "constant feature")
    assert constant.evidence.startswith("weather.2: the same value")
    names = explain.permutation_importance(model, inputs, y, n_repeats=1).names
    assert names == ("hour", *(f"weather.{i}" for i in range(5)))


@pytest.mark.parametrize("form", [lambda y: y, lambda y: np.exp(y), lambda y: -(y**3)])
def test_a_column_that_is_the_target_in_another_form(form):
    X, y = curved()
    X[:, 5] = form(y)
    found = judged(X, y)
    assert "leaked label" in found.faults
    assert "x5" in found[0].evidence


def test_a_column_of_categories_that_is_the_label():
    rng = np.random.default_rng(0)
    labels = np.array(["no", "yes"])[rng.integers(2, size=400)]
    status = np.where(labels == "yes", rng.choice(["paid", "sent"], 400), "open")
    table = Dataset({"a": rng.normal(size=400), "status": status}, labels=labels, target="bought")
    model = whet.TabularModel("bought", hidden=(16,))
    found = whet.diagnose(model.fit(table, epochs=20), model, table)
    assert found.faults[0] == "leaked label"
    assert found[0].evidence.startswith("status ")


def test_dead_units():
    X, y = curved()
    network = nn.MLP(6, (32,), 1).initialize(0)
    values = {name: np.array(array) for name, array in network.state_dict().items()}
    values["0.bias"][:28] = -50
    network.load_state_dict(values)
    found = judged(X, y, network=network)
    assert found.faults[0] == "dead units"
    assert found[0].numbers["share"] == pytest.approx(28 / 32)


def test_a_rare_class_unless_it_is_weighed():
    X, y = classes()
    kept = np.concatenate([np.flatnonzero(y == 0), np.flatnonzero(y == 1)[:12]])
    X, y = X[np.sort(kept)], y[np.sort(kept)]
    assert "class imbalance" in judged(X, y, loss="cross_entropy").faults
    assert "class imbalance" not in judged(X, y, loss="cross_entropy", class_weight="balanced").faults


def test_overfitting_names_what_was_not_used():
    X, y = curved(rows=150)
    y = np.random.default_rng(1).normal(size=150).astype(np.float32) * 0.7 + y
    options = {"hidden": (128, 128), "epochs": 600, "callbacks": ()}
    found = judged(X, y, **options)
    assert "overfitting" in found.faults
    advice = " ".join(found[found.faults.index("overfitting")].advice)
    for name in ("EarlyStopping", "dropout", "weight_decay", "l1"):
        assert name in advice
    used = judged(X, y, **options | {"optimizer": optim.Adam(lr=3e-3, weight_decay=1e-6, l1=1e-7)})
    assert "weight_decay" not in " ".join(used[used.faults.index("overfitting")].advice)


@pytest.mark.parametrize(
    ("options", "word"),
    [({"hidden": (1,)}, "wider"), ({"optimizer": optim.Adam(lr=3e-3, weight_decay=1.0)}, "weight_decay")],
)
def test_underfitting(options, word):
    found = judged(*curved(), **options)
    assert found.faults == ("underfitting",)
    assert word in " ".join(found[0].advice)


def test_validation_rows_show_underfitting_where_half_of_the_rows_are_too_few():
    run, model, X, y, held = fitted(*curved(rows=300), hidden=(3,), epochs=300)
    assert "underfitting" not in whet.diagnose(run, model, X, y).faults
    found = whet.diagnose(run, model, X, y, validation_data=held)
    assert found.faults == ("underfitting",)
    assert "validation rows" in found[0].evidence
    assert found[0].numbers["reference"] < found[0].numbers["loss"]


def test_a_narrow_layer_whose_units_are_dead_is_too_narrow():
    X, y = curved()
    network = nn.MLP(6, (2,), 1).initialize(0)
    network.load_state_dict({**network.state_dict(), "0.bias": np.full(2, -50, np.float32)})
    assert judged(X, y, network=network).faults == ("underfitting",)
    positive = nn.Sequential(nn.MLP(6, (16,), 1), nn.ReLU()).initialize(0)
    positive.load_state_dict({**positive.state_dict(), "0.2.bias": np.full(1, -50, np.float32)})
    assert judged(X, y, network=positive).faults[0] == "dead units"


def test_dropout_that_holds_a_falling_loss_back_is_not_too_few_epochs():
    X, y = curved()
    network = nn.MLP(6, (16,), 1, dropout=0.9)
    run, model, X, y, held = fitted(X, y, network=network, epochs=100, callbacks=())
    end = run["val_loss"][-1]
    run._columns["val_loss"] = np.linspace(end + 1, end, 100).tolist()
    assert whet.diagnose(run, model, X, y, validation_data=held).faults == ("underfitting",)


def test_shuffled_labels():
    X, y = curved()
    found = judged(X, np.random.default_rng(0).permutation(y))
    assert found.faults == ("no signal",)


def test_too_few_epochs():
    X, y = curved(rows=1500)
    found = judged(X, y, epochs=4, rate=1e-3, callbacks=())
    assert found.faults in (("too few epochs",), ("rate too low",))


def test_gradients_that_vanish_and_explode():
    X, y = curved()
    deep = nn.MLP(6, (16,) * 10, 1, "sigmoid")
    assert judged(X, y, network=deep, epochs=10).faults[0] == "vanishing gradients"

    scales = [layer for _ in range(6) for layer in (nn.Linear(16, 16), nn.Scale(16, 100.0), nn.ReLU())]
    wild = nn.Sequential(nn.Linear(6, 16), *scales, nn.Linear(16, 1))
    assert "exploding gradients" in judged(X, y, network=wild, epochs=5, callbacks=()).faults


def test_gradients_have_not_vanished_where_the_run_has_learned():
    run, model, X, y, _ = fitted(*curved(), hidden=(32, 32))
    run.layers = {"gradient_norm": {"0.weight": [1e-9], "2.weight": [1e-3], "4.weight": [1.0]}}
    assert whet.diagnose(run, model, X, y) == ()


def test_recorded_gradients_count():
    run, model, X, y, _ = fitted(*curved(), hidden=(8, 8), epochs=1)
    run.layers = {"gradient_norm": {"0.weight": [1e-9], "2.weight": [1e-3], "4.weight": [1.0], "4.bias": [1.0]}}
    assert "vanishing gradients" in whet.diagnose(run, model, X, y).faults


def test_the_model_stays_as_it_is_and_the_diagnosis_too():
    run, model, X, y, held = fitted(*curved(), epochs=5)
    before, state = model.fingerprint(), copy.deepcopy(model.history._columns)
    found = [repr(whet.diagnose(run, model, X, y, validation_data=held)) for _ in range(2)]
    assert found[0] == found[1]
    assert model.fingerprint() == before
    assert model.history._columns == state
    assert model.history is run
    assert model._optimizer == optim.Adam(lr=3e-3)


@pytest.mark.parametrize("rows", [1, 2, 5, 40])
def test_few_rows(rows):
    X, y = curved(rows=rows)
    model = nn.MLP(6, (4,), 1)
    found = whet.diagnose(model.fit(X, y, loss="mse", epochs=2), model, X, y)
    assert ("no signal" in found.unchecked) == (rows < 30)
    assert "overfitting" in found.unchecked
    repr(found)


@pytest.mark.parametrize(
    ("loss", "y"),
    [
        (losses.HuberLoss(), lambda y: y),
        ("poisson", lambda y: np.round(np.exp(y))),
        ("bce_with_logits", lambda y: y > 0),
        (losses.CrossEntropyLoss(label_smoothing=0.1), lambda y: (y > 0).astype(int)),
        (losses.MSELoss(reduction="sum"), lambda y: y),
        (lambda p, t: (p - t) ** 2, lambda y: y),
    ],
)
def test_every_kind_of_loss(loss, y):
    X, target = curved()
    model = nn.MLP(6, (16,), 2 if isinstance(loss, losses.CrossEntropyLoss) else 1)
    history = model.fit(X, y(target).astype(np.float32 if "Cross" not in repr(loss) else int), loss=loss, epochs=30)
    found = whet.diagnose(history, model, X, y(target))
    assert set(found.checked).isdisjoint(found.unchecked)


def test_a_model_that_was_loaded_has_no_optimizer_and_no_history(tmp_path):
    run, model, X, y, _ = fitted(*curved())
    model.save(tmp_path / "m.whet")
    loaded = whet.load(tmp_path / "m.whet")
    assert whet.diagnose(run, loaded, X, y) == ()
    with pytest.raises(ValueError, match="no history"):
        whet.diagnose(None, loaded, X, y)


def test_wrong_arguments():
    run, model, X, y, _ = fitted(*curved(), epochs=1)
    for arguments, error in [
        ((run, None, X, y), "expected an nn.Module or a TabularModel"),
        (([1.0], model, X, y), "expected a history"),
        ((run, model, X), "expected X and y"),
    ]:
        with pytest.raises(TypeError, match=error):
            whet.diagnose(*arguments)
    with pytest.raises(TypeError, match="validation_data"):
        whet.diagnose(run, model, X, y, validation_data=X)
    with pytest.raises(ValueError, match="no history"):
        whet.diagnose(None, nn.MLP(6, (4,), 1), X, y)
    with pytest.raises(ValueError, match="features"):
        whet.diagnose(run, model, X[:, :3], y)


def test_text_and_html():
    finding = Finding("a fault", "likely", "x<b> is 3 " + "and more " * 30, ("do this", "or that"))
    found = Diagnosis.of([finding], ["a fault"], {"another": "there is no row"})
    shown = repr(found)
    assert max(map(len, shown.splitlines())) <= 100
    assert "1. a fault (likely)" in shown
    assert "-> do this" in shown
    assert "Not looked for: another, as there is no row." in shown
    assert "x&lt;b&gt; is 3" in found._repr_html_()


def test_effects_are_faults_with_rules():
    assert {name for effects in EXPLAINS.values() for name in effects} | set(EXPLAINS) <= set(RULES)


def test_the_skill_of_a_column():
    rng = np.random.default_rng(0)
    x, halves = rng.normal(size=400), (np.arange(0, 400, 2), np.arange(1, 400, 2))
    assert skill(x, ranks((x**3)[:, None]), halves, False) > 0.99
    assert abs(skill(rng.normal(size=400), x[:, None], halves, False)) < 0.3
    codes = np.eye(2)[(x > 0).astype(int)]
    assert skill(x, codes, halves, True) > 0.9
    assert skill(ordered(np.array(["b", "a", None, "b"] * 100, object)), codes, halves, True) < 0.3
    assert skill(np.zeros(400), np.zeros((400, 1)), halves, False) == 0


def test_a_history_knows_what_fit_was_told():
    X, y = curved()
    model = nn.MLP(6, (4,), 1)
    told = model.fit(X, y, loss="mse", epochs=2, validation_fraction=0.25, callbacks=EarlyStopping()).arguments
    assert told["optimizer"] == repr(optim.Adam())
    assert (told["epochs"], told["validation"], told["callbacks"]) == (2, 150, ["EarlyStopping"])
    assert (told["class_weight"], told["sample_weight"]) == (None, False)


def test_scaled_tables_have_nothing_unscaled():
    rng = np.random.default_rng(0)
    table = Dataset({"big": rng.normal(size=300) * 1e6, "b": rng.normal(size=300)}, labels=rng.normal(size=300))
    model = whet.TabularModel("target", "regression", hidden=(8,))
    assert "unscaled features" not in whet.diagnose(model.fit(table, epochs=5), model, table).faults
    raw = whet.TabularModel("target", "regression", hidden=(8,), preprocessor=Preprocessor(scaler=None))
    try:
        run = raw.fit(table, epochs=5)
    except whet.NonFiniteError as error:
        run = error
    found = whet.diagnose(run, raw, table)
    assert found.faults[0] == "unscaled features"
    assert "big" in found[0].evidence
