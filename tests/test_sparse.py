"""Sparse features: the bits of the dense ones, in memory that grows with the entries alone."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

import whet
from tests.helpers import outputs_of_both_sets, run_python, same_bits
from whet import callbacks, nn, optim
from whet.nn import init

FORMATS = ["csr", "csc", "coo", "bsr", "lil", "dok", "dia"]


def random_rows(rows, cols, density, seed=0, dtype=np.float32):
    """Some rows without entries, and some entries of zero."""
    rng = np.random.default_rng(seed)
    x = sp.csr_array(rng.standard_normal((rows, cols)) * (rng.random((rows, cols)) < density)).astype(dtype)
    x.data[::9] = 0
    return x


def problem(rows=300, cols=40, density=0.1, outputs=1, dtype=np.float32):
    x = random_rows(rows, cols, density, dtype=dtype)
    y = np.tanh(x @ np.random.default_rng(1).standard_normal((cols, outputs))).astype(dtype)
    return x, y


def perceptron(cols, hidden, outputs, dtype="float32", **options):
    model = nn.Sequential(nn.Linear(cols, hidden, **options), nn.ReLU(), nn.Linear(hidden, outputs))
    return model.to(dtype)


def both(make, x, y, **arguments):
    """Models fitted to sparse and to dense rows."""
    models = make(), make()
    for model, features in zip(models, (x, x.toarray()), strict=True):
        model.fit(features, y, **arguments)
    return models


def assert_same(ours, dense, x):
    assert ours.fingerprint() == dense.fingerprint()
    assert dict(ours.history) == dict(dense.history)
    assert same_bits(ours.predict(x), dense.predict(x.toarray()))


@settings(max_examples=60, deadline=None)
@given(
    rows=st.sampled_from([1, 2, 31, 256, 257, 600]),
    cols=st.sampled_from([1, 2, 7, 33, 1500]),
    hidden=st.sampled_from([1, 3, 16, 37, 130]),
    density=st.sampled_from([0.0, 0.01, 0.2, 1.0]),
    batch=st.sampled_from([1, 32, 300, 600]),
    bias=st.booleans(),
    dtype=st.sampled_from(["float32", "float64"]),
    seed=st.integers(0, 1000),
)
def test_a_fit_has_the_bits_of_the_dense_one(rows, cols, hidden, density, batch, bias, dtype, seed):
    x = random_rows(rows, cols, density, seed, dtype)
    y = np.random.default_rng(seed).standard_normal((rows, 2))
    models = both(
        lambda: perceptron(cols, hidden, 2, dtype, bias=bias),
        *(x, y),
        **dict(loss="mse", epochs=3, max_steps=6, batch_size=batch, seed=seed),
    )
    assert_same(*models, x)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_hundred_steps_are_pytorchs(torch, dtype):
    x, y = problem(320, 50, 0.08, 2, dtype)
    model = perceptron(50, 16, 2, dtype)
    model.predict(x)
    theirs = torch.nn.Sequential(torch.nn.Linear(50, 16), torch.nn.ReLU(), torch.nn.Linear(16, 2)).double()
    theirs.load_state_dict({name: torch.tensor(array).double() for name, array in model.state_dict().items()})
    model.fit(x, y, loss="mse", optimizer=optim.Adam(1e-2), epochs=10, batch_size=32, shuffle=False)
    adam = torch.optim.Adam(theirs.parameters(), 1e-2)
    features, target = torch.tensor(x.toarray()).double(), torch.tensor(y).double()
    for step in range(100):
        batch = slice(step % 10 * 32, (step % 10 + 1) * 32)
        adam.zero_grad()
        torch.nn.functional.mse_loss(theirs(features[batch]), target[batch]).backward()
        adam.step()
    tolerance = 2e-4 if dtype == "float32" else 1e-10
    for name, array in theirs.state_dict().items():
        np.testing.assert_allclose(model.state_dict()[name], array.numpy(), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("kind", ["array", "matrix"])
@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_taken(name, kind):
    x, y = problem(40, 12, 0.3)
    given_rows = getattr(sp, f"{name}_{kind}")(x.toarray())
    model = perceptron(12, 4, 1)
    model.fit(given_rows, y, loss="mse", epochs=2)
    dense = perceptron(12, 4, 1)
    dense.fit(x.toarray(), y, loss="mse", epochs=2)
    assert_same(model, dense, x)
    assert model.evaluate(given_rows, y) == dense.evaluate(x.toarray(), y)


@pytest.mark.parametrize("dtype", ["?", "i1", "u2", "i8", "f4", "f8", ">f4", ">i4"])
@pytest.mark.parametrize("index", [np.int32, np.int64])
def test_every_real_dtype_and_index_is_taken(dtype, index):
    x, y = problem(40, 12, 0.3)
    x = sp.csr_array(((x.data * 3).astype(dtype), x.indices.astype(index), x.indptr.astype(index)), shape=x.shape)
    assert x.indices.dtype == index
    model, dense = perceptron(12, 4, 1), perceptron(12, 4, 1)
    model.fit(x, y, loss="mse", epochs=2)
    dense.fit(x.toarray(), y, loss="mse", epochs=2)
    assert model.fingerprint() == dense.fingerprint()


def test_entries_out_of_order_and_duplicates_are_summed_and_stay_as_they_are():
    columns, starts = np.array([3, 0, 3, 1, 2, 2]), np.array([0, 3, 3, 6])
    x = sp.csr_array((np.array([1.0, 2, 4, 8, 16, 32]), columns.copy(), starts), shape=(3, 4))
    model = perceptron(4, 3, 1)
    assert same_bits(model.predict(x), model.predict(x.toarray()))
    assert np.array_equal(x.indices, columns)
    assert len(x.data) == 6


def test_room_behind_the_last_entry_is_not_read():
    x = sp.csr_array((np.array([1, 2, np.nan]), np.array([0, 1, 7]), np.array([0, 1, 2])), shape=(2, 3))
    model = perceptron(3, 2, 1)
    assert same_bits(model.predict(x), model.predict(np.array([[1, 0, 0], [0, 2, 0]])))


def test_values_that_are_right_already_are_not_copied():
    x = random_rows(10, 5, 0.5)
    features = perceptron(5, 2, 1)._features(x, "fit")
    assert np.shares_memory(features.values, x.data)


class Moves(callbacks.Callback):
    """Has the elements stand where there is no memory, while the core reads them."""

    every_n_steps = 1

    def __init__(self, x):
        self.x = x

    def on_step_end(self, step, logs=None):
        self.x.indices[:], self.x.indptr[1:] = 10**8, 10**8


@pytest.mark.parametrize("index", [np.int32, np.int64])
def test_indices_that_are_changed_while_it_trains_do_no_harm(index):
    x, y = problem()
    want, got = perceptron(40, 5, 1), perceptron(40, 5, 1)
    want.fit(x, y, loss="mse", epochs=2, seed=0)
    x.indices, x.indptr = x.indices.astype(index), x.indptr.astype(index)
    got.fit(x, y, loss="mse", epochs=2, seed=0, callbacks=Moves(x))
    assert got.fingerprint() == want.fingerprint()


@pytest.mark.parametrize(
    ("make", "indices", "starts"),
    [
        (sp.csr_array, [0, 9], [0, 1, 2]),
        (sp.csr_array, [0, -1], [0, 1, 2]),
        (sp.csr_array, [0, 2**32], [0, 1, 2]),
        (sp.csr_array, [0, 1], [0, 10**6, 2]),
        (sp.csc_array, [0, 10**6], [0, 0, 1, 1, 2]),
        (sp.csc_array, [0, 1], [0, 2, 1, 1, 2]),
    ],
)
def test_elements_outside_of_the_matrix_are_refused(make, indices, starts):
    x = make((np.ones(2), np.array(indices), np.array(starts)), shape=(2, 4))
    with pytest.raises(
        ValueError, match=r"\[fit\] expected sparse X (whose indptr ascends|with indices from 0 to [13])"
    ):
        nn.Linear(4, 1).fit(x, np.zeros(2), loss="mse")


class Wide(nn.Module):
    """Two layers and a product that read the input."""

    def __init__(self):
        super().__init__()
        self.deep = nn.Sequential(nn.Linear(40, 8), nn.Tanh(), nn.BatchNorm1d(8), nn.Dropout(0.2), nn.Linear(8, 3))
        self.wide = nn.Linear(40, 3, bias=False)
        self.weight = nn.Parameter((40, 3), init.Normal())

    def forward(self, x):
        return self.deep(x) + self.wide(x) + x @ self.weight


class Two(nn.Module):
    """One layer that reads the input twice, before an activation that no product applies."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(40, 3)

    def forward(self, x):
        return nn.Softsign()(self.linear(x)) * self.linear(x)


@pytest.mark.parametrize("make", [Wide, Two, lambda: nn.Linear(40, 3), lambda: nn.MLP(40, [9, 5], 3, "gelu", 0.1)])
@pytest.mark.parametrize("batch", [32, 300])
def test_models_that_read_through_linear_layers(make, batch):
    x, y = problem(outputs=3)
    assert_same(*both(make, x, y, loss="mse", epochs=4, batch_size=batch), x)


@pytest.mark.parametrize("optimizer", ["gd", "lbfgs", "muon", "adafactor", optim.SGD(0.1, accumulate=3)])
def test_optimizers_take_the_same_steps(optimizer):
    x, y = problem()
    assert_same(*both(lambda: perceptron(40, 5, 1), x, y, loss="mse", optimizer=optimizer, epochs=3), x)


def test_all_that_a_fit_takes():
    x, _ = problem(400, 60, 0.1)
    labels = (np.asarray(x.sum(axis=1)).ravel() > 0).astype(np.int64)
    weights = np.random.default_rng(2).random(400)
    arguments = dict(loss="cross_entropy", epochs=4, batch_size=50, metrics=["accuracy", "log_loss"], seed=3)
    arguments |= dict(sample_weight=weights, class_weight="balanced", validation_fraction=0.25)
    ours, dense = both(lambda: perceptron(60, 7, 2), x, labels, **arguments)
    assert_same(ours, dense, x)
    assert same_bits(ours.predict_proba(x), dense.predict_proba(x.toarray()))
    assert ours.evaluate(x, labels, weights) == dense.evaluate(x.toarray(), labels, weights)


def test_validation_data_may_be_sparse_or_not():
    x, y = problem()
    found = []
    for held in (x, x.toarray()):
        model = perceptron(40, 5, 1)
        found.append(model.fit(x, y, loss="mse", epochs=3, validation_data=(held, y))["val_loss"])
    assert found[0] == found[1]


def test_a_trainer_takes_sparse_and_dense_batches():
    x, y = problem()
    trainers = [whet.Trainer(perceptron(40, 5, 1), "mse") for _ in range(2)]
    for step in range(6):
        batch = slice(50 * step, 50 * (step + 1))
        given_rows = x[batch] if step % 2 else x[batch].toarray()
        assert trainers[0].step(given_rows, y[batch]) == trainers[1].step(x[batch].toarray(), y[batch])
    assert trainers[0].model.fingerprint() == trainers[1].model.fingerprint()
    assert trainers[0].evaluate(x, y) == trainers[1].evaluate(x.toarray(), y)


def test_a_fit_resumes_in_the_middle_of_an_epoch(tmp_path):
    x, y = problem()
    arguments = dict(loss="mse", epochs=3, batch_size=32, checkpoint_every=3)
    whole, parts = perceptron(40, 5, 1), perceptron(40, 5, 1)
    whole.fit(x, y, loss="mse", epochs=3, batch_size=32)
    parts.fit(x, y, **arguments, checkpoint=tmp_path, max_steps=14)
    again = perceptron(40, 5, 1)
    again.fit(x, y, **arguments, checkpoint=tmp_path, resume=True)
    assert again.fingerprint() == whole.fingerprint()
    other = x.copy()
    other.indices[:2] = 38, 39
    with pytest.raises(ValueError, match="X"):
        perceptron(40, 5, 1).fit(other, y, **arguments, checkpoint=tmp_path, resume=True)


def test_what_is_not_finite_names_rows_and_gives_them_as_they_were():
    x, y = problem(64, 30, 0.2)
    x.data[x.indptr[20] : x.indptr[21]] = 3e38
    column = x.indices[x.indptr[20]]
    with pytest.raises(whet.NonFiniteError) as caught:
        perceptron(30, 5, 1).fit(x, y, loss="mse", batch_size=16)
    error = caught.value
    assert error.rows.tolist() == [20]
    assert isinstance(error.features, sp.csr_array)
    assert np.array_equal(error.features.toarray(), x[[20]].toarray())
    assert f"scale column {column}" in str(error)


@pytest.mark.parametrize(
    ("make", "reader"),
    [
        (lambda: nn.Sequential(nn.Dropout(0.5), nn.Linear(4, 1)), "dropout in layer '0'"),
        (lambda: nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 1)), "batch_norm in layer '0'"),
        (lambda: nn.NTKLinear(4, 1), "affine in the model's forward"),
        (nn.Identity, "identity in the model's forward"),
    ],
)
def test_what_else_reads_the_input_is_named(make, reader):
    x = random_rows(6, 4, 0.5)
    for call in (lambda m: m.predict(x), lambda m: m.fit(x, np.zeros(6), loss="mse")):
        with pytest.raises(TypeError, match="toarray") as caught:
            call(make())
        assert reader in str(caught.value)


def with_value(value, dtype=np.float64):
    x = random_rows(6, 4, 1.0, dtype=dtype)
    x.data[14] = value
    return x


@pytest.mark.parametrize(
    ("x", "error", "words"),
    [
        (with_value(np.nan), ValueError, r"missing value \(NaN\), first in row 3, column 2"),
        (with_value(-np.inf), ValueError, "infinite value, first in row 3, column 2"),
        (with_value(1e300), ValueError, "too large for float32, first in row 3, column 2"),
        (random_rows(6, 4, 0.5).astype(np.complex128), TypeError, "complex128"),
        (random_rows(6, 5, 0.5), ValueError, "5"),
        (random_rows(0, 4, 0), ValueError, "at least one row"),
        (sp.csr_array((6, 0)), ValueError, "at least one feature"),
        (sp.coo_array(np.ones(6)), ValueError, "X.reshape"),
        (sp.coo_array((6, 2**31)), ValueError, "2147483647 features"),
        ({"x": random_rows(6, 4, 0.5)}, TypeError, "toarray"),
    ],
)
def test_what_cannot_be_taken_is_refused(x, error, words):
    with pytest.raises(error, match=words):
        nn.Linear(4, 1).fit(x, np.zeros(6), loss="mse")


def test_damaged_indices_are_refused():
    for columns, starts in (([0, 9], [0, 1, 2]), ([0, -1], [0, 1, 2]), ([0, 1], [0, 2, 1]), ([1, 1], [0, 2, 2])):
        rows = np.ones(2, np.float32), np.array(columns, np.int32), np.array(starts)
        with pytest.raises(ValueError, match="ascend"):
            whet._core.SparseRows(*rows, 4)


def test_a_target_stays_dense():
    x = random_rows(6, 4, 0.5)
    with pytest.raises(TypeError, match="toarray"):
        nn.Linear(4, 1).fit(x, sp.csr_array(np.ones((6, 1))), loss="mse")


TRAIN = """
import numpy as np, scipy.sparse as sp
import whet
from whet import nn
rng = np.random.default_rng(0)
for dtype in "float32", "float64":
    x = sp.csr_array(rng.standard_normal((700, 3000)) * (rng.random((700, 3000)) < 0.01))
    y = rng.standard_normal((700, 2))
    models = [nn.Sequential(nn.Linear(3000, 50), nn.GELU(), nn.Linear(50, 2)).to(dtype) for _ in range(2)]
    for model, features in zip(models, (x, x.toarray())):
        model.fit(features, y, loss="mse", epochs=2, batch_size=300)
    assert models[0].fingerprint() == models[1].fingerprint()
    print(models[0].fingerprint())
"""


@pytest.mark.parametrize("isa", whet.build_info()["available_isas"])
def test_every_instruction_set_has_the_dense_bits(isa):
    assert run_python("-c", TRAIN, WHET_ISA=isa)


def test_bits_do_not_depend_on_the_set():
    assert len(outputs_of_both_sets(TRAIN)) == 1


def test_bits_do_not_depend_on_the_threads():
    assert len({run_python("-c", TRAIN, WHET_NUM_THREADS=threads) for threads in "125"}) == 1


LARGE = """
import numpy as np, scipy.sparse as sp
from bench.memory import peak
from whet import nn
rng = np.random.default_rng(0)
n = 100_000
columns = rng.integers(0, n, (n, 10), dtype=np.int32)
columns.sort(axis=1)
x = sp.csr_matrix((np.ones(10 * n, np.float32), columns.ravel(), np.arange(n + 1) * 10), shape=(n, n))
y = (columns.min(axis=1) < n // 10).astype(np.float32)
model = nn.Sequential(nn.Linear(n, 16), nn.ReLU(), nn.Linear(16, 1))
before = peak()
model.fit(x, y, loss="bce_with_logits", epochs=1, batch_size=1000, validation_fraction=0.1)
model.predict(x)
print((peak() - before) / 1024)
"""


def test_a_wide_matrix_trains_in_little_memory():
    # Parameters, gradient, two slots and what a batch of 1000 rows uses of them are 32 MB; dense rows would be 40 GB.
    assert float(run_python("-c", LARGE)) < 150


def test_nothing_imports_scipy():
    program = "import sys, whet; from whet import nn; nn.Linear(2, 1).predict([[1, 2]]); print('scipy' in sys.modules)"
    assert run_python("-c", program).strip() == "False"
    assert "scipy" in sys.modules
