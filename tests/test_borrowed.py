"""Arrays of other libraries, in and out by DLPack and buffers: without a copy where dtype and strides allow."""

from __future__ import annotations

import array
import ctypes

import numpy as np
import pytest

import whet
from tests.helpers import same_bits
from whet import data, nn, ops
from whet._arrays import as_features

X = np.random.default_rng(0).normal(size=(64, 4)).astype(np.float32)


class Exported:
    """An array that speaks DLPack alone, of any device."""

    def __init__(self, array, device=(1, 0)):
        self.array, self.device = array, device

    def __dlpack_device__(self):
        return self.device

    def __dlpack__(self, **options):
        assert self.device[0] in (1, 3), "the memory of a device was asked for"
        return self.array.__dlpack__(**options)


def of_torch(a):
    return pytest.importorskip("torch", reason="PyTorch is not installed").from_numpy(a)


def of_jax(a):
    return pytest.importorskip("jax", reason="jax is not installed").numpy.asarray(a)


def in_ctypes(a):
    return (ctypes.c_float * a.shape[1] * a.shape[0]).from_buffer(a)


FORMS = {"DLPack": Exported, "memoryview": memoryview, "ctypes": in_ctypes, "torch": of_torch, "jax": of_jax}


@pytest.fixture(scope="module")
def model():
    model = nn.MLP(4, (5,), 1)
    model.fit(X, X.sum(axis=1), loss="mse", epochs=1)
    return model


@pytest.mark.parametrize("form", FORMS)
def test_arrays_of_others_are_borrowed(form):
    held = X.copy()
    given = FORMS[form](held)
    found = as_features(given, "float32", "fit")
    assert same_bits(found, X)
    # JAX copies NumPy's arrays in; what it then holds is borrowed.
    assert np.shares_memory(found, held if form != "jax" else np.asarray(given))


@pytest.mark.parametrize("form", FORMS)
def test_everything_takes_them(model, form):
    give = FORMS[form]
    again = nn.MLP(4, (5,), 1)
    again.fit(give(X.copy()), give(X.sum(axis=1, keepdims=True)), loss="mse", epochs=1)
    assert again.fingerprint() == model.fingerprint()
    assert same_bits(model.predict(give(X.copy())), model.predict(X))
    assert model.evaluate(give(X.copy()), give(X[:, :1].copy())) == model.evaluate(X, X[:, 0])
    assert same_bits(ops.matmul(give(X.copy()), give(X.T.copy())), ops.matmul(X, X.T))
    assert same_bits(ops.activation("gelu", give(X.copy())), ops.activation("gelu", X))
    assert same_bits(data.Dataset(give(X.copy())).matrix(), X)
    again.load_state_dict(
        {name: give(value.copy()) for name, value in model.state_dict().items() if value.ndim == 2}
        | {name: value for name, value in model.state_dict().items() if value.ndim == 1}
    )
    assert again.fingerprint() == model.fingerprint()


@pytest.mark.parametrize("make", [Exported, memoryview, of_torch, of_jax, lambda a: array.array("f", a.tolist())])
def test_columns_of_a_table(make):
    columns = {f"x{i}": np.ascontiguousarray(X[:, i]) for i in range(4)} | {"y": np.arange(64, dtype=np.float32)}
    model = whet.TabularModel("y", hidden=(4,))
    model.fit(columns, epochs=1)
    again = whet.TabularModel("y", hidden=(4,))
    again.fit({name: make(column) for name, column in columns.items()}, epochs=1)
    assert again.network.fingerprint() == model.network.fingerprint()
    assert same_bits(again.predict({name: make(column) for name, column in columns.items()}), model.predict(columns))


def test_a_column_of_numbers_is_borrowed():
    cells = array.array("d", [1.0, 2.0, 3.0])
    assert np.shares_memory(data.Dataset({"x": cells})["x"], np.frombuffer(cells))


def test_strides_are_followed(model):
    """A transposed tensor, and every other row of one."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    assert same_bits(model.predict(torch.from_numpy(X.T.copy()).T), model.predict(X))
    assert same_bits(model.predict(torch.from_numpy(X)[::2]), model.predict(X[::2]))


def test_results_go_out_without_a_copy(model):
    found = model.predict(X)
    assert memoryview(found).shape == (64, 1)
    assert np.shares_memory(np.from_dlpack(found), found)
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    assert torch.from_dlpack(found).data_ptr() == found.ctypes.data


@pytest.mark.parametrize(("device", "name"), [((2, 1), "CUDA:1"), ((8, 0), "Metal:0"), ((99, 0), "DLPack device 99:0")])
def test_memory_of_other_devices_is_refused_by_name(model, device, name):
    given = Exported(X, device)
    for take in (model.predict, lambda x: ops.matmul(x, x), data.Dataset, lambda x: data.Dataset({"a": x})):
        with pytest.raises(TypeError, match=rf"in the processor's memory, got Exported on {name}; copy it there"):
            take(given)


def test_memory_shared_with_a_device_is_read(model):
    class Pinned(Exported):
        def __array__(self, dtype=None, copy=None):
            return self.array

    assert same_bits(model.predict(Pinned(X, (3, 0))), model.predict(X))


def test_tensors_that_numpy_cannot_have_are_refused(model):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    for given, why in (
        (torch.zeros(2, 4, requires_grad=True), "requires grad"),
        (torch.zeros(2, 4, dtype=torch.bfloat16), "BFloat16"),
        (torch.zeros(2, 4, device="meta"), "meta"),
    ):
        with pytest.raises(
            TypeError, match=rf"\[predict\] expected X as an array that NumPy can read, got Tensor.*{why}"
        ):
            model.predict(given)
