"""class_weight: a factor for the weight of each row, as in Keras and scikit-learn; and max_seconds."""

from __future__ import annotations

import time

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

import whet
from whet import callbacks, losses, nn, optim

KINDS = {"cross_entropy": 3, "bce_with_logits": 1}


@pytest.fixture(params=KINDS)
def task(request, rng):
    """(loss, outputs, X, y) with classes of unequal size."""
    outputs = KINDS[request.param]
    X = rng.normal(size=(200, 4)).astype(np.float32)
    y = rng.choice(max(outputs, 2), size=200, p=[0.7, 0.2, 0.1][:outputs] if outputs > 1 else [0.8, 0.2])
    return request.param, outputs, X, y


def trained(X, y, loss, outputs, **options):
    model = nn.MLP(4, (6,), outputs)
    history = model.fit(X, y, loss=loss, epochs=3, batch_size=32, metrics="accuracy", seed=2, **options)
    return model.fingerprint(), {name: history[name] for name in history if name != "lr"}


def test_a_factor_is_the_sample_weight_of_the_rows_of_its_class(task):
    loss, outputs, X, y = task
    factors = {0: 0.5, 1: 3.0, 2: 0.0}
    given = {label: factors[label] for label in range(max(outputs, 2))}
    weights = np.array([factors[label] for label in y])
    expected = trained(X, y, loss, outputs, sample_weight=weights)
    assert trained(X, y, loss, outputs, class_weight=given) == expected
    assert trained(X, y, loss, outputs) != expected
    wide = {np.int32(label): np.float32(factor) for label, factor in given.items()}
    assert trained(X, y.astype(np.uint8), loss, outputs, class_weight=wide) == expected


def test_it_multiplies_sample_weight(task, rng):
    loss, outputs, X, y = task
    weights = rng.integers(0, 4, size=len(y)) / 4
    expected = trained(X, y, loss, outputs, sample_weight=weights * np.where(y == 1, 8, 1))
    assert trained(X, y, loss, outputs, class_weight={1: 8}, sample_weight=weights) == expected


def test_balanced_is_scikit_learns(task):
    loss, outputs, X, y = task
    for labels in (y, np.minimum(y, 1)):  # a class that is not there has no part in it
        each = compute_class_weight("balanced", classes=np.unique(labels), y=labels)
        given = dict(zip(np.unique(labels).tolist(), each, strict=True))
        expected = trained(X, labels, loss, outputs, sample_weight=each[labels])
        assert trained(X, labels, loss, outputs, class_weight="balanced") == expected
        assert trained(X, labels, loss, outputs, class_weight=given) == expected


def test_labels_of_two_classes_may_be_booleans_or_a_column(rng):
    X = rng.normal(size=(60, 4))
    y = rng.random(60) < 0.2
    fits = [
        trained(X, labels, "bce_with_logits", 1, class_weight={False: 0.5, True: 2})
        for labels in (y, y.astype(int), y.astype(np.float32).reshape(-1, 1))
    ]
    assert fits[0] == fits[1] == fits[2]


def test_validation_is_not_weighted(task):
    loss, outputs, X, y = task
    model = nn.MLP(4, (6,), outputs)
    history = model.fit(X, y, loss=loss, epochs=2, class_weight="balanced", validation_data=(X, y))
    assert history["val_loss"][-1] == model.evaluate(X, y)["loss"]
    assert history["val_loss"][-1] != pytest.approx(history["loss"][-1], rel=1e-3)


def test_rows_that_are_set_apart_do_not_count_for_the_balance(task):
    """The fit is the one with the factors of the rows that are left."""
    loss, outputs, X, y = task
    apart = whet._core.random_permutation(2, len(y))[: round(0.3 * len(y))]
    left = np.delete(y, apart)
    each = compute_class_weight("balanced", classes=np.unique(left), y=left)
    given = {"sample_weight": each[y]}, {"class_weight": "balanced"}
    fits = [trained(X, y, loss, outputs, validation_fraction=0.3, **weights) for weights in given]
    assert fits[0][0] == fits[1][0]
    for name in ("loss", "accuracy"):  # weights of rows weigh the validation, too; those of classes do not
        assert fits[0][1][name] == fits[1][1][name]


def test_weights_of_the_loss_multiply_and_ignored_rows_do_not_count(rng):
    X, y = rng.normal(size=(90, 4)), rng.integers(0, 3, size=90)
    y[:30] = -100
    loss = losses.CrossEntropyLoss(weight=(1.0, 2.0, 0.5))
    left = y[30:]
    each = compute_class_weight("balanced", classes=np.unique(left), y=left)
    factors = np.where(y < 0, 1.0, each[np.maximum(y, 0)])
    expected = trained(X, y, loss, 3, sample_weight=factors)
    assert trained(X, y, loss, 3, class_weight="balanced") == expected


def test_a_rare_class_is_found_more_often(rng):
    X = rng.normal(size=(2000, 2))
    y = (X[:, 0] + rng.normal(size=2000) > 2.2).astype(int)
    found = []
    for given in (None, "balanced"):
        model = nn.Linear(2, 1)
        model.fit(X, y, loss="bce_with_logits", optimizer=optim.Adam(lr=0.05), epochs=20, class_weight=given)
        found.append(np.mean(model.predict(X[y == 1]) > 0))
    assert found[0] < 0.5 < found[1]


@pytest.mark.parametrize(
    ("loss", "outputs", "y", "given", "error", "message"),
    [
        ("mse", 1, [0, 1], "balanced", ValueError, "class_weight needs 'cross_entropy' .* got mse"),
        ("hinge", 1, [0, 1], {0: 1}, ValueError, "class_weight needs .* got hinge"),
        (lambda p, t: (p - t) * (p - t), 1, [0, 1], {0: 1}, ValueError, "class_weight needs .* got function"),
        ("cross_entropy", 2, [[0.5, 0.5], [1, 0]], "balanced", ValueError, "class indices, not their probabilities"),
        ("bce_with_logits", 2, [[0, 1], [1, 0]], "balanced", ValueError, "labels 0 and 1 in one column"),
        ("bce_with_logits", 1, [0.5, 1], "balanced", ValueError, "labels 0 and 1 alone"),
        ("cross_entropy", 2, [0, 1], "even", ValueError, "'balanced' or .*, got 'even'"),
        ("cross_entropy", 2, [0, 1], [1, 2], TypeError, "'balanced' or .*, got list"),
        ("cross_entropy", 2, [0, 1], {"a": 1}, TypeError, "classes of class_weight to be integers, got 'a'"),
        ("cross_entropy", 2, [0, 1], {2: 1}, ValueError, "from 0 to 1, got 2"),
        ("bce_with_logits", 1, [0, 1], {-1: 1}, ValueError, "from 0 to 1, got -1"),
        ("cross_entropy", 2, [0, 1], {0: -1}, ValueError, "class_weight of 0"),
        ("cross_entropy", 2, [0, 1], {0: float("nan")}, ValueError, "class_weight of 0"),
        ("cross_entropy", 2, [0, 1], {0: "1"}, TypeError, "class_weight of 0"),
        ("cross_entropy", 2, [0, 1], {0: 0, 1: 0}, ValueError, "leave rows that count"),
        ("cross_entropy", 2, [0, 1], {0: 1e300}, ValueError, "class_weight has a number too large"),
    ],
)
def test_what_cannot_be_weighted_is_refused(loss, outputs, y, given, error, message):
    model = nn.Linear(2, outputs)
    with pytest.raises(error, match=message):
        model.fit(np.eye(2), y, loss=loss, class_weight=given)
    assert model.history is None


def test_a_product_that_is_too_large_is_refused():
    with pytest.raises(ValueError, match="none that counts infinitely"):
        nn.Linear(2, 2).fit(np.eye(2), [0, 1], loss="cross_entropy", class_weight={0: 1e30}, sample_weight=[1e30, 1])


def test_a_table_takes_its_own_labels(rng):
    X = rng.normal(size=120)
    labels = np.where(X + 0.3 * rng.normal(size=120) > 0.8, "yes", "no")
    table = {"x": X, "y": labels}
    fits = []
    for given in ({"class_weight": {"yes": 4}}, {"sample_weight": np.where(labels == "yes", 4, 1)}, {}):
        model = whet.TabularModel("y", hidden=(4,))
        model.fit(table, epochs=3, **given)
        fits.append(model.network.fingerprint())
    assert fits[0] == fits[1] != fits[2]
    balanced = whet.TabularModel("y", hidden=(4,))
    balanced.fit(table, epochs=3, class_weight="balanced", callbacks=callbacks.EarlyStopping("loss", patience=2))
    with pytest.raises(ValueError, match="class_weight"):
        whet.TabularModel("y").fit(table, class_weight={"maybe": 2})
    with pytest.raises(ValueError, match="class_weight needs"):
        whet.TabularModel("x").fit(table, class_weight={0: 2})


def test_max_seconds(rng):
    X, y = rng.normal(size=(100, 4)), rng.normal(size=100)
    wait = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: time.sleep(0.05))
    history = nn.Linear(4, 1).fit(X, y, loss="mse", epochs=10_000, max_seconds=0.3, callbacks=wait)
    assert history.stopped_by == "max_seconds"
    assert 1 < len(history["loss"]) <= 6  # each of them takes 0.05 seconds and more
    assert history.seconds >= 0.3
    assert history.steps == len(history["loss"]) * 4
    history = nn.Linear(4, 1).fit(X, y, loss="mse", epochs=2, max_seconds=1000)
    assert history.stopped_by == "epochs"
    assert len(nn.Linear(4, 1).fit(X, y, loss="mse", max_seconds=0)["loss"]) == 1
    for wrong in (-1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="max_seconds"):
            nn.Linear(4, 1).fit(X, y, loss="mse", max_seconds=wrong)
    with pytest.raises(TypeError, match="max_seconds"):
        nn.Linear(4, 1).fit(X, y, loss="mse", max_seconds="1")
