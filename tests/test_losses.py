"""Losses with their options against PyTorch: values, gradients and trainings; what targets they take; their files."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import whet
from tests import torch_losses
from tests.helpers import same_bits
from tests.reference_losses import LOSSES, targets_of
from whet import losses, nn, ops, optim

TOLERANCE = {"float32": 1e-4, "float64": 1e-9}
every_dtype = pytest.mark.parametrize("dtype", TOLERANCE)


def options_of(name, columns):
    """Random options of a loss for that many columns; of one not named here, those that its formula is tested with."""

    def number(low, high):
        return st.floats(low, high, width=32, exclude_max=True, allow_subnormal=False)

    def one_or_each(strategy):
        return st.one_of(strategy, st.lists(strategy, min_size=columns, max_size=columns).map(tuple))

    options = {
        "huber": {"delta": number(0.0625, 4)},
        "smooth_l1": {"beta": st.one_of(st.just(0.0), number(0.0625, 4))},
        "quantile": {"quantile": number(0, 1)},
        "poisson": {"log_input": st.booleans(), "full": st.booleans(), "eps": st.sampled_from([1e-8, 0.25])},
        "tweedie": {"power": st.one_of(st.sampled_from([-1.0, 0.0, 1.0, 2.0, 3.0]), number(1, 3))},
        "bce_with_logits": {"pos_weight": one_or_each(number(0, 8))},
        "focal": {"alpha": number(-1, 1), "gamma": number(0, 4)},
        "kl_div": {"log_target": st.booleans()},
    }
    return st.fixed_dictionaries(options[name]) if name in options else st.sampled_from(LOSSES[name].settings)


def batch_of(name, options, rows, columns, seed, dtype):
    """A prediction and a target that suit the loss."""
    rng = np.random.default_rng(seed)
    kind = "logarithm" if options.get("log_target") else LOSSES[name].targets[0]
    prediction, target = rng.normal(size=(rows, columns)), targets_of(kind, rows, columns, rng)
    if name == "poisson" and not options.get("log_input", True):
        prediction = abs(prediction) + 0.1
    return prediction.astype(dtype), target if target.ndim == 1 else target.astype(dtype)


def in_torch(torch, array):
    return torch.tensor(array.astype(np.int64) if array.dtype.kind == "i" else array)


def value_and_gradient_in_torch(torch, name, prediction, target, options):
    tensor = torch.tensor(prediction, requires_grad=True)
    loss = torch_losses.function(torch, name)(tensor, in_torch(torch, target), **options)
    loss.backward()
    return loss.item(), tensor.grad.numpy()


@every_dtype
@pytest.mark.parametrize("name", [name for name in LOSSES if name != "cross_entropy"])
def test_values_and_gradients_are_those_of_torch(torch, name, dtype):
    tolerance = TOLERANCE[dtype]

    @settings(max_examples=25, deadline=None)
    @given(st.data(), st.integers(1, 40), st.sampled_from([1, 2, 3, 10, 17, 300]), st.integers(0, 10**6))
    def compare(data, rows, columns, seed):
        options = data.draw(options_of(name, columns))
        prediction, target = batch_of(name, options, rows, columns, seed, dtype)
        value, gradient = ops.loss(losses.get(name).__class__(**options), prediction, target)
        want, slope = value_and_gradient_in_torch(torch, name, prediction, target, options)
        assert value == pytest.approx(want, rel=tolerance, abs=tolerance)
        np.testing.assert_allclose(gradient, slope, rtol=tolerance, atol=tolerance / slope.size)

    compare()


def train_both(torch, name, options, dtype, target_of, columns, steps=100, lr=0.02):
    """The parameters after some steps of gradient descent from equal ones, here and in PyTorch."""
    rng = np.random.default_rng(3)
    model = nn.MLP(4, (8,), columns, activation="tanh").to(dtype).initialize(5)
    theirs = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, columns))
    theirs = theirs.to(getattr(torch, dtype))
    theirs.load_state_dict({key: torch.tensor(np.array(value)) for key, value in model.state_dict().items()})
    trainer = whet.Trainer(model, losses.get(name).__class__(**options), optim.SGD(lr=lr))
    optimizer, function = torch.optim.SGD(theirs.parameters(), lr=lr), torch_losses.function(torch, name)
    for _ in range(steps):
        X, y = rng.normal(size=(20, 4)).astype(dtype), target_of(20, columns, rng)
        y = y if y.dtype.kind == "i" else y.astype(dtype)
        value = trainer.step(X, y)
        optimizer.zero_grad()
        loss = function(theirs(torch.tensor(X)), in_torch(torch, y), **options)
        loss.backward()
        optimizer.step()
        assert value == pytest.approx(loss.item(), rel=TOLERANCE[dtype], abs=TOLERANCE[dtype])
    return model, {key: value.numpy() for key, value in theirs.state_dict().items()}


#: The defaults of all, and options of some.
TRAININGS = [
    *((name, {}) for name in LOSSES),
    ("huber", {"delta": 0.5}),
    ("smooth_l1", {"beta": 0.5}),
    ("quantile", {"quantile": 0.75}),
    ("tweedie", {"power": 1.25}),
    ("bce_with_logits", {"pos_weight": (0.5, 1.0, 4.0)}),
    ("cross_entropy", {"weight": (0.5, 1.0, 3.0)}),
    ("cross_entropy", {"weight": (0.5, 1.0, 3.0), "label_smoothing": 0.25, "ignore_index": 1}),
]


@every_dtype
@pytest.mark.parametrize(("name", "options"), TRAININGS, ids=lambda value: value if isinstance(value, str) else None)
def test_trainings_are_those_of_torch(torch, name, options, dtype):
    kind = LOSSES[name].targets[0]
    model, theirs = train_both(torch, name, options, dtype, lambda *shape: targets_of(kind, *shape), 3)
    for key, value in model.state_dict().items():
        np.testing.assert_allclose(value, theirs[key], rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


# Cross-entropy


@every_dtype
@pytest.mark.parametrize("kind", ["class", "distribution"])
def test_cross_entropy_is_that_of_torch(torch, kind, dtype):
    @settings(max_examples=60, deadline=None)
    @given(
        st.integers(1, 30),
        st.integers(2, 6),
        st.integers(0, 10**6),
        st.sampled_from([0.0, 0.1, 0.75, 1.0]),
        st.sampled_from([-100, 0, 1, 77]),
        st.booleans(),
    )
    def compare(rows, classes, seed, smoothing, ignored, weighted):
        rng = np.random.default_rng(seed)
        options = {"label_smoothing": smoothing, "weight": tuple(rng.uniform(0.1, 3, classes)) if weighted else None}
        prediction = rng.normal(size=(rows, classes)).astype(dtype)
        target = targets_of(kind, rows, classes, rng)
        if kind == "class":
            options["ignore_index"] = ignored
            target[rng.uniform(size=rows) < 0.2] = ignored
            target[0] = 1 if ignored == 0 else 0  # one counts
        else:
            target = target.astype(dtype)
        value, gradient = ops.loss(losses.CrossEntropyLoss(**options), prediction, target)
        want, slope = value_and_gradient_in_torch(torch, "cross_entropy", prediction, target, options)
        tolerance = TOLERANCE[dtype]
        assert value == pytest.approx(want, rel=tolerance, abs=tolerance)
        np.testing.assert_allclose(gradient, slope, rtol=tolerance, atol=tolerance / slope.size)

    compare()


def test_class_weights_and_sample_weights_multiply(rng):
    """As if each row stood there as often as the product says."""
    loss = losses.CrossEntropyLoss(weight=(1.0, 2.0, 3.0))
    X, y, weights = rng.normal(size=(30, 4)), rng.integers(0, 3, 30), rng.integers(0, 3, 30)
    counts = weights * (y + 1)
    results = []
    for features, labels, chosen, given_weights in [
        (X, y, loss, weights),
        (np.repeat(X, counts, axis=0), np.repeat(y, counts), "cross_entropy", None),
    ]:
        model = nn.Linear(4, 3).to("float64").initialize(1)
        trainer = whet.Trainer(model, chosen, optim.SGD(lr=0.5))
        results.append((trainer.step(features, labels, sample_weight=given_weights), model.state_dict()))
    assert results[0][0] == pytest.approx(results[1][0], rel=1e-12)
    for key, value in results[0][1].items():
        np.testing.assert_allclose(value, results[1][1][key], rtol=1e-10, atol=1e-14)


def test_options_of_cross_entropy_count_in_fit_evaluate_and_metrics(rng):
    X, y = rng.normal(size=(90, 4)), rng.integers(0, 3, 90)
    y[::4] = -100
    weight = (1.0, 0.0, 5.0)
    loss = losses.CrossEntropyLoss(weight=weight)
    model = nn.Linear(4, 3).to("float64")
    history = model.fit(
        X, y, loss=loss, epochs=2, batch_size=16, metrics=("accuracy", "log_loss"), validation_data=(X, y)
    )
    output, kept = model.predict(X), y >= 0
    log_q = np.log(model.predict_proba(X))[np.arange(90)[kept], y[kept]]
    each = np.array(weight)[y[kept]]
    want = -(each * log_q).sum() / each.sum()
    for found in (model.evaluate(X, y), {key[4:]: history[key][-1] for key in history if key.startswith("val_")}):
        assert found["loss"] == pytest.approx(want, rel=1e-12)
        assert found["accuracy"] == np.mean(output.argmax(axis=1)[kept] == y[kept])
        assert found["log_loss"] == pytest.approx(-log_q.mean(), rel=1e-12)
    with pytest.raises(ValueError, match="row that counts"):
        model.fit(X, np.full(90, -100), loss=loss)


def test_plain_cross_entropy_copies_no_labels(rng):
    loss, labels = losses.CrossEntropyLoss(), rng.integers(0, 3, 50).astype(np.int32)
    target = loss.target(labels, 50, 3, "float32", "test")
    assert np.shares_memory(target, labels)
    truth, factor = loss.encode(target, 3, "float32")
    assert truth is target
    assert factor is None


# Several quantiles, several weights


@every_dtype
def test_several_quantiles(torch, dtype):
    quantiles = (0.1, 0.5, 0.75)
    loss = losses.QuantileLoss(quantiles)
    rng = np.random.default_rng(1)
    for rows in (1, 33, 700):
        prediction, y = rng.normal(size=(rows, 3)).astype(dtype), rng.normal(size=rows).astype(dtype)
        value, gradient = ops.loss(loss, prediction, y)
        want, slope = value_and_gradient_in_torch(torch, "quantile", prediction, y[:, None], {"quantile": quantiles})
        assert value == pytest.approx(want, rel=TOLERANCE[dtype])
        np.testing.assert_allclose(gradient, slope, rtol=TOLERANCE[dtype], atol=1e-12)
        alone = [ops.loss(losses.QuantileLoss(q), prediction[:, i], y)[0] for i, q in enumerate(quantiles)]
        assert value == pytest.approx(np.mean(alone), rel=TOLERANCE[dtype])
        assert value == ops.loss(loss, prediction, y[:, None])[0]


def test_quantiles_are_found(rng):
    y = rng.exponential(size=4000)
    X = np.ones((4000, 1))
    model = nn.Linear(1, 3, bias=False)
    model.fit(X, y, loss=losses.QuantileLoss([0.1, 0.5, 0.9]), epochs=60, optimizer=optim.Adam(lr=0.02), metrics="mae")
    found = model.predict(X[:1])[0]
    assert found == pytest.approx(np.quantile(y, [0.1, 0.5, 0.9]), abs=0.1)
    assert model.history["mae"][-1] == pytest.approx(np.mean(abs(y - found[1])), abs=0.02)
    with pytest.raises(ValueError, match="3 outputs"):
        nn.Linear(1, 2).fit(X, y, loss=losses.QuantileLoss([0.1, 0.5, 0.9]))


@every_dtype
@pytest.mark.parametrize("columns", [1, 2, 7, 16, 17, 100, 257, 1000])
def test_an_option_for_each_output_is_that_of_its_column(rng, dtype, columns):
    """Whatever the width, and with gaps between the rows."""
    weights = rng.uniform(0, 4, columns)
    for rows in (1, 5, 300):
        wide = rng.normal(size=(rows, columns + 3)).astype(dtype)
        target = rng.uniform(size=(rows, columns)).astype(dtype)
        value, gradient = ops.loss(losses.BCEWithLogitsLoss(weights), wide[:, :columns], target)
        alone = [
            ops.loss(losses.BCEWithLogitsLoss(float(np.dtype(dtype).type(w))), wide[:, i], target[:, i])
            for i, w in enumerate(weights)
        ]
        assert value == pytest.approx(np.mean([one for one, _ in alone]), rel=1e-5 if dtype == "float32" else 1e-12)
        want = np.stack([slope for _, slope in alone], axis=1) / columns
        np.testing.assert_allclose(gradient, want, rtol=1e-5 if dtype == "float32" else 1e-12)


# Targets


@pytest.mark.parametrize(
    ("loss", "y", "error", "words"),
    [
        ("poisson", [[1.0], [-1.0]], ValueError, "at least 0 .* row 1"),
        ("gamma", [[1.0], [0.0]], ValueError, "above 0 .* row 1"),
        (losses.TweedieLoss(2.0), [[0.0], [1.0]], ValueError, "above 0 .* row 0"),
        (losses.TweedieLoss(1.5), [[0.0], [-0.5]], ValueError, "at least 0 .* row 1"),
        ("hinge", [[1.0], [0.5]], ValueError, "-1 and 1.* row 1"),
        ("squared_hinge", [[0.0], [-1.0]], ValueError, "not all three .* row 1"),
        ("focal", [[1.0], [2.0]], ValueError, "between 0 and 1"),
        ("kl_div", [[1.0], [-0.1]], ValueError, "at least 0 .* row 1"),
        (losses.BCEWithLogitsLoss((1.0, 2.0)), [[1.0], [0.0]], ValueError, "one for each output"),
        (losses.QuantileLoss((0.1, 0.9)), [1.0, 0.0], ValueError, "2 outputs"),
    ],
)
def test_targets_that_do_not_suit_are_refused(loss, y, error, words):
    with pytest.raises(error, match=words):
        ops.loss(loss, np.ones((2, 1)), np.array(y))


def test_class_weights_have_one_for_each_class():
    with pytest.raises(ValueError, match="3 numbers, one for each class"):
        ops.loss(losses.CrossEntropyLoss((1, 2)), np.ones((2, 3)), np.array([0, 1]))


@pytest.mark.parametrize("name", ["hinge", "squared_hinge", "soft_margin"])
def test_zeros_and_ones_stand_for_signs(rng, name):
    prediction, labels = rng.normal(size=(20, 1)), rng.integers(0, 2, 20)
    got, want = (ops.loss(name, prediction, y) for y in (labels, 2 * labels - 1))
    assert got[0] == want[0]
    assert same_bits(got[1], want[1])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: losses.HuberLoss(0), "delta above 0"),
        (lambda: losses.SmoothL1Loss(-1), "beta"),
        (lambda: losses.QuantileLoss(1.5), "quantile"),
        (lambda: losses.QuantileLoss([]), "quantile"),
        (lambda: losses.PoissonNLLLoss("yes"), "log_input"),
        (lambda: losses.PoissonNLLLoss(eps=-1), "eps"),
        (lambda: losses.TweedieLoss(0.5), "between 0 and 1"),
        (lambda: losses.BCEWithLogitsLoss(-1), "pos_weight"),
        (lambda: losses.FocalLoss(alpha=2), "alpha"),
        (lambda: losses.FocalLoss(gamma=-1), "gamma"),
        (lambda: losses.KLDivLoss(log_target=2), "log_target"),
        (lambda: losses.CrossEntropyLoss(weight=2.0), "for each class"),
        (lambda: losses.CrossEntropyLoss(weight=(1, -2)), "weight"),
        (lambda: losses.CrossEntropyLoss(ignore_index=0.5), "ignore_index"),
        (lambda: losses.CrossEntropyLoss(label_smoothing=1.5), "label_smoothing"),
        (lambda: losses.CrossEntropyLoss(weight=(0, 1), label_smoothing=0.1), "weight 0"),
        (lambda: losses.Loss(), "MSELoss"),
    ],
)
def test_wrong_options_are_refused(make, words):
    with pytest.raises((TypeError, ValueError), match=words):
        make()


# Models


EXAMPLES = [
    losses.HuberLoss(np.float32(0.5)),
    losses.QuantileLoss(0.9),
    losses.QuantileLoss((0.25, 0.75)),
    losses.PoissonNLLLoss(full=True),
    losses.TweedieLoss(1.1),
    losses.BCEWithLogitsLoss((1.0, 2.0)),
    losses.FocalLoss(gamma=1.0),
    losses.KLDivLoss(),
    losses.SoftMarginLoss(),
    losses.CrossEntropyLoss(weight=np.array([1.0, 2.0]), ignore_index=np.int64(7), label_smoothing=0.1),
]


@pytest.mark.parametrize("loss", EXAMPLES, ids=repr)
def test_a_file_keeps_the_loss(tmp_path, rng, loss):
    kind = LOSSES[loss.name].targets[0]
    X, y = rng.normal(size=(40, 3)), targets_of(kind, 40, 2, rng)
    y = y[:, 0] if isinstance(loss, losses.QuantileLoss) and isinstance(loss.quantile, tuple) else y
    model = nn.Linear(3, 2)
    model.fit(X, y, loss=loss, epochs=1)
    model.save(str(tmp_path / "model.whet"))
    loaded = whet.load(str(tmp_path / "model.whet"))
    assert loaded._loss == loss
    assert hash(loaded._loss) == hash(loss)
    assert loaded.evaluate(X, y) == model.evaluate(X, y)


@pytest.mark.parametrize(("loss", "probable"), [("hinge", False), ("soft_margin", True), ("focal", True)])
def test_losses_of_labels_have_metrics_of_classes(rng, loss, probable):
    X = rng.normal(size=(200, 2))
    y = (X[:, 0] > 0).astype(int)
    model = nn.Linear(2, 1)
    model.fit(X, y, loss=loss, metrics="accuracy", epochs=20, optimizer=optim.Adam(lr=0.1))
    assert model.evaluate(X, y)["accuracy"] > 0.95
    assert model.history["accuracy"][-1] > 0.95
    if probable:
        assert np.mean((model.predict_proba(X)[:, 0] > 0.5) == y) > 0.95
    else:
        with pytest.raises(ValueError, match="loss of probabilities"):
            model.predict_proba(X)
        with pytest.raises(ValueError, match="probabilities"):
            model.fit(X, y, loss=loss, metrics="log_loss")


@pytest.mark.parametrize("loss", ["poisson", "gamma", "tweedie"])
def test_means_are_learned_through_the_logarithm(rng, loss):
    X = rng.normal(size=(3000, 2))
    mean = np.exp(0.5 * X[:, 0] + 1)
    y = rng.poisson(mean) if loss != "gamma" else rng.gamma(4, mean / 4)
    y = np.maximum(y, 1e-3) if loss == "gamma" else y
    model = nn.Linear(2, 1)
    model.fit(X, y, loss=loss, metrics="mae", epochs=300, batch_size=3000, optimizer=optim.Adam(lr=0.05))
    np.testing.assert_allclose(model.state_dict()["weight"], [[0.5, 0]], atol=0.06)
    np.testing.assert_allclose(model.state_dict()["bias"], [1], atol=0.06)
    assert model.evaluate(X, y)["mae"] == pytest.approx(np.mean(abs(y - np.exp(model.predict(X)[:, 0]))), rel=1e-5)
    ends_in_exp = nn.Sequential(nn.Linear(2, 1), Exponential())
    with pytest.warns(whet.WhetWarning, match="applies exp itself"):
        ends_in_exp.fit(X, y, loss=loss, epochs=1)


class Exponential(nn.Module):
    def forward(self, x):
        return x.apply("exp")


def test_gamma_and_tweedie_are_those_of_scikit_learn(rng):
    module = pytest.importorskip("sklearn._loss", reason="scikit-learn has moved its private losses")
    raw, y = rng.normal(size=200), rng.gamma(2.0, size=200)
    pairs = [(losses.GammaLoss(), module.HalfGammaLoss())]
    pairs += [(losses.TweedieLoss(power), module.HalfTweedieLoss(power=power)) for power in (0.0, 1.0, 1.5, 2.0, 3.0)]
    for ours, theirs in pairs:
        value, gradient = ops.loss(ours, raw, y)
        assert value == pytest.approx(theirs.loss(y, raw).mean(), rel=1e-12)
        np.testing.assert_allclose(gradient, theirs.gradient(y, raw) / 200, rtol=1e-10, atol=1e-14)


def test_hinge_and_pinball_are_those_of_scikit_learn(rng):
    metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")
    prediction, y = rng.normal(size=200), rng.choice([-1.0, 1.0], 200)
    assert ops.loss("hinge", prediction, y)[0] == pytest.approx(metrics.hinge_loss(y, prediction), rel=1e-12)
    want = metrics.mean_pinball_loss(y, prediction, alpha=0.3)
    assert ops.loss(losses.QuantileLoss(0.3), prediction, y)[0] == pytest.approx(want, rel=1e-12)


@pytest.mark.parametrize("loss", ["huber", "smooth_l1", "log_cosh", "quantile", "poisson", "gamma", "tweedie"])
def test_tables_take_losses_of_numbers(tmp_path, rng, loss):
    x = rng.uniform(-1, 1, 400)
    table = {"x": x, "y": np.exp(x + rng.normal(size=400) / 10)}
    model = whet.TabularModel("y", task="regression", hidden=(16,))
    model.fit(table, loss=loss, epochs=60)
    assert model.evaluate(table)["r2"] > 0.9
    model.save(str(tmp_path / "table.whet"))
    np.testing.assert_array_equal(whet.load(str(tmp_path / "table.whet")).predict(table), model.predict(table))


def test_tables_take_options_of_cross_entropy(rng):
    x = rng.normal(size=300)
    table = {"x": x, "y": np.where(x > 0, "up", "down")}
    model = whet.TabularModel("y", hidden=(8,))
    model.fit(table, loss=losses.CrossEntropyLoss(weight=(1.0, 3.0), label_smoothing=0.05), epochs=30)
    assert model.evaluate(table)["accuracy"] > 0.9
