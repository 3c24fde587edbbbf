"""The learning-rate range test: its losses, the model that it leaves alone, its suggestion and its picture."""

from __future__ import annotations

import numpy as np
import pytest

import whet
from whet import data, nn, optim, schedules, tune


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 5)).astype(np.float32)
    return X, (X @ np.arange(1, 6) + 0.1 * rng.normal(size=400)).astype(np.float32)


def test_its_losses_are_those_of_gradient_descent(rows):
    """A linear model and all rows at once, in float64."""
    model = nn.Linear(5, 1).initialize(0)
    found = tune.learning_rate(
        model, *rows, loss="mse", optimizer="sgd", low=1e-4, high=1.0, steps=60, batch_size=400, seed=0
    )
    X, y = rows[0].astype(np.float64), rows[1].astype(np.float64)
    state = model.state_dict()
    w, b = state["weight"][0].astype(np.float64), float(state["bias"][0])
    for i, (rate, loss) in enumerate(zip(found.rates, found.batch_losses, strict=True)):
        assert rate == pytest.approx(1e-4 * 1e4 ** (i / 60))
        error = X @ w + b - y
        assert loss == pytest.approx(np.mean(error**2), rel=1e-3, abs=1e-5)
        w -= rate * 2 * X.T @ error / 400
        b -= rate * 2 * error.mean()


def test_a_short_last_batch_counts_as_its_rows(rows):
    model = nn.MLP(5, (8,), 1)
    found = tune.learning_rate(model, *rows, loss="mse", low=1e-20, high=1e-19, steps=12, batch_size=150)
    model.fit(*rows, loss="mse", optimizer=optim.SGD(lr=0.0), epochs=1)
    for first in range(0, 12, 3):
        mean = np.average(found.batch_losses[first : first + 3], weights=[150, 150, 100])
        assert mean == pytest.approx(model.evaluate(*rows)["loss"], rel=1e-5)


def test_the_model_stays_as_it_is(rows):
    model = nn.MLP(5, (8,), 1)
    model.fit(*rows, loss="mse", epochs=1)
    before, history = model.fingerprint(), model.history
    first = tune.learning_rate(model, *rows, loss="mse")
    assert (model.fingerprint(), model.history) == (before, history)
    again = tune.learning_rate(lambda: model, *rows, loss="mse")  # whoever builds hands it over
    assert again.suggestion == first.suggestion
    assert model.fingerprint() != before


@pytest.mark.parametrize("optimizer", ["adam", "sgd", optim.AdamW(lr=schedules.Cosine(3.0)), "lion", "lbfgs"])
def test_the_suggestion_trains(rows, optimizer):
    found = tune.learning_rate(nn.MLP(5, (16,), 1), *rows, loss="mse", optimizer=optimizer)
    assert found.rates[0] < found.suggestion < found.rates[-1]
    described = optim.get(optimizer)
    model = nn.MLP(5, (16,), 1)
    rated = {"adam": optim.Adam, "sgd": optim.SGD, "lion": optim.Lion, "lbfgs": optim.LBFGS, "adamw": optim.AdamW}
    model.fit(*rows, loss="mse", optimizer=rated[described.name](lr=found.suggestion), epochs=20)
    assert model.evaluate(*rows)["loss"] < 0.2 * found.losses[0]


def test_it_ends_where_the_loss_diverges(rows):
    found = tune.learning_rate(nn.MLP(5, (16,), 1), *rows, loss="mse", optimizer="sgd", high=1e6)
    assert found.rates[-1] < 1e3
    assert found.suggestion < 1
    assert len(found.rates) == len(found.losses) == len(found.batch_losses) < 400


def test_a_table(rows):
    model = whet.TabularModel("species", hidden=(8,))
    found = tune.learning_rate(model, data.load_penguins())
    assert 1e-5 < found.suggestion < 1
    assert model.history is None
    assert repr(found).startswith(f"RangeTest(suggestion={found.suggestion:.3g}, ")


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"low": 0}, ValueError),
        ({"low": 2, "high": 1}, ValueError),
        ({"steps": 5}, ValueError),
        ({"steps": 0}, ValueError),
        ({"loss": "mean"}, ValueError),
        ({"y": None}, TypeError),
        ({"build": 3}, TypeError),
        ({"build": lambda: 3}, TypeError),
    ],
)
def test_wrong_arguments(rows, options, error):
    given = {"build": nn.MLP(5, (8,), 1), "X": rows[0], "y": rows[1], "loss": "mse", **options}
    with pytest.raises(error, match=r"^\[\w+\] "):
        tune.learning_rate(**given)


def test_its_picture(rows):
    matplotlib = pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    found = tune.learning_rate(nn.MLP(5, (8,), 1), *rows, loss="mse")
    axes = found.plot()
    assert axes.get_xscale() == "log"
    assert [line.get_label() for line in axes.get_lines()] == [
        "batches",
        "smoothed",
        f"suggestion {found.suggestion:.2g}",
    ]
    pyplot.close("all")
