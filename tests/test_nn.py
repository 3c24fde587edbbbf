"""Modules: structure, names, parameters, initialisers, tracing, copies."""

import copy
import math
import pickle
import threading
import time

import numpy as np
import pytest

import whet
from whet import nn, optim
from whet.nn import init


class Residual(nn.Module):
    """A sum, a concatenation, a list of layers and a layer that is used twice."""

    def __init__(self, width):
        self.blocks = [nn.Linear(width, width), nn.Linear(width, width)]
        self.act = nn.Tanh()
        self.head = nn.Linear(2 * width, 1, bias=False)

    def forward(self, x):
        y = x
        for block in self.blocks:
            y = y + self.act(block(y))
        y = self.act(self.blocks[0](y))
        return self.head(nn.concatenate([x, y]))


def test_names_shapes_and_order_are_pytorchs(torch):
    inner = nn.Sequential(nn.Linear(4, 5, bias=False), nn.GELU())
    ours = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), inner, nn.Linear(5, 2))
    inner = torch.nn.Sequential(torch.nn.Linear(4, 5, bias=False), torch.nn.GELU())
    theirs = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), inner, torch.nn.Linear(5, 2))
    expected = {name: tuple(value.shape) for name, value in theirs.state_dict().items()}
    assert {name: value.shape for name, value in ours.state_dict().items()} == expected
    assert list(ours.state_dict()) == list(expected)


def test_the_network_computes_what_numpy_does(rng):
    model = Residual(6).to("float64").initialize(4)
    p = model.state_dict()
    X = rng.normal(size=(17, 6))
    y = X
    for i in (0, 1):
        y = y + np.tanh(y @ p[f"blocks.{i}.weight"].T + p[f"blocks.{i}.bias"])
    y = np.tanh(y @ p["blocks.0.weight"].T + p["blocks.0.bias"])
    np.testing.assert_allclose(model.predict(X), np.concatenate([X, y], axis=1) @ p["head.weight"].T, rtol=1e-12)
    np.testing.assert_array_equal(model(X), model.predict(X))


def test_sequential_is_a_sequence():
    model = nn.MLP(3, (4, 5), 2)
    assert len(model) == 5
    assert isinstance(model[1], nn.ReLU)
    assert len(model[:2]) == 2
    assert [type(layer).__name__ for layer in model] == ["Linear", "ReLU", "Linear", "ReLU", "Linear"]
    assert "(0): Linear(in_features=3, out_features=4, bias=True)" in repr(model)


def test_state_dict_is_read_only_and_follows_the_training(rng):
    model = nn.Linear(3, 1)
    weight = model.state_dict()["weight"]
    before = weight.copy()
    with pytest.raises(ValueError, match="read-only"):
        weight[0, 0] = 1
    model.fit(rng.normal(size=(50, 3)), rng.normal(size=50), loss="mse", epochs=1)
    assert not np.array_equal(weight, before)
    assert weight.flags.c_contiguous
    assert weight.ctypes.data % 64 == 0


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([nn.ReLU()], r"it takes: fit it or predict with it first$"),
        (
            [nn.Embedding(5, 4), nn.Flatten(), nn.Linear(12, 1)],
            "; 4, as its first weight has, do not fit: .* layer '2'",
        ),
        ([nn.Linear(4, 8), nn.LayerNorm(7)], "; 4, as its first weight has, do not fit: .*normalize.* in layer '1'"),
    ],
)
def test_a_model_that_may_take_any_number_of_features_says_so(layers, message):
    with pytest.raises(ValueError, match=message):
        nn.Sequential(*layers).summary()


def test_tables_are_advised_for_features_alone():
    model = nn.Linear(2, 1)
    with pytest.raises(ValueError, match=r"X has a missing value .NaN., first in row 0, column 1; whet.TabularModel"):
        model.predict([[1.0, np.nan]])
    with pytest.raises(ValueError, match=r"bias has a missing value .NaN., first in row 0, column 0$"):
        model.load_state_dict({"weight": [[1.0, 2.0]], "bias": [np.nan]})
    with pytest.raises(TypeError, match=r"bias to hold numbers, got dtype <U1$"):
        model.load_state_dict({"weight": [[1.0, 2.0]], "bias": ["a"]})


def test_load_state_dict_takes_all_or_nothing():
    model = nn.MLP(3, (4,), 2).initialize(0)
    before = model.fingerprint()
    good = {name: np.ones(value.shape) for name, value in model.state_dict().items()}
    for bad, message in [
        ({k: v for k, v in good.items() if k != "0.bias"}, r"missing: 0\.bias"),
        ({**good, "9.bias": np.ones(1)}, r"not known: 9\.bias"),
        ({**good, "2.weight": np.ones((4, 2))}, r"expected 2\.weight with shape \(2, 4\), got \(4, 2\)"),
        ({**good, "2.weight": np.full((2, 4), np.nan)}, "NaN"),
        ({**good, "2.weight": np.full((2, 4), 1e300)}, "too large for float32"),
    ]:
        with pytest.raises(ValueError, match=message):
            model.load_state_dict(bad)
        assert model.fingerprint() == before
    model.load_state_dict(good)
    assert all((value == 1).all() for value in model.state_dict().values())


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_keep_the_bits_and_go_their_own_way(rng, copied):
    X, y = rng.normal(size=(60, 6)), rng.normal(size=60)
    model = Residual(6)
    model.fit(X, y, loss="mse", epochs=1)
    other = copied(model)
    assert other.fingerprint() == model.fingerprint()
    assert other.evaluate(X, y) == model.evaluate(X, y)
    if copied is not copy.copy:
        before = model.fingerprint()
        other.fit(X, y, loss="mse", epochs=1)
        assert model.fingerprint() == before != other.fingerprint()


def test_a_layer_shared_by_two_models_is_trained_by_both(rng):
    X, y = rng.normal(size=(60, 3)), rng.normal(size=60)
    layer = nn.Linear(3, 4)
    a, b = nn.Sequential(layer, nn.Tanh(), nn.Linear(4, 1)), nn.Sequential(layer, nn.ReLU(), nn.Linear(4, 1))
    a.fit(X, y, loss="mse", epochs=1)
    before = a.predict(X)
    b.fit(X, y, loss="mse", epochs=1)
    np.testing.assert_array_equal(a.state_dict()["0.weight"], b.state_dict()["0.weight"])
    assert not np.array_equal(a.predict(X), before)


def test_reading_a_part_moves_nothing(rng):
    """What layers, slices and other models see of shared parameters follows the training that goes on."""
    X, y = rng.normal(size=(60, 3)), rng.normal(size=60)
    model = nn.MLP(3, (4,), 1)
    trainer = whet.Trainer(model, "mse", optim.SGD(lr=0.1, momentum=0.9))
    trainer.step(X, y)
    weight = model[0].state_dict()["weight"]
    hidden = model[:2].predict(X)
    np.testing.assert_array_equal(nn.Sequential(*model).predict(X), model.predict(X))
    trainer.step(X, y)
    np.testing.assert_array_equal(weight, model.state_dict()["0.weight"])
    assert not np.array_equal(model[:2].predict(X), hidden)


def test_a_model_in_training_is_held(rng):
    X, y = rng.normal(size=(20_000, 20)), rng.normal(size=20_000)
    model = nn.MLP(20, (32,), 1)
    thread = threading.Thread(target=lambda: model.fit(X, y, loss="mse", epochs=15, batch_size=32))
    thread.start()
    while model.history is None:
        time.sleep(0.001)
    other = nn.Sequential(model[0], nn.Linear(32, 1))
    refused = [
        lambda: model.initialize(1),
        lambda: model[0].initialize(1),
        lambda: model.load_state_dict(model.state_dict()),
        lambda: other.fit(X, y, loss="mse", epochs=1),
        lambda: whet.Trainer(model[0], "mse"),
    ]
    model[0].state_dict()
    model[:2].predict(X[:5])
    model.to("float64").predict(X[:5])
    for act in refused:
        with pytest.raises(RuntimeError, match="another thread is training"):
            act()
    thread.join()
    assert model.evaluate(X, y)["loss"] < 1.1 * model.history["loss"][-1]


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.ELU(np.nan),
        lambda: nn.LeakyReLU(np.inf),
        lambda: nn.Softplus(threshold=np.nan),
        lambda: nn.ELU(None),
        lambda: nn.Softplus("x"),
        lambda: init.Constant(np.nan),
        lambda: init.Normal(std=-1),
        lambda: init.TruncatedNormal(std=0),
        lambda: init.TruncatedNormal(a=1.0, b=1.0),
        lambda: init.Sparse(1.5),
        lambda: init.Sparse(std=-1),
        lambda: init.Uniform(1.0, -1.0),
        lambda: init.KaimingNormal(mode="fan"),
        lambda: init.KaimingUniform(mode=None),
        lambda: init.KaimingUniform(nonlinearity="swish"),
        lambda: init.Values("x"),
        lambda: init.Values([1.0, 2.0]).draw((3,), 0, 0),
        lambda: init.lsuv("model", np.ones((2, 2))),
        lambda: nn.Parameter(3, init.Zeros()),
        lambda: nn.Parameter("ab", init.Zeros()),
        lambda: nn.Parameter((2.5,), init.Zeros()),
        lambda: nn.Parameter((3,), "zero"),
        lambda: nn.Buffer((3,), lambda shape: 0),
        lambda: nn.Reshape(4),
        lambda: nn.Unflatten(1, "ab"),
        lambda: init.XavierNormal("x"),
        lambda: init.KaimingNormal(a=np.inf),
        lambda: nn.Linear(10**400, 1),
        lambda: nn.Linear(1, 10**400),
        lambda: nn.Linear(1, 1).to(None),
        lambda: nn.Linear(1, 1).to(5),
        lambda: nn.Linear(1, 1).load_state_dict(None),
    ],
)
def test_bad_numbers_are_named(make):
    with pytest.raises((TypeError, ValueError), match=r"^\[\w+\] expected"):
        make()


def test_to_converts_and_computes_in_that_dtype(rng):
    X = rng.normal(size=(9, 3))
    model = nn.Linear(3, 2).initialize(1)
    single = model.predict(X)
    assert single.dtype == np.float32
    double = model.to("float64").predict(X)
    assert double.dtype == np.float64
    np.testing.assert_allclose(single, double, rtol=1e-5)
    assert model.to("float32").predict(X).tobytes() == single.tobytes()
    with pytest.raises(ValueError, match="expected 'float32' or 'float64', got 'float16'"):
        model.to("float16")


def test_summary_shows_what_is_fused():
    text = nn.MLP(784, (128,), 10).summary()
    assert "linear + bias + relu" in text
    assert "parameters, input * relu'" in text
    assert "100,480" in text
    assert text.endswith("101,770 parameters")
    assert "tanh" in Residual(4).summary()


def test_errors_of_tracing_name_the_layer_and_both_shapes():
    model = nn.Sequential(nn.Linear(3, 4), nn.Sequential(nn.ReLU(), nn.Linear(5, 2)))
    with pytest.raises(ValueError, match=r"expected an input with 5 features .* got 4, in layer '1\.1' \(Linear"):
        model.predict(np.ones((2, 3)))

    class Sum(nn.Module):
        def __init__(self):
            self.a, self.b = nn.Linear(3, 4), nn.Linear(3, 5)

        def forward(self, x):
            return self.a(x) + self.b(x)

    with pytest.raises(ValueError, match=r"\[add\] expected two inputs of equal shapes, got \(4,\) and \(5,\), in Sum"):
        Sum().predict(np.ones((2, 3)))


@pytest.mark.parametrize(
    ("forward", "error", "message"),
    [
        (lambda self, x: x, ValueError, "has no layers"),
        (lambda self, x: None, TypeError, "to return a traced value, or a tuple of them, got NoneType"),
        (lambda self, x: np.cumsum(x), TypeError, "is no array"),
        (lambda self, x: x if x else self, TypeError, "has no truth"),
        (lambda self, x: x * "2", TypeError, "\\[mul\\] expected a traced value, a parameter or a number, got str, in"),
        (lambda self, x: x + np.ones(3), TypeError, "a parameter or a number, got ndarray"),
        (lambda self, x: x[:2], IndexError, "expected : for the rows"),
        (lambda self, x: x.mean(axis=0), ValueError, "rows are independent"),
        (lambda self, x: nn.concatenate([3, x]), TypeError, "got int"),
        (lambda self, x: nn.Linear(3, 2)(x), ValueError, "a parameter that is no attribute of the model"),
    ],
)
def test_a_forward_that_cannot_be_traced(forward, error, message):
    module = type("Custom", (nn.Module,), {"forward": forward})()
    with pytest.raises(error, match=message):
        module.predict(np.ones((2, 3)))


@pytest.mark.parametrize(("sizes", "error"), [((0, 1), ValueError), ((2.5, 1), TypeError), ((True, 1), TypeError)])
def test_bad_sizes(sizes, error):
    with pytest.raises(error, match="in_features"):
        nn.Linear(*sizes)
    with pytest.raises(error, match="in_features"):
        nn.MLP(sizes[0], (4,), 1)


@pytest.mark.parametrize("name", ["zeros", "constant", "normal", "uniform", "orthogonal"])
def test_initialisers_by_name(name):
    layer = nn.Linear(30, 40, weight_init=name, bias_init="zeros").initialize(3)
    again = nn.Linear(30, 40, weight_init=name, bias_init="zeros").initialize(3)
    assert layer.fingerprint() == again.fingerprint()
    assert not layer.state_dict()["bias"].any()


def test_default_initialisation_is_pytorchs():
    """Uniform within 1 / sqrt(in), for weight and bias: bounds, mean and deviation of a large layer."""
    layer = nn.Linear(400, 1000).to("float64").initialize(0)
    for value in layer.state_dict().values():
        assert np.abs(value).max() <= 1 / 20
        assert np.abs(value).max() > 0.99 / 20
        assert abs(value.mean()) < 5 * value.std() / math.sqrt(value.size)
        assert value.std() == pytest.approx(1 / 20 / math.sqrt(3), rel=0.05)


@pytest.mark.parametrize(
    ("ours", "theirs", "arguments"),
    [
        (init.XavierUniform, "xavier_uniform_", {"gain": 1.5}),
        (init.XavierNormal, "xavier_normal_", {"gain": 0.5}),
        (init.KaimingUniform, "kaiming_uniform_", {"a": 0.2, "mode": "fan_out"}),
        (init.KaimingNormal, "kaiming_normal_", {"nonlinearity": "relu"}),
        (init.KaimingNormal, "kaiming_normal_", {"nonlinearity": "tanh", "mode": "fan_out"}),
        (init.Normal, "normal_", {"mean": 0.3, "std": 2.0}),
        (init.Uniform, "uniform_", {"a": -1.0, "b": 3.0}),
        (init.TruncatedNormal, "trunc_normal_", {}),
        (init.TruncatedNormal, "trunc_normal_", {"mean": 1.0, "std": 2.0, "a": 0.5, "b": 3.0}),
        (init.TruncatedNormal, "trunc_normal_", {"mean": 0.0, "std": 0.02, "a": -2.0, "b": 2.0}),
        (init.Ones, "ones_", {}),
        (init.Eye, "eye_", {}),
    ],
)
def test_distributions_are_pytorchs(torch, ours, theirs, arguments):
    torch.manual_seed(0)
    reference = torch.empty(300, 500, dtype=torch.float64)
    getattr(torch.nn.init, theirs)(reference, **arguments)
    drawn = ours(**arguments).draw((300, 500), 1, 0)
    quantiles = np.linspace(0.02, 0.98, 25)
    scale = float(reference.std())
    np.testing.assert_allclose(
        np.quantile(drawn, quantiles), np.quantile(reference.numpy(), quantiles), atol=0.03 * scale
    )


def test_ones_and_eyes():
    np.testing.assert_array_equal(init.Ones().draw((3, 2), 0, 0), np.ones((3, 2)))
    np.testing.assert_array_equal(init.Eye().draw((3, 2), 0, 0), [[1, 0], [0, 1], [0, 0]])
    with pytest.raises(ValueError, match="Eye"):
        init.Eye().draw((3,), 0, 0)


def test_a_truncated_normal_ends_at_its_bounds():
    drawn = init.TruncatedNormal(mean=1.0, std=2.0, a=0.5, b=3.0).draw((200, 200), 3, 1)
    assert 0.5 <= drawn.min() < 0.501
    assert 2.999 < drawn.max() <= 3
    far = init.TruncatedNormal(a=50.0, b=60.0).draw((10,), 0, 0)  # further than float64 has probabilities
    assert ((far >= 50) & (far <= 60)).all()


@pytest.mark.parametrize("sparsity", [0.0, 0.25, 0.9, 1.0])
def test_sparse_columns_have_as_many_zeros_as_pytorchs(torch, sparsity):
    theirs = torch.empty(37, 400, dtype=torch.float64)
    torch.nn.init.sparse_(theirs, sparsity, std=0.5)
    drawn = init.Sparse(sparsity, std=0.5).draw((37, 400), 1, 2)
    zeros = (drawn == 0).sum(axis=0)
    assert (zeros == (theirs == 0).sum(axis=0).numpy()).all()
    if sparsity < 1:
        assert drawn[drawn != 0].std() == pytest.approx(0.5, rel=0.05)
        in_rows = (drawn == 0).mean(axis=1)  # every row alike
        assert in_rows == pytest.approx(np.full(37, zeros[0] / 37), abs=0.1)


def test_lsuv_gives_every_layer_unit_variance(rng):
    X = rng.normal(3, 10, size=(500, 20))
    model = nn.Sequential(nn.MLP(20, (64, 64, 32), 16, activation="relu", dropout=0.2), nn.Tanh(), Residual(16))
    found = init.lsuv(model, X, tolerance=0.01)
    weights = [name for name, value in model.state_dict().items() if value.ndim == 2]
    assert list(found) == weights
    assert list(found.values()) == pytest.approx([1.0] * len(weights), abs=0.01)
    mlp = model[0]
    hidden = X.astype(np.float32)
    for layer in mlp:
        hidden = layer.predict(hidden)
        if isinstance(layer, nn.Linear):
            assert hidden.var() == pytest.approx(1, abs=0.01)
            gram = layer.state_dict()["weight"].astype(np.float64)
            gram = gram @ gram.T if len(gram) <= gram.shape[1] else gram.T @ gram
            np.testing.assert_allclose(gram / gram[0, 0], np.eye(len(gram)), atol=1e-5)
            assert (layer.state_dict()["bias"] == 0).all()
    assert init.lsuv(model, X, tolerance=0.01) == found
    with pytest.raises(ValueError, match="row"):
        init.lsuv(model, X[:0])
    looking = nn.Sequential(nn.Embedding(5, 3), nn.Flatten(), nn.Linear(9, 2)).initialize(0)
    before = looking.fingerprint()
    with pytest.raises(ValueError, match=r"\[lsuv\] expected whole numbers from 0 to 4 for an embedding"):
        init.lsuv(looking, [[1, 2, 7]])
    assert looking.fingerprint() == before
    assert init.lsuv(nn.Linear(3, 2), np.zeros((4, 3))) == {"weight": 0.0}


@pytest.mark.parametrize("shape", [(20, 50), (50, 20), (30, 30)])
def test_orthogonal(shape):
    drawn = init.Orthogonal(gain=2.0).draw(shape, 5, 1)
    gram = drawn @ drawn.T if shape[0] <= shape[1] else drawn.T @ drawn
    np.testing.assert_allclose(gram, 4 * np.eye(min(shape)), atol=1e-13)


def test_parameters_of_a_model_are_drawn_apart():
    a, b = (layer.state_dict()["weight"] for layer in nn.Sequential(nn.Linear(9, 9), nn.Linear(9, 9)).initialize(0))
    assert not np.array_equal(a, b)


def test_float32_features_are_not_copied(rng, monkeypatch):
    """What reaches the core is the very memory of the caller's array."""
    from whet._arrays import as_features

    X = rng.normal(size=(10, 3)).astype(np.float32)
    assert as_features(X, "float32", "test") is X
    wide = rng.normal(size=(10, 3))
    assert as_features(wide, "float64", "test") is wide


def test_a_wider_input_after_a_narrow_one(rng):
    """Activations alone take any width; each width is a graph of its own."""
    model = nn.Sequential(nn.ReLU())
    for width in (2, 5, 2):
        X = rng.normal(size=(4, width)).astype(np.float32)
        np.testing.assert_array_equal(model.predict(X), np.maximum(X, 0))


def test_no_rows_in_no_rows_out():
    assert nn.MLP(3, (4,), 2).predict(np.empty((0, 3))).shape == (0, 2)
