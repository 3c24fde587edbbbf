"""Models as files of ONNX: onnxruntime computes what whet does, and whet trains what it has read.

WHET_ONNX_MODELS says how many random models are compared; 500 take half a minute.
"""

from __future__ import annotations

import json
import os
import warnings

import numpy as np
import pytest

import whet
from tests.random_models import random_model
from tests.test_reproducibility import EveryLayer
from whet import _core, data, export, losses, nn, optim
from whet.data import load_california_housing, load_penguins

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

MODELS = int(os.environ.get("WHET_ONNX_MODELS", "40"))
TOLERANCE = {"float32": 1e-5, "float64": 1e-6}
HELPER, KIND = onnx.helper, onnx.TensorProto


def session(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options)


def computed(path, feed):
    """The outputs of onnxruntime, which takes one array, or a mapping of them."""
    opened = session(path)
    names = [each.name for each in opened.get_inputs()]
    return opened.run(None, {name: feed[name] if isinstance(feed, dict) else feed for name in names})


def as_tuple(outputs):
    return outputs if isinstance(outputs, tuple) else (outputs,)


def assert_same(found, wanted, tolerance):
    assert len(found) == len(wanted)
    for a, b in zip(found, wanted, strict=True):
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        assert np.max(np.abs(a - b) / np.maximum(1, np.abs(b)), initial=0) < tolerance


def written(model, path):
    export.to_onnx(model, path)
    onnx.checker.check_model(onnx.load(path), full_check=True)
    return path


def of_every_operation(dtype="float32"):
    """(a model, rows): on whole numbers in the first column."""
    model, X = EveryLayer(9, 2).to(dtype).initialize(0), np.random.default_rng(0).normal(size=(20, 9)).astype(dtype)
    X[:, 0] = np.arange(len(X)) % 7
    model.predict(X)
    return model, X


# Modules


@pytest.mark.parametrize("seed", range(MODELS))
def test_onnxruntime_agrees_on_random_models_and_so_does_what_is_read_back(seed, tmp_path):
    model, X = random_model(seed)
    path, wanted = written(model, tmp_path / "m.onnx"), as_tuple(model.predict(X))
    assert_same(computed(path, X), wanted, TOLERANCE[model.dtype])
    back = export.from_onnx(path)
    assert back.dtype == model.dtype
    assert_same(as_tuple(back.predict(X)), wanted, TOLERANCE[model.dtype])


def test_random_models_have_every_layer():
    names = {type(each).__name__ for seed in range(120) for _, each in random_model(seed)[0].named_modules()}
    layers = {
        name for name in nn.__all__ if isinstance(getattr(nn, name), type) and issubclass(getattr(nn, name), nn.Module)
    }
    assert layers - names == {"Module"}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_operation_of_the_core(dtype, tmp_path):
    model, X = of_every_operation(dtype)
    model.fit(X, X[:, :2], loss="mse", epochs=2)
    path = written(model, tmp_path / "m.onnx")
    assert_same(computed(path, X), [model.predict(X)], TOLERANCE[dtype])
    assert_same([export.from_onnx(path).predict(X)], [model.predict(X)], TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("op", [each["name"] for each in _core.activations()])
def test_every_elementwise_function(op, dtype, tmp_path):
    """Also where the difference to another is small: near zero, far from it, and at limits."""

    class Function(nn.Module):
        def forward(self, x):
            return x.apply(op)

    X = np.concatenate([np.linspace(-6, 6, 49), [-30.0, -1e-3, 1e-3, 0.5, 1.0, 30.0]]).astype(dtype).reshape(-1, 1)
    if op in ("log", "sqrt", "reciprocal"):
        X = np.abs(X) + np.asarray(0.01, dtype)
    model = Function().to(dtype)
    wanted = [model.predict(X)]
    path = written(model, tmp_path / "m.onnx")
    assert_same(computed(path, X), wanted, TOLERANCE[dtype])
    assert_same([export.from_onnx(path).predict(X)], wanted, TOLERANCE[dtype])


def test_names_shapes_and_metadata(tmp_path):
    model = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Dropout(), nn.Linear(5, 3)).initialize(0)
    model[0].weight.requires_grad = False
    proto = onnx.load(written(model, tmp_path / "m.onnx"))
    state = model.state_dict()
    parameters = {each.name: onnx.numpy_helper.to_array(each) for each in proto.graph.initializer}
    assert set(state) - set(parameters) == {"1.num_batches_tracked"}
    assert all(np.array_equal(state[name], array) for name, array in parameters.items())
    assert [node.op_type for node in proto.graph.node] == ["Gemm", "BatchNormalization", "Gemm", "Identity"]
    assert [(each.domain, each.version) for each in proto.opset_import] == [("", 20), ("ai.onnx.ml", 3)]
    metadata = {each.key: each.value for each in proto.metadata_props}
    assert (metadata["whet"], metadata["dtype"]) == (whet.__version__, "float32")
    statistics = ("running_mean", "running_var", "num_batches_tracked")
    assert json.loads(metadata["frozen"]) == ["0.weight", *(f"1.{name}" for name in statistics)]
    opened = session(tmp_path / "m.onnx")
    assert [(each.name, each.shape) for each in opened.get_inputs()] == [("X", ["rows", 4])]
    assert [(each.name, each.shape) for each in opened.get_outputs()] == [("output", ["rows", 3])]
    assert computed(tmp_path / "m.onnx", np.zeros((0, 4), np.float32))[0].shape == (0, 3)


def test_a_loaded_model_of_several_inputs(tmp_path):
    model, rng = nn.Bilinear(3, 4, 2).initialize(0), np.random.default_rng(0)
    X = {"x1": rng.normal(size=(5, 3)).astype(np.float32), "x2": rng.normal(size=(5, 4)).astype(np.float32)}
    wanted = model.predict(X)
    model.save(tmp_path / "m.whet")
    path = written(whet.load(tmp_path / "m.whet"), tmp_path / "m.onnx")
    assert_same(computed(path, X), [wanted], 1e-5)
    assert_same([export.from_onnx(path).predict(X)], [wanted], 1e-5)


# Tables

CELLS = 300


def cells(seed):
    rng = np.random.default_rng(seed)
    words = rng.choice(np.array(["a", "b", "cé", None], object), CELLS)
    size = np.where(rng.random(CELLS) < 0.1, np.nan, rng.lognormal(3, 2, CELLS))
    return {
        "size": size,
        "far": rng.integers(0, 5, CELLS) * 1e9 + rng.normal(size=CELLS),
        "steps": rng.integers(0, 3, CELLS),
        "same": np.full(CELLS, 3.0),
        "word": words,
        "flag": rng.choice(np.array([True, False], object), CELLS),
        "y": np.where(np.nan_to_num(size) > 20, "large", "small"),
    }


def fed(model, table):
    """Columns as the file takes them."""
    return {
        name: (
            np.asarray(table[name], np.float64)
            if kind == "number"
            else np.array(["" if cell is None else str(cell) for cell in np.asarray(table[name]).tolist()], object)
        ).reshape(-1, 1)
        for name, kind in model.preprocessor.kinds.items()
    }


PREPROCESSORS = {
    "default": {},
    "standard": {"scaler": "StandardScaler"},
    "min and max": {"scaler": "MinMaxScaler", "imputer": data.Imputer("mean", indicator=False)},
    "quantiles": {"scaler": "QuantileScaler"},
    "quantiles that are equal": {"scaler": data.QuantileScaler(noise=0, n_quantiles=20)},
    "without clip": {"scaler": data.RobustScaler(clip=None)},
    "none": {"scaler": None},
    "frequent": {"category_imputer": data.CategoryImputer("most_frequent"), "encoder": data.OneHotEncoder(2)},
    "numbered": {"encoder": data.OrdinalEncoder()},
}


@pytest.mark.parametrize("name", PREPROCESSORS)
def test_a_table_model_takes_raw_columns(name, tmp_path):
    model = whet.TabularModel("y", hidden=(8,), preprocessor=data.Preprocessor(**PREPROCESSORS[name]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", whet.WhetWarning)  # of categories that are not kept
        model.fit(cells(0), epochs=3)
    table = cells(1)
    table["word"][:2], table["size"][2:4] = "never seen", [-1e30, 1e200]
    if name in ("standard", "min and max", "without clip", "none"):
        table["size"][2:4] = [-50, 1e4]  # whet refuses what is too large for float32
    for names in ("size", "far"):  # at quantiles, and where they end
        table[names][4:40] = cells(0)[names][:36]
    rows = {column: values for column, values in table.items() if column != "y"}
    written(model, tmp_path / "m.onnx")
    label, probabilities = computed(tmp_path / "m.onnx", fed(model, table))
    np.testing.assert_array_equal(label.astype(str), model.predict(rows))
    assert_same([probabilities], [model.predict_proba(rows)], 1e-5)


def test_none_and_nan_among_texts_are_missing_to_onnxruntime(tmp_path):
    model = whet.TabularModel("y", hidden=(8,))
    model.fit(cells(0), epochs=3)
    written(model, tmp_path / "m.onnx")
    feed = {name: column[:1] for name, column in fed(model, cells(1)).items()}
    found = [
        computed(tmp_path / "m.onnx", {**feed, "word": np.array([[cell]], object)})[1] for cell in ("", None, np.nan)
    ]
    assert np.array_equal(found[0], found[1])
    assert np.array_equal(found[0], found[2])
    unseen = computed(tmp_path / "m.onnx", {**feed, "word": np.array([["other"]], object)})[1]
    assert not np.array_equal(found[0], unseen)


def test_classes_of_every_type_and_the_metadata(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=60)
    for classes in (["b", "a"], [7, 3], [True, False], [0.5, 2.5]):
        table = {"x": x, "y": np.array(classes, object)[(x > 0).astype(int)].tolist()}
        model = whet.TabularModel("y", "classification", hidden=(4,))
        model.fit(table, epochs=2)
        written(model, tmp_path / "m.onnx")
        label, _ = computed(tmp_path / "m.onnx", {"x": x.reshape(-1, 1)})
        wanted = model.predict({"x": x})
        np.testing.assert_array_equal(label.astype(wanted.dtype), wanted)
        metadata = {each.key: each.value for each in onnx.load(tmp_path / "m.onnx").metadata_props}
        assert json.loads(metadata["classes"]) == model.classes_.tolist()
        assert metadata["target"] == "y"


def test_bundled_tables(tmp_path):
    penguins = load_penguins()
    model = whet.TabularModel("species")
    model.fit(penguins, epochs=3)
    written(model, tmp_path / "m.onnx")
    label, probabilities = computed(tmp_path / "m.onnx", fed(model, penguins.features))
    np.testing.assert_array_equal(label.astype(str), model.predict(penguins))
    assert_same([probabilities], [model.predict_proba(penguins)], 1e-5)


LOSSES = {
    "mse": {},
    "poisson": {},
    losses.QuantileLoss((0.1, 0.5, 0.9)): {"network": lambda n, k: nn.Linear(n, 3)},
    losses.GaussianNLLLoss(): {
        "network": lambda n, k: nn.Sequential(nn.Linear(n, 2), nn.Softplus()),
    },
    losses.MemberLoss("mse"): {"network": lambda n, k: nn.LinearEnsemble(n, 1, k=3)},
}


@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_numbers_come_in_the_units_of_the_target(loss, tmp_path):
    table = load_california_housing().take(range(400))
    model = whet.TabularModel("median_house_value", **LOSSES[loss])
    model.fit(table, loss=loss, epochs=2, optimizer=optim.Adam(1e-4))
    written(model, tmp_path / "m.onnx")
    (found,) = computed(tmp_path / "m.onnx", fed(model, table.features))
    assert found.shape == (400, 1)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found[:, 0], model.predict(table), rtol=1e-5)


def test_columns_with_the_names_of_parameters(tmp_path):
    rng = np.random.default_rng(0)
    table = {"weight": rng.normal(size=50), "bias": rng.normal(size=50), "y": rng.normal(size=50)}
    model = whet.TabularModel("y", network=nn.Linear)
    model.fit(table, epochs=2)
    written(model, tmp_path / "m.onnx")
    (found,) = computed(tmp_path / "m.onnx", fed(model, table))
    np.testing.assert_allclose(found[:, 0], model.predict(table), rtol=1e-5)


def test_members_agree_on_a_class(tmp_path):
    model = whet.TabularModel("y", network=lambda n, k: nn.LinearEnsemble(n, k, k=4).to("float64"))
    model.fit(cells(0), loss=losses.MemberLoss("cross_entropy"), epochs=2)
    written(model, tmp_path / "m.onnx")
    rows = {name: column for name, column in cells(1).items() if name != "y"}
    label, probabilities = computed(tmp_path / "m.onnx", fed(model, rows))
    np.testing.assert_array_equal(label.astype(str), model.predict(rows))
    assert_same([probabilities], [model.predict_proba(rows)], 1e-5)


# Reading


def test_names_shapes_and_what_is_frozen_stay(tmp_path):
    model, _ = of_every_operation()
    model.gate.w1.weight.requires_grad = False
    back = export.from_onnx(written(model, tmp_path / "m.onnx"))
    shapes = {name: array.shape for name, array in model.state_dict().items()}
    assert {name: array.shape for name, array in back.state_dict().items()} == shapes
    assert set(back._frozen()) == set(model._frozen())


def test_training_goes_on_where_it_was(tmp_path):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 6))
    model = nn.Sequential(
        nn.Linear(6, 16), nn.BatchNorm1d(16, momentum=0.3), nn.GELU("tanh"), nn.LayerNorm(16), nn.Linear(16, 1)
    ).to("float64")
    settings = dict(loss="mse", optimizer=optim.SGD(0.05), epochs=3, shuffle=False, batch_size=50)
    model.fit(X, X.sum(axis=1), **settings)
    back = export.from_onnx(written(model, tmp_path / "m.onnx"))
    for each in (model, back):
        each.fit(X, X.sum(axis=1), **settings)
    np.testing.assert_allclose(back.predict(X), model.predict(X), rtol=1e-6)
    for name, array in model.state_dict().items():
        if not name.endswith("tracked"):
            np.testing.assert_allclose(back.state_dict()[name], array, rtol=1e-6, atol=1e-9, err_msg=name)
    back.save(tmp_path / "m.whet")
    assert whet.load(tmp_path / "m.whet").fingerprint() == back.fingerprint()
    again = export.from_onnx(written(back, tmp_path / "again.onnx"))
    assert_same([again.predict(X)], [back.predict(X)], 1e-12)
