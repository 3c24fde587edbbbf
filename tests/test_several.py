"""Models with several inputs and outputs, and losses that are functions."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import whet
from tests.helpers import same_bits
from whet import losses, nn, optim, schedules
from whet.nn import functional as F


class TwoTowers(nn.Module):
    """Numbers and a category in, a mean and a class out."""

    def __init__(self):
        self.table, self.tower = nn.Embedding(5, 3), nn.Linear(4, 6)
        self.mean, self.classes = nn.Linear(9, 1), nn.Linear(9, 3)

    def forward(self, numbers, category):
        h = nn.concatenate([self.tower(numbers), self.table(category).flatten()]).apply("tanh")
        return self.mean(h), self.classes(h)


def both_losses(prediction, target):
    mean, classes = prediction
    right = F.one_hot(target[:, 1], 3)
    return (mean - target[:, 0]) ** 2 - (F.log_softmax(classes) * right).sum()


@pytest.fixture
def rows(rng):
    numbers, category = rng.normal(size=(300, 4)), rng.integers(0, 5, 300)
    y = np.column_stack([np.sin(numbers[:, 0]), category % 3])
    return {"numbers": numbers, "category": category.reshape(-1, 1)}, y


def test_several_inputs_and_outputs_train_and_are_saved(rows, tmp_path):
    X, y = rows
    model = TwoTowers().initialize(0)
    history = model.fit(X, y, loss=both_losses, optimizer=optim.Adam(lr=0.01), epochs=30, validation_data=(X, y))
    assert history["loss"][-1] < history["loss"][0] / 3
    mean, classes = model.predict(X)
    assert mean.shape == (300, 1)
    assert classes.shape == (300, 3)
    assert (classes.argmax(axis=1) == y[:, 1]).mean() > 0.95
    model.save(tmp_path / "model.whet")
    for other in (whet.load(tmp_path / "model.whet"), copy.deepcopy(model)):
        for ours, theirs in zip(model.predict(X), other.predict(X), strict=True):
            assert same_bits(ours, theirs)
        assert other.evaluate(X, y) == model.evaluate(X, y)
        assert other.evaluate(X, y)["loss"] == pytest.approx(history["val_loss"][-1], rel=1e-6)
        other.fit(X, y, loss=both_losses, epochs=1)


def test_inputs_are_checked(rows):
    X, y = rows
    model = TwoTowers()
    with pytest.raises(ValueError, match="expected X to have numbers, category, as forward has, got numbers"):
        model.predict({"numbers": X["numbers"]})
    with pytest.raises(ValueError, match=r"equally many rows, got numbers .300, 4., category .7, 1."):
        model.predict({**X, "category": X["category"][:7]})
    with pytest.raises(ValueError, match=r"X\['category'\] with shape .*; X\['category'\].reshape\(-1, 1\) makes"):
        model.predict({**X, "category": X["category"][:, 0]})
    with pytest.raises(ValueError, match=r"X\['numbers'\] has a missing value \(NaN\), first in row 3, column 1"):
        model.predict({**X, "numbers": np.where(np.arange(1200).reshape(300, 4) == 13, np.nan, X["numbers"])})
    model.predict(X)
    with pytest.raises(TypeError, match="each input of forward, numbers, category; got ndarray"):
        model.predict(X["numbers"])
    with pytest.raises(TypeError, match="an array for each input of forward, numbers, category"):
        TwoTowers().predict(X["numbers"])
    with pytest.raises(ValueError, match="a loss that is a function of a tuple"):
        model.fit(X, y, loss="mse")


def test_inputs_that_are_refused_leave_the_model_as_it_was(rows, tmp_path):
    X, _ = rows
    model = TwoTowers()
    before, text = model.predict(X), str(model.summary())
    with pytest.raises(ValueError, match=r"expected an input with 4 features .* got 3, in layer 'tower'"):
        model.predict({**X, "numbers": X["numbers"][:, :3]})
    assert str(model.summary()) == text
    model.save(tmp_path / "model.whet")
    for ours, theirs in zip(whet.load(tmp_path / "model.whet").predict(X), before, strict=True):
        assert same_bits(ours, theirs)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_loss_written_as_a_function_trains_as_the_one_of_the_core(rng, dtype):
    """The very bits: the same operations in the same order."""
    x, y, weights = rng.normal(size=(700, 6)), rng.normal(size=(700, 1)), rng.uniform(size=700)
    prints = set()
    for loss in ("mse", lambda p, t: (p - t) ** 2):
        model = nn.MLP(6, (16, 8), 1, "gelu").to(dtype).initialize(3)
        model.fit(x, y, loss=loss, epochs=3, batch_size=64, seed=5)
        model.fit(x, y, loss=loss, epochs=2, batch_size=300, sample_weight=weights, seed=5)
        prints.add(model.fingerprint())
    assert len(prints) == 1


# A loss of a whole row, and its formula in PyTorch, from prediction (rows, 4) and target (rows, columns).
def _gaussian(torch, p, t):
    return torch.nn.functional.gaussian_nll_loss(p[:, :2], t, p[:, 2:].clamp(min=1e-6))


def _cosine(torch, p, t):
    return torch.nn.functional.cosine_embedding_loss(p[:, :2], p[:, 2:], t[:, 0], margin=0.2)


ROW_LOSSES = {
    "gaussian_nll": (losses.GaussianNLLLoss(), _gaussian, lambda rng, n: rng.normal(size=(n, 2))),
    "cosine_embedding": (
        losses.CosineEmbeddingLoss(margin=0.2),
        _cosine,
        lambda rng, n: rng.choice([-1.0, 1.0], size=(n, 1)),
    ),
    "function": (
        lambda p, t: F.maximum(0.3 * (t - p), -0.7 * (t - p)),
        lambda torch, p, t: torch.maximum(0.3 * (t - p), -0.7 * (t - p)).mean(),
        lambda rng, n: rng.normal(size=(n, 4)),
    ),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ROW_LOSSES)
def test_losses_of_whole_rows_are_those_of_torch(torch, rng, name, dtype):
    loss, formula, targets = ROW_LOSSES[name]
    tolerance = {"float32": 1e-4, "float64": 1e-9}[dtype]
    ours = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 4), nn.Softplus()).to(dtype).initialize(0)
    theirs = torch.nn.Sequential(torch.nn.Linear(5, 8), torch.nn.Tanh(), torch.nn.Linear(8, 4), torch.nn.Softplus())
    theirs = theirs.to(getattr(torch, dtype))
    theirs.load_state_dict({name: torch.tensor(value.copy()) for name, value in ours.state_dict().items()})
    trainer = whet.Trainer(ours, loss, optim.SGD(lr=0.02))
    optimizer = torch.optim.SGD(theirs.parameters(), lr=0.02)
    for _ in range(100):
        x, y = rng.normal(size=(33, 5)).astype(dtype), targets(rng, 33).astype(dtype)
        value = trainer.step(x, y)
        optimizer.zero_grad()
        their_value = formula(torch, theirs(torch.tensor(x)), torch.tensor(y))
        assert value == pytest.approx(their_value.item(), rel=tolerance)
        assert trainer.evaluate(x, y)["loss"] != value, "after the step"
        their_value.backward()
        optimizer.step()


@pytest.mark.parametrize("kind", ["mse", "bce_with_logits", "cross_entropy"])
def test_the_loss_of_members_is_the_mean_of_theirs(torch, rng, kind):
    outputs = 3 if kind == "cross_entropy" else 1
    model = nn.Sequential(nn.LinearEnsemble(4, outputs, k=5)).to("float64").initialize(0)
    x = rng.normal(size=(50, 4))
    y = {
        "mse": rng.normal(size=50),
        "bce_with_logits": rng.integers(0, 2, 50),
        "cross_entropy": rng.integers(0, 3, 50),
    }[kind]
    value = whet.Trainer(model, losses.MemberLoss(kind)).step(x, y)
    members = torch.tensor(model.to("float64").initialize(0).predict(x))
    assert members.shape == (50, 5, outputs)
    repeated = torch.tensor(y)[:, None].expand(-1, 5).flatten()
    rule = {"mse": "mse_loss", "bce_with_logits": "binary_cross_entropy_with_logits"}.get(kind, kind)
    flat = members.reshape(250, outputs)
    wanted = getattr(torch.nn.functional, rule)(
        flat if outputs > 1 else flat[:, 0], repeated if outputs > 1 else repeated.double()
    )
    assert value == pytest.approx(wanted.item(), rel=1e-12)


@pytest.mark.parametrize(
    ("loss", "error", "message"),
    [
        (lambda p, t: 3.0, TypeError, "to return a traced value, got float"),
        (lambda p, t: p - t[:, 3], IndexError, "of the 1 elements, got 3, in the loss"),
        (losses.GaussianNLLLoss(), ValueError, "a model with 2 outputs, means and variances"),
        (losses.MemberLoss(), ValueError, r"outputs of shape \(members, outputs\), got \(1,\)"),
        (losses.CosineEmbeddingLoss(), ValueError, "expected y of 1 and -1"),
    ],
)
def test_a_loss_that_does_not_fit_the_model_is_refused(rng, loss, error, message):
    model = nn.MLP(3, (4,), 1).initialize(0)
    before = model.fingerprint()
    with pytest.raises(error, match=message):
        model.fit(rng.normal(size=(20, 3)), rng.normal(size=20), loss=loss)
    assert model.fingerprint() == before


def _numpy_squares(prediction, target):
    difference = prediction - target
    return (difference**2).mean(axis=1), 2 * difference / difference.shape[1]


@pytest.mark.parametrize("weighted", [False, True])
def test_a_loss_in_numpy_trains_as_the_one_of_the_core(rng, weighted):
    x, y = rng.normal(size=(500, 6)), rng.normal(size=(500, 2))
    weights = rng.uniform(size=500) if weighted else None
    models = [nn.MLP(6, (16,), 2).to("float64").initialize(3) for _ in range(2)]
    histories = [
        model.fit(x, y, loss=loss, epochs=4, sample_weight=weights, validation_data=(x, y))
        for model, loss in zip(models, ("mse", losses.NumPyLoss(_numpy_squares)), strict=True)
    ]
    assert histories[1]["loss"] == pytest.approx(histories[0]["loss"], rel=1e-12)
    assert histories[1]["val_loss"] == pytest.approx(histories[0]["val_loss"], rel=1e-12)
    np.testing.assert_allclose(models[1].predict(x), models[0].predict(x), rtol=1e-8)


@pytest.mark.parametrize("place", ["prediction", "target"])
def test_a_loss_in_numpy_cannot_write_to_what_it_gets(rng, place):
    """What was written to would be what metrics read, and the user's own y."""

    def squares(prediction, target):
        if place == "prediction":
            prediction -= target
        else:
            target -= prediction
        return _numpy_squares(prediction, target)

    x, y = rng.normal(size=(64, 6)), rng.normal(size=(64, 2))
    model, before = nn.MLP(6, (16,), 2).to("float64").initialize(3), y.copy()
    with pytest.raises(ValueError, match="read-only"):
        model.fit(x, y, loss=losses.NumPyLoss(squares))
    model.fit(x, y, loss=losses.NumPyLoss(_numpy_squares), metrics=("rmse",))
    model._loss = losses.NumPyLoss(squares)
    with pytest.raises(ValueError, match="read-only"):
        model.evaluate(x, y)
    np.testing.assert_array_equal(y, before)


def test_a_loss_in_numpy_is_not_in_a_file(rng, tmp_path):
    model = nn.Linear(6, 2)
    model.fit(rng.normal(size=(9, 6)), rng.normal(size=(9, 2)), loss=losses.NumPyLoss(_numpy_squares))
    model.save(tmp_path / "model.whet")
    with pytest.raises(ValueError, match="has not been fitted, or its file holds no such loss"):
        whet.load(tmp_path / "model.whet").evaluate(np.ones((2, 6)), np.ones((2, 2)))


@pytest.mark.parametrize(
    ("function", "error", "message"),
    [
        (lambda p, t: (p - t) ** 2, TypeError, "to return losses and gradient, got ndarray"),
        (lambda p, t: ((p - t) ** 2, 2 * (p - t)), ValueError, r"losses of shape \(32,\), got \(32, 2\)"),
        (lambda p, t: (p[:, 0], p[:, 0]), ValueError, r"a gradient of shape \(32, 2\), got \(32,\)"),
        (lambda p, t: 1 / 0, ZeroDivisionError, "division"),
        (lambda p, t: (p[:, 0] * np.nan, p), whet.NonFiniteError, "the loss stopped being finite"),
    ],
)
def test_a_loss_in_numpy_that_fails_changes_nothing(rng, function, error, message):
    model = nn.MLP(6, (16,), 2).initialize(3)
    before = model.fingerprint()
    with pytest.raises(error, match=message):
        model.fit(
            rng.normal(size=(64, 6)), rng.normal(size=(64, 2)), loss=losses.NumPyLoss(function), epochs=1, batch_size=32
        )
    assert model.fingerprint() == before


def test_dropout_follows_a_schedule(rng, tmp_path):
    x, y = rng.normal(size=(300, 5)), rng.normal(size=(300, 1))

    def trained(p):
        layers = [nn.Linear(5, 16), nn.ReLU(), nn.Linear(16, 1)]
        if p is not None:
            layers.insert(2, nn.Dropout(p))
        model = nn.Sequential(*layers).initialize(0)
        model.fit(x, y, loss="mse", epochs=4, batch_size=50, seed=2)
        return model

    def weights(model):
        return [value.tobytes() for value in model.state_dict().values()]  # names differ without dropout

    assert weights(trained(schedules.Constant(0.3))) == weights(trained(0.3))
    assert weights(trained(schedules.Constant(0.0))) == weights(trained(None))
    falling = trained(schedules.MultiStep(0.5, (0.5,), 0.0))
    assert weights(falling) not in (weights(trained(0.5)), weights(trained(None)))
    assert "Dropout(p=MultiStep(start=0.5" in repr(falling)
    falling.save(tmp_path / "model.whet")
    loaded = whet.load(tmp_path / "model.whet")
    assert same_bits(loaded.predict(x), falling.predict(x))
    assert loaded[2].p == 0.5
    with pytest.raises(ValueError, match="numbers in the model's dropout"):
        whet.Trainer(falling, "mse").step(x, y)
    with pytest.raises(ValueError, match=r"\[Dropout\] expected p"):
        nn.Dropout(schedules.Linear(0.5, 1.5))


def test_a_model_with_a_function_as_loss_can_be_copied_but_a_lambda_not_pickled(rng):
    model = nn.MLP(3, (4,), 1)
    model.fit(rng.normal(size=(20, 3)), rng.normal(size=20), loss=losses.FunctionLoss(_squared), epochs=1)
    assert pickle.loads(pickle.dumps(model)).fingerprint() == model.fingerprint()


@pytest.mark.parametrize(
    ("kind", "outputs", "y", "error"),
    [
        ("cross_entropy", 2, np.arange(20) % 2 + 5, ValueError),
        ("cross_entropy", 2, -np.ones(20, int), ValueError),
        ("cross_entropy", 2, np.linspace(0, 1, 20), TypeError),
        ("cross_entropy", 2, np.eye(2)[np.arange(20) % 2], ValueError),
        ("bce_with_logits", 1, np.arange(20) % 2 + 5, ValueError),
        ("mse", 2, np.ones(20), ValueError),
    ],
)
def test_targets_of_members_are_checked(rng, kind, outputs, y, error):
    model = nn.Sequential(nn.LinearEnsemble(3, outputs, k=4)).initialize(0)
    with pytest.raises(error):
        model.fit(rng.normal(size=(20, 3)), y, loss=losses.MemberLoss(kind))


def test_a_mapping_with_the_one_input_is_that_input(rng, tmp_path):
    x = rng.normal(size=(20, 3))
    model = nn.MLP(3, (4,), 1).initialize(0)
    assert same_bits(model.predict({"x": x}), model.predict(x))
    model.fit(x, x[:, 0], loss="mse", epochs=1)
    model.save(tmp_path / "model.whet")
    assert same_bits(whet.load(tmp_path / "model.whet").predict({"x": x}), model.predict(x))


def test_a_value_of_another_pass_is_refused():
    held = []

    class Keeps(nn.Module):
        def __init__(self):
            self.layer = nn.Linear(3, 3)

        def forward(self, x):
            held.append(self.layer(x))
            return held[0]

    Keeps().predict(np.ones((2, 3)))
    with pytest.raises(ValueError, match="returns a value of another forward pass"):
        Keeps().predict(np.ones((2, 3)))


def _squared(prediction, target):
    return (prediction - target) ** 2


def test_the_summary_is_a_table_with_layers_and_flops(rows):
    X, _ = rows
    model = TwoTowers()
    model.predict(X)
    summary = model.summary()
    assert [row[0] for row in summary.rows if row[1].startswith("linear")] == ["tower", "mean", "classes"]
    assert "embedding" in summary
    flops = {row[0]: row[5] for row in summary.rows}
    assert (flops["tower"], flops["mean"], flops["classes"]) == ("48", "18", "54")
    assert summary._repr_html_().startswith("<table><caption>TwoTowers, float32</caption>")
    norms = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 1))
    norms.predict(np.ones((2, 3)))
    assert norms.summary().endswith("10 parameters"), "running statistics are none"
    assert summary._repr_html_().count("<tr>") == len(summary.rows) + 1


def test_several_outputs_are_taken_apart_every_time(rng):
    X = rng.normal(size=(9, 6)).astype(np.float32)

    class Two(nn.Module):
        def __init__(self):
            self.a, self.b = nn.Linear(6, 1), nn.Linear(6, 2)

        def forward(self, x):
            return self.a(x), self.b(x)

    model = Two()
    model.fit(X, X[:, 0], loss=lambda p, t: (p[0] - t) ** 2 + p[1].sum() ** 2, epochs=1)
    for _ in range(3):
        first, second = model.predict(X)
        assert first.shape == (9, 1)
        assert second.shape == (9, 2)
