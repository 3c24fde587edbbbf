"""Estimators of whet.sklearn as files of whet.export: onnxruntime and a C compiler predict what predict does."""

import ctypes
import json

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed: the estimators need it")

from sklearn.base import clone, is_classifier
from sklearn.datasets import load_diabetes, load_iris
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import whet.sklearn
from tests.c_programs import compiled, pointer
from whet import export, losses, nn
from whet.sklearn import LogisticRegression, MLPClassifier, MLPRegressor, Ridge, SGDClassifier, SGDRegressor, wrap

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:Maximum number of iteration"),
]

IRIS = StandardScaler().fit_transform(load_iris().data), load_iris().target_names[load_iris().target]
DIABETES = StandardScaler().fit_transform(load_diabetes().data), load_diabetes().target
GAPS = IRIS[0].copy()
GAPS[::7, 1] = np.nan
LABELS = np.stack([IRIS[1] == "setosa", IRIS[1] != "virginica", IRIS[0][:, 0] > 0], axis=1).astype(int)
BOTH = np.stack([DIABETES[1], -DIABETES[1]], axis=1)
TOLERANCE = 1e-5


def perceptron(inputs, outputs):
    return nn.MLP(inputs, (8,), outputs)


def cases():
    """Estimators with rows and a target."""
    small = {"hidden_layer_sizes": (8,), "max_iter": 20, "random_state": 0}
    for name in whet.sklearn.__all__:
        made = getattr(whet.sklearn, name)
        if not name.startswith(("Wrapped", "wrap", "MLP")):
            yield made(), *(IRIS if is_classifier(made()) else DIABETES)
    words = np.where(IRIS[1] == "setosa", 'å"', "??/")
    numbers = np.unique(IRIS[1], return_inverse=True)[1]
    yield MLPClassifier(**small), *IRIS
    yield MLPClassifier(**small, normalization="batch", activation="gelu", dtype="float32"), IRIS[0], words
    yield MLPClassifier(**small, solver="lbfgs"), IRIS[0], LABELS
    yield MLPClassifier(**small), GAPS, numbers
    yield MLPRegressor(**small), *DIABETES
    yield MLPRegressor(**small), GAPS, BOTH[:150]
    yield MLPRegressor("poisson", **small), *DIABETES
    yield LogisticRegression(), IRIS[0], words
    yield LogisticRegression(fit_intercept=False), IRIS[0].astype(np.float32), numbers > 0
    yield SGDClassifier("log_loss", random_state=0), *IRIS
    yield SGDClassifier("log_loss", random_state=0), IRIS[0], words
    yield SGDRegressor(random_state=0), *DIABETES
    yield Ridge(), DIABETES[0], BOTH
    yield wrap(perceptron, epochs=5, random_state=0), *IRIS
    yield wrap(perceptron, "bce_with_logits", epochs=5, random_state=0), IRIS[0], words
    yield wrap(perceptron, "hinge", epochs=5, random_state=0), IRIS[0], words
    yield wrap(perceptron, "mse", epochs=5, random_state=0), DIABETES[0], BOTH


EVERY = pytest.mark.parametrize(("model", "X", "y"), list(cases()), ids=lambda each: type(each).__name__)


def given(fitted, X):
    """Rows in the precision that the files compute in."""
    return np.ascontiguousarray(X, fitted._predictor("test").network.dtype)


def probabilities_of(fitted, rows):
    """What predict_proba returns, or None where there is nothing of the kind, or no network's."""
    if getattr(fitted, "loss", None) in ("hinge", "modified_huber") or not hasattr(fitted, "predict_proba"):
        return None
    return fitted.predict_proba(rows)


def assert_near(got, want):
    assert got.shape == want.shape
    assert np.max(np.abs(got - want) / np.maximum(1, np.abs(want))) < TOLERANCE


@EVERY
def test_onnxruntime_predicts_the_same(tmp_path, model, X, y):
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    fitted = clone(model).fit(X, y)
    rows, path = given(fitted, X), tmp_path / "model.onnx"
    export.to_onnx(fitted, path)
    onnx.checker.check_model(onnx.load(path), full_check=True)
    session = onnxruntime.InferenceSession(str(path))
    found = dict(zip((each.name for each in session.get_outputs()), session.run(None, {"X": rows}), strict=True))
    want, probable = fitted.predict(rows), probabilities_of(fitted, rows)
    if not is_classifier(fitted):
        assert found.keys() == {"variable"}
        assert_near(found["variable"], want.reshape(len(rows), -1))
        return
    np.testing.assert_array_equal(found["label"], want)
    assert json.loads(session.get_modelmeta().custom_metadata_map["classes"]) == fitted.classes_.tolist()
    assert found.keys() == {"label"} | ({"probabilities"} if probable is not None else set())
    if probable is not None:
        assert_near(found["probabilities"], probable)


@EVERY
def test_c_predicts_the_same(tmp_path, model, X, y):
    fitted = clone(model).fit(X, y)
    rows = given(fitted, X)
    export.to_c(fitted, tmp_path / "m.c")
    library = compiled(tmp_path, "m")
    want, probable = fitted.predict(rows), probabilities_of(fitted, rows)
    if is_classifier(fitted) and want.ndim == 1:
        names = (ctypes.c_char_p * len(fitted.classes_)).in_dll(library, "model_classes")
        assert [name.decode() for name in names] == [str(each) for each in fitted.classes_.tolist()]
        codes = [library.model_predict(pointer(row)) for row in rows]
        np.testing.assert_array_equal(fitted.classes_[codes], want)
    else:
        several = want.reshape(len(rows), -1)
        out = np.zeros(several.shape, np.intc if is_classifier(fitted) else rows.dtype)
        for row, to in zip(rows, out, strict=True):
            library.model_predict(pointer(row), pointer(to))
        assert_near(out, several)
    assert hasattr(library, "model_predict_proba") == (probable is not None)
    if probable is not None:
        out = np.full(probable.shape, np.nan, rows.dtype)
        for row, to in zip(rows, out, strict=True):
            library.model_predict_proba(pointer(row), pointer(to))
        assert_near(out, probable)


def test_weights_are_written(tmp_path):
    numpy_of = pytest.importorskip("safetensors.numpy", reason="safetensors is not installed")
    model = Ridge().fit(*DIABETES)
    export.to_safetensors(model, tmp_path / "ridge.safetensors")
    found = numpy_of.load_file(tmp_path / "ridge.safetensors")
    np.testing.assert_array_equal(found["weight"], model.coef_[None])
    np.testing.assert_array_equal(found["bias"], [model.intercept_])
    other = nn.Linear(10, 1).to("float64")
    export.from_safetensors(other, tmp_path / "ridge.safetensors")
    assert_near(other.predict(DIABETES[0])[:, 0], model.predict(DIABETES[0]))
    with pytest.raises(TypeError, match=r"expected an nn.Module, got Ridge"):
        export.from_safetensors(model, tmp_path / "ridge.safetensors")


@pytest.mark.parametrize("write", [export.to_onnx, export.to_c, export.to_safetensors])
def test_what_has_no_file(tmp_path, write):
    path = tmp_path / "none"
    categories = MLPClassifier((4,), max_iter=2, categorical_features=[0])
    categories.fit(np.concatenate([LABELS[:, :1], IRIS[0]], axis=1), IRIS[1])
    quantile = wrap(nn.MLP(10, (4,), 2), losses.QuantileLoss((0.1, 0.5)), epochs=1).fit(*DIABETES)
    one = MLPClassifier((4,), max_iter=2).fit(IRIS[0], np.zeros(150))
    for model, error, words in (
        (MLPClassifier(), NotFittedError, "not fitted"),
        (SGDClassifier(), NotFittedError, "not fitted"),
        (Ridge, TypeError, "an estimator of whet.sklearn, got Ridge"),
        (make_pipeline(Ridge()), TypeError, "an estimator of whet.sklearn, got Pipeline"),
        (categories, ValueError, "without columns of categories; export the network, the estimator's model_"),
        (one, ValueError, "two classes or more, got 1"),
        (quantile, ValueError, "a loss whose outputs are what is predicted, got QuantileLoss"),
    ):
        with pytest.raises(error, match=words):
            write(model, path)
    assert not path.exists()
