"""Input that is wrong or unusual: the right result, or an error that names what was expected and what came.

Either way the model and the caller's arrays are left as they were.
"""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest

import whet
from tests.helpers import layouts, run_python, same_bits
from whet import losses, nn, optim, schedules

ROWS, FEATURES, CLASSES = 12, 3, 4


def regression():
    return nn.MLP(FEATURES, (5,), 1).initialize(0)


def classifier():
    return nn.MLP(FEATURES, (5,), CLASSES).initialize(0)


@pytest.fixture
def x(rng):
    return rng.normal(size=(ROWS, FEATURES)).astype(np.float32)


@pytest.fixture
def y(rng):
    return rng.normal(size=ROWS).astype(np.float32)


@pytest.fixture
def labels(rng):
    return rng.integers(0, CLASSES, ROWS)


def with_value(array, index, value):
    changed = array.copy()
    changed[index] = value
    return changed


def refuses(model, action, error, *words):
    """`action` raises `error` with a message that has each of `words`, and the model keeps its bits."""
    before = model.fingerprint()
    with pytest.raises(error) as raised:
        action()
    for word in words:
        assert word in str(raised.value), f"{word!r} is not in: {raised.value}"
    assert type(raised.value) in (error if isinstance(error, tuple) else (error,)), "a plain exception of the contract"
    assert model.fingerprint() == before


# What may stand in place of the features: (the wrong one, made from right ones; error; words of the message)
FEATURES_WRONG = {
    "a vector": (lambda x: x[:, 0], ValueError, [f"({ROWS},)"]),
    "three axes": (lambda x: x[None], ValueError, [f"(1, {ROWS}, {FEATURES})"]),
    "a scalar": (lambda x: 1.0, ValueError, ["()"]),
    "too few columns": (lambda x: x[:, :2], ValueError, ["3", "2"]),
    "too many columns": (lambda x: np.hstack([x, x]), ValueError, ["3", "6"]),
    "no columns": (lambda x: x[:, :0], ValueError, ["feature", f"({ROWS}, 0)"]),
    "NaN": (lambda x: with_value(x, (7, 2), np.nan), ValueError, ["7", "2"]),
    "infinity": (lambda x: with_value(x, (5, 1), np.inf), ValueError, ["5", "1"]),
    "minus infinity": (lambda x: with_value(x, (0, 0), -np.inf), ValueError, ["0"]),
    "beyond float32": (lambda x: with_value(x.astype(np.float64), (4, 0), 1e300), ValueError, ["float32"]),
    "complex": (lambda x: x.astype(complex), TypeError, ["complex128"]),
    "strings": (lambda x: x.astype(str), TypeError, ["TabularModel"]),
    "objects": (lambda x: x.astype(object), TypeError, ["object"]),
    "dates": (lambda x: np.zeros(x.shape, "datetime64[s]"), TypeError, ["datetime64"]),
    "records": (lambda x: np.zeros(ROWS, [("a", "f4"), ("b", "f4"), ("c", "f4")]), (TypeError, ValueError), []),
    "None": (lambda x: None, TypeError, []),
    "a missing value in a list": (lambda x: [[1.0, None, 2.0]] * ROWS, (TypeError, ValueError), []),
    "ragged lists": (lambda x: [[1.0, 2.0, 3.0]] * (ROWS - 1) + [[1.0]], (TypeError, ValueError), []),
}


@pytest.mark.parametrize("wrong", FEATURES_WRONG)
def test_wrong_features(x, y, wrong):
    make, error, words = FEATURES_WRONG[wrong]
    model, bad = regression(), make(x)
    trainer = whet.Trainer(model, loss="mse", optimizer=optim.SGD(lr=0.1), seed=0)
    refuses(model, lambda: model.fit(bad, y, loss="mse", epochs=1), error, *words)
    refuses(model, lambda: model.predict(bad), error, *words)
    refuses(model, lambda: trainer.step(bad, y), error, *words)
    refuses(model, lambda: trainer.evaluate(bad, y), error, *words)
    assert trainer.step(x, y) > 0, "the trainer goes on after a refusal"


TARGETS_WRONG = {
    "too few rows": (lambda y: y[:-1], ValueError, [str(ROWS), str(ROWS - 1)]),
    "too many columns": (lambda y: np.stack([y, y], axis=1), ValueError, [f"({ROWS}, 2)"]),
    "a row": (lambda y: y[None], ValueError, [f"(1, {ROWS})"]),
    "three axes": (lambda y: y[:, None, None], ValueError, [f"({ROWS}, 1, 1)"]),
    "a scalar": (lambda y: 1.0, ValueError, []),
    "NaN": (lambda y: with_value(y, 7, np.nan), ValueError, ["7"]),
    "infinity": (lambda y: with_value(y, 3, np.inf), ValueError, ["3"]),
    "beyond float32": (lambda y: with_value(y.astype(np.float64), 4, 1e300), ValueError, ["float32"]),
    "complex": (lambda y: y.astype(complex), TypeError, ["complex128"]),
    "strings": (lambda y: y.astype(str), TypeError, ["TabularModel"]),
    "objects": (lambda y: y.astype(object), TypeError, ["object"]),
    "None": (lambda y: None, TypeError, []),
}


@pytest.mark.parametrize("wrong", TARGETS_WRONG)
def test_wrong_targets(x, y, wrong):
    make, error, words = TARGETS_WRONG[wrong]
    model, bad = regression(), make(y)
    trainer = whet.Trainer(model, loss="mse", optimizer=optim.SGD(lr=0.1), seed=0)
    refuses(model, lambda: model.fit(x, bad, loss="mse", epochs=1), error, *words)
    refuses(model, lambda: trainer.step(x, bad), error, *words)
    refuses(model, lambda: trainer.evaluate(x, bad), error, *words)


# Messages name the place of a value, never the value: rows may be private.
LABELS_WRONG = {
    "too large": (lambda c: with_value(c, 5, CLASSES), ValueError, ["from 0 to 3", "row 5"]),
    "negative": (lambda c: with_value(c, 5, -1), ValueError, ["from 0 to 3", "row 5"]),
    "beyond 32 bits": (lambda c: with_value(c, 5, 2**32 + 1), ValueError, ["from 0 to 3", "row 5"]),
    "fractions": (lambda c: c + 0.5, (TypeError, ValueError), []),
    "NaN": (lambda c: with_value(c.astype(float), 2, np.nan), (TypeError, ValueError), []),
    "strings": (lambda c: c.astype(str), TypeError, ["TabularModel"]),
    "too few": (lambda c: c[:-2], ValueError, [str(ROWS), str(ROWS - 2)]),
    "wrong number of classes": (lambda c: np.ones((ROWS, CLASSES + 1)), ValueError, [f"({ROWS}, {CLASSES + 1})"]),
}


@pytest.mark.parametrize("wrong", LABELS_WRONG)
def test_wrong_labels(x, labels, wrong):
    make, error, words = LABELS_WRONG[wrong]
    model, bad = classifier(), make(labels)
    trainer = whet.Trainer(model, loss="cross_entropy", optimizer=optim.SGD(lr=0.1), seed=0)
    refuses(model, lambda: model.fit(x, bad, loss="cross_entropy", epochs=1), error, *words)
    refuses(model, lambda: trainer.step(x, bad), error, *words)
    refuses(model, lambda: trainer.evaluate(x, bad), error, *words)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.int32, np.uint32, np.int64, np.uint64])
def test_whole_numbers_of_any_type_are_labels(x, labels, dtype):
    want, got = classifier(), classifier()
    want.fit(x, labels, loss="cross_entropy", epochs=2, seed=0)
    got.fit(x, labels.astype(dtype), loss="cross_entropy", epochs=2, seed=0)
    assert got.fingerprint() == want.fingerprint()


@pytest.mark.parametrize(
    "dtype", [np.bool_, np.int8, np.uint8, np.int32, np.int64, np.uint64, np.float16, np.float64, np.longdouble]
)
def test_numbers_of_any_type_are_features(rng, dtype):
    x = rng.integers(0, 2, (ROWS, FEATURES)).astype(dtype)
    model = regression()
    assert same_bits(model.predict(x), model.predict(x.astype(np.float32)))
    assert same_bits(model.predict(x.tolist()), model.predict(x.astype(np.float32)))


@pytest.mark.parametrize("kind", ["numpy_nullable", "pyarrow"])
def test_columns_with_room_for_missing_numbers_are_features(x, kind):
    pandas = pytest.importorskip("pandas", reason="its columns may have room for missing numbers")
    frame = pandas.DataFrame(x).convert_dtypes(dtype_backend=kind)
    frame[1] = x[:, 1]  # beside one of NumPy's
    model = regression()
    assert same_bits(model.predict(frame), model.predict(x))
    frame.loc[7, 2] = None
    refuses(model, lambda: model.predict(frame), ValueError, "missing", "row 7, column 2")
    refuses(model, lambda: model.predict(frame.astype(object)), TypeError, "object")


def test_data_in_any_layout_give_the_same_bits_and_stay_as_they_were(x, y):
    want = regression()
    want.fit(x, y, loss="mse", epochs=2, seed=0)
    for layout, form in layouts(x).items():
        model, before = regression(), form.copy()
        model.fit(form, y, loss="mse", epochs=2, seed=0)
        assert model.fingerprint() == want.fingerprint(), layout
        assert same_bits(model.predict(form), want.predict(x)), layout
        assert np.array_equal(form, before), layout
    for layout, form in layouts(y).items():
        model, before = regression(), form.copy()
        model.fit(x, form, loss="mse", epochs=2, seed=0)
        assert model.fingerprint() == want.fingerprint(), layout
        assert np.array_equal(form, before), layout


ARGUMENTS_WRONG = {
    "zero batch size": (dict(batch_size=0), ValueError, ["batch_size", "0"]),
    "negative batch size": (dict(batch_size=-3), ValueError, ["batch_size", "-3"]),
    "fractional batch size": (dict(batch_size=2.5), (TypeError, ValueError), ["batch_size"]),
    "unknown batch size": (dict(batch_size="large"), (TypeError, ValueError), ["batch_size", "auto"]),
    "negative epochs": (dict(epochs=-1), ValueError, ["epochs", "-1"]),
    "fractional epochs": (dict(epochs=1.5), (TypeError, ValueError), ["epochs"]),
    "unknown loss": (dict(loss="msee"), ValueError, ["msee", "mse", "cross_entropy"]),
    "no loss": (dict(loss=None), (TypeError, ValueError), ["loss"]),
    "unknown optimizer": (dict(optimizer="adamm"), ValueError, ["adamm", "adam"]),
    "unknown metric": (dict(metrics=("acuracy",)), ValueError, ["acuracy", "accuracy"]),
    "negative seed": (dict(seed=-1), (TypeError, ValueError), ["seed", "-1"]),
    "validation of all": (dict(validation_fraction=1.0), ValueError, ["validation_fraction"]),
    "validation of less than nothing": (dict(validation_fraction=-0.1), ValueError, ["validation_fraction"]),
    "too few weights": (dict(sample_weight=np.ones(ROWS - 1)), ValueError, ["sample_weight", str(ROWS)]),
    "negative weights": (dict(sample_weight=-np.ones(ROWS)), ValueError, ["sample_weight"]),
    "weights with NaN": (dict(sample_weight=np.full(ROWS, np.nan)), ValueError, ["sample_weight"]),
    "unknown precision": (dict(precision="float8"), ValueError, ["precision", "bfloat16"]),
    "an unknown argument": (dict(epoch=3), TypeError, ["epoch"]),
    "callbacks that are none": (dict(callbacks=(3,)), (TypeError, ValueError), ["callbacks"]),
}


@pytest.mark.parametrize("wrong", ARGUMENTS_WRONG)
def test_wrong_arguments_of_fit(x, y, wrong):
    arguments, error, words = ARGUMENTS_WRONG[wrong]
    model = regression()
    refuses(model, lambda: model.fit(x, y, **{"loss": "mse", "epochs": 1, **arguments}), error, *words)


def test_validation_data_are_checked_before_the_first_step(x, y):
    model = regression()
    for bad in [(x[:, :2], y), (x, y[:-1]), (with_value(x, (3, 1), np.nan), y), (x,), x]:
        refuses(
            model, lambda bad=bad: model.fit(x, y, loss="mse", epochs=1, validation_data=bad), (TypeError, ValueError)
        )


def test_empty_data(x, y):
    model = regression()
    trainer = whet.Trainer(model, loss="mse", optimizer=optim.SGD(lr=0.1), seed=0)
    refuses(model, lambda: model.fit(x[:0], y[:0], loss="mse", epochs=1), ValueError, "row")
    refuses(model, lambda: trainer.step(x[:0], y[:0]), ValueError, "row")
    refuses(model, lambda: trainer.evaluate(x[:0], y[:0]), ValueError, "row")
    assert model.predict(x[:0]).shape == (0, 1)
    assert model.predict(np.zeros((0, FEATURES))).shape == (0, 1)
    assert model.predict(x[:1]).shape == (1, 1)


def test_a_batch_larger_than_the_data_means_all_rows(x, y):
    all_rows, huge = regression(), regression()
    all_rows.fit(x, y, loss="mse", epochs=2, batch_size=ROWS, seed=0)
    huge.fit(x, y, loss="mse", epochs=2, batch_size=2**40, seed=0)
    assert huge.fingerprint() == all_rows.fingerprint()


def test_a_vector_and_a_column_are_the_same_target(x, y):
    vector, column = regression(), regression()
    vector.fit(x, y, loss="mse", epochs=2, seed=0)
    column.fit(x, y[:, None], loss="mse", epochs=2, seed=0)
    assert vector.fingerprint() == column.fingerprint()


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: optim.SGD(lr=-0.1), ValueError),
        (lambda: optim.SGD(lr=float("nan")), ValueError),
        (lambda: optim.SGD(lr=0.1, momentum=-1), ValueError),
        (lambda: optim.SGD(lr=0.1, nesterov=True), ValueError),
        (lambda: optim.SGD(lr="fast"), TypeError),
        (lambda: optim.Adam(betas=(0.9, 1.0)), ValueError),
        (lambda: optim.Adam(betas=0.9), (TypeError, ValueError)),
        (lambda: optim.Adam(eps=-1e-8), ValueError),
        (lambda: optim.Adam(weight_decay=-1), ValueError),
        (lambda: optim.AdamW(weight_decay=-1), ValueError),
        (lambda: optim.AdamW(betas=(0.9, 1.0)), ValueError),
        (lambda: optim.GD(clip_norm=0), ValueError),
        (lambda: optim.SGD(clip_norm=-1.0), ValueError),
        (lambda: optim.Adam(clip_norm=float("nan")), ValueError),
        (lambda: optim.AdamW(clip_norm=float("inf")), ValueError),
        (lambda: optim.Adam(clip_norm=True), TypeError),
        (lambda: optim.Adam(clip_norm="1"), TypeError),
        (lambda: optim.Adam(clip_value=0), ValueError),
        (lambda: optim.Adam(clip_value=schedules.Linear(1.0)), TypeError),
        (lambda: nn.Dropout(-0.1), ValueError),
        (lambda: nn.Dropout(1.1), ValueError),
        (lambda: nn.Dropout(float("nan")), ValueError),
        (lambda: nn.Dropout("half"), TypeError),
        (lambda: nn.Dropout(None), TypeError),
        (lambda: nn.MLP(3, (4,), 1, dropout=2), ValueError),
        (lambda: nn.MLP(3, (4,), 1, dropout=None), TypeError),
        (lambda: nn.Linear(0, 3), ValueError),
        (lambda: nn.Linear(3, -1), ValueError),
        (lambda: nn.Linear(2.5, 3), (TypeError, ValueError)),
        (lambda: nn.Linear(3, 4, bias="x"), TypeError),
        (lambda: losses.Loss(), TypeError),
        (lambda: nn.MLP(3, (0,), 1), ValueError),
        (lambda: nn.MLP(3, (4,), 1, activation="swish9"), ValueError),
        (lambda: nn.GELU(approximate="sinh"), ValueError),
        (lambda: nn.Sequential("relu"), TypeError),
        (lambda: nn.Linear(3, 4).to("float16"), (TypeError, ValueError)),
        (lambda: whet.set_num_threads(0), ValueError),
        (lambda: whet.set_num_threads("two"), TypeError),
        (lambda: whet.Trainer(nn.Linear(3, 1), loss="mse", optimizer="adamm", seed=0), ValueError),
        (lambda: whet.Trainer("model", loss="mse", optimizer="adam", seed=0), TypeError),
    ],
)
def test_wrong_descriptions(make, error):
    with pytest.raises(error):
        make()


def test_layers_that_do_not_fit_together_are_named():
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(5, 1))
    with pytest.raises(ValueError, match=r"5[\s\S]*4|4[\s\S]*5"):
        model.predict(np.ones((2, 3), np.float32))


def test_a_state_that_does_not_fit_is_refused_whole():
    model = regression()
    state = {name: value.copy() for name, value in model.state_dict().items()}
    first = next(iter(state))
    missing = {name: value for name, value in state.items() if name != first}
    for bad, words in [
        (missing, [first]),
        ({**state, "9.weight": np.ones(3)}, ["9.weight"]),
        ({**state, first: state[first].T}, [first, str(state[first].shape)]),
        ({**state, first: state[first].astype(str)}, [first]),
        ({**state, first: np.full_like(state[first], np.nan)}, [first]),
    ]:
        refuses(model, lambda bad=bad: model.load_state_dict(bad), (TypeError, ValueError, KeyError), *words)
    model.load_state_dict({name: value.astype(np.float64) + 1 for name, value in state.items()})
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, state[name] + 1)


def test_the_state_is_read_only():
    model = regression()
    for value in model.state_dict().values():
        with pytest.raises(ValueError, match="read-only"):
            value[...] = 0


def test_training_that_diverges_says_so(x, y):
    model = regression()
    with pytest.raises(whet.NonFiniteError) as raised:
        model.fit(x, 1e18 * y, loss="mse", optimizer=optim.SGD(lr=1e12), epochs=50, seed=0)
    assert isinstance(raised.value, ArithmeticError)


# Model files


@pytest.fixture
def saved(tmp_path, x, y):
    model = regression()
    model.fit(x, y, loss="mse", epochs=1, seed=0)
    model.save(tmp_path / "m.whet")
    return model, tmp_path / "m.whet"


def test_a_saved_model_comes_back(saved, x, y):
    model, path = saved
    again = whet.load(path)
    assert again.fingerprint() == model.fingerprint()
    assert same_bits(again.predict(x), model.predict(x))
    assert again.evaluate(x, y) == model.evaluate(x, y)
    assert same_bits(whet.load(str(path)).predict(x), model.predict(x))


def test_a_truncated_file_is_refused_at_every_length(saved, tmp_path):
    _, path = saved
    content, short = path.read_bytes(), tmp_path / "short.whet"
    for length in [*range(0, len(content), max(1, len(content) // 200)), len(content) - 1]:
        short.write_bytes(content[:length])
        with pytest.raises((ValueError, OSError), match=r"short\.whet"):
            whet.load(short)


def test_a_file_of_another_kind_is_refused(tmp_path):
    for name, content in {
        "text": b"this is no model, but long enough to have a header\n" * 10,
        "pickle": b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00\x8c\x07builtins.",
        "zeros": bytes(4096),
        "huge header": struct.pack("<Q", 2**62) + b"{}",
        "no metadata": struct.pack("<Q", 2) + b"{}",
    }.items():
        path = tmp_path / f"{name}.whet"
        path.write_bytes(content)
        with pytest.raises((ValueError, OSError), match=rf"{name}\.whet"):
            whet.load(path)
    with pytest.raises(FileNotFoundError, match="nosuch"):
        whet.load(tmp_path / "nosuch.whet")
    with pytest.raises(OSError, match=str(tmp_path.name)):
        whet.load(tmp_path)


def rewritten(path, change):
    """The file, as one without a checksum, with its JSON header changed by `change`."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    description = json.loads(header["__metadata__"]["whet"])
    del description["crc32"]
    header["__metadata__"]["whet"] = json.dumps(description)
    change(header)
    packed = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(packed)) + packed + content[8 + length :])


def test_a_file_of_a_later_version_is_refused(saved):
    _, path = saved

    def later(header):
        metadata = header["__metadata__"]
        description = json.loads(metadata["whet"])
        description["format"] += 1000
        metadata["whet"] = json.dumps(description)

    rewritten(path, later)
    with pytest.raises(ValueError, match=r"100[1-9]"):
        whet.load(path)


def test_a_file_with_a_tensor_too_few_is_refused(saved):
    _, path = saved

    def rename(header):
        header["9.weight"] = header.pop("0.weight")

    rewritten(path, rename)
    with pytest.raises(ValueError, match=r"0\.weight|9\.weight"):
        whet.load(path)


def test_a_folder_that_is_not_there_is_named(saved, tmp_path):
    model, path = saved
    with pytest.raises(OSError, match="nosuch"):
        model.save(tmp_path / "nosuch" / "m.whet")
    assert whet.load(path).fingerprint() == model.fingerprint()


LIMITED = """
import resource, sys, whet
model = whet.load(sys.argv[1]).initialize(1)
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
try:
    model.save(sys.argv[1])
except OSError as error:
    print(error)
"""


@pytest.mark.parametrize("path", [None, 3, b"model.whet", ["model.whet"]])
def test_what_is_no_path_is_named(saved, path):
    model, _ = saved
    for call in (whet.load, model.save):
        with pytest.raises(TypeError, match=rf"expected a path.*{type(path).__name__}"):
            call(path)


@pytest.mark.parametrize("path", ["", "m\0.whet"])
def test_what_no_file_can_be_called_is_refused(saved, path):
    model, _ = saved
    for call in (whet.load, model.save, lambda path: nn.Linear(1, 1).fit([[1]], [1], loss="mse", checkpoint=path)):
        with pytest.raises(ValueError, match=r"^\[\w+\] expected a path, got '"):
            call(path)


def test_a_save_that_fails_keeps_the_old_file(saved, tmp_path):
    """A file may not grow beyond 100 bytes there, as on a full disk."""
    _, path = saved
    before = path.read_bytes()
    assert "m.whet" in run_python("-c", LIMITED, str(path))
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["m.whet"]
