"""A model is walked once; whatever changes in it later counts all the same."""

import copy
import threading

import numpy as np
import pytest

from whet import nn

X = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)


class Chain(nn.Module):
    """Layers in a list, which nobody can watch."""

    def __init__(self, *layers):
        self.layers = list(layers)

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x


class Pair(nn.Module):
    def __init__(self, first, act):
        self.first, self.act = first, act

    def forward(self, x):
        return self.act(self.first(x))


class Elsewhere(nn.Module):
    """Children that come from where nobody looks."""

    def __init__(self, layer):
        self.table = {"layer": layer}

    def children(self):
        yield from self.table.items()

    def forward(self, x):
        return self.table["layer"](x)


def linear(seed):
    return nn.Linear(3, 3).initialize(seed)


def plain(layer, X=X):
    state = layer.state_dict()
    return X @ state["weight"].T + state["bias"]


@pytest.mark.parametrize("times", [1, 3])
def test_another_layer_in_an_attribute(times):
    model = Pair(linear(0), nn.ReLU())
    for _ in range(times):
        model.predict(X)
    model.act = nn.Tanh()
    np.testing.assert_allclose(model.predict(X), np.tanh(plain(model.first)), rtol=1e-5, atol=1e-6)
    model.first = linear(1)
    np.testing.assert_allclose(model.predict(X), np.tanh(plain(model.first)), rtol=1e-5, atol=1e-6)
    del model.act
    with pytest.raises(AttributeError):
        model.predict(X)


def test_a_change_deep_inside():
    inner = Pair(linear(0), nn.ReLU())
    model = nn.Sequential(nn.Sequential(inner))
    model.predict(X)
    inner.act = nn.Tanh()
    np.testing.assert_allclose(model.predict(X), np.tanh(plain(inner.first)), rtol=1e-5, atol=1e-6)


def test_a_list_that_grows_and_one_that_is_rewritten():
    layers = [linear(0), linear(1), linear(2)]
    model = Chain(layers[0])
    np.testing.assert_allclose(model.predict(X), plain(layers[0]), rtol=1e-5, atol=1e-6)
    model.layers.append(layers[1])
    np.testing.assert_allclose(model.predict(X), plain(layers[1], plain(layers[0])), rtol=1e-5, atol=1e-6)
    model.layers[:] = [layers[2]]
    np.testing.assert_allclose(model.predict(X), plain(layers[2]), rtol=1e-5, atol=1e-6)
    assert list(dict(model.named_parameters())) == ["layers.0.weight", "layers.0.bias"]


def test_children_from_elsewhere():
    layers = [linear(0), linear(1)]
    model = Elsewhere(layers[0])
    model.predict(X)
    model.table["layer"] = layers[1]
    np.testing.assert_allclose(model.predict(X), plain(layers[1]), rtol=1e-5, atol=1e-6)


def test_another_dtype():
    model = nn.Sequential(linear(0))
    wide = X.astype(np.float64)
    assert model.predict(X).dtype == model.predict(wide).dtype == np.float32
    model.to("float64")
    assert model.predict(X).dtype == model.predict(wide).dtype == np.float64
    np.testing.assert_allclose(model.predict(wide), model.predict(X), rtol=1e-12)


def test_a_layer_that_another_model_trains():
    shared = linear(0)
    model, other = nn.Sequential(shared, nn.ReLU()), nn.Sequential(shared)
    before = model.predict(X)
    other.fit(X, X, loss="mse", epochs=3)
    after = model.predict(X)
    assert not np.array_equal(before, after)
    np.testing.assert_allclose(after, np.maximum(plain(shared), 0), rtol=1e-5, atol=1e-6)


def test_values_that_are_loaded_drawn_or_trained_are_predicted_with():
    model = nn.Sequential(linear(0))
    first = model.predict(X)
    model.load_state_dict(nn.Sequential(linear(1)).state_dict())
    np.testing.assert_array_equal(model.predict(X), linear(1).predict(X))
    model.initialize(0)
    np.testing.assert_array_equal(model.predict(X), first)
    model.fit(X, X, loss="mse", epochs=1)
    assert not np.array_equal(model.predict(X), first)


def test_copies_stand_alone():
    model = Pair(linear(0), nn.ReLU())
    before = model.predict(X)
    twin = copy.deepcopy(model)
    np.testing.assert_array_equal(twin.predict(X), before)
    twin.act = nn.Tanh()
    np.testing.assert_array_equal(model.predict(X), before)
    np.testing.assert_allclose(twin.predict(X), np.tanh(plain(model.first)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_layout_gives_the_same_bits(dtype):
    model = nn.MLP(3, (5,), 2).to(dtype).initialize(0)
    x = np.random.default_rng(1).normal(size=(20, 3)).astype(dtype)
    want = model.predict(x)  # this one walks
    for layout in [x, np.asfortranarray(x), np.repeat(x, 2, axis=0)[::2], x.astype(x.dtype.newbyteorder()), x.tolist()]:
        np.testing.assert_array_equal(model.predict(layout), want)
    np.testing.assert_array_equal(np.concatenate([model.predict(x[i : i + 1]) for i in range(20)]), want)
    assert model.predict(x[:0]).shape == (0, 2)


def test_errors_are_those_of_the_first_call():
    model = nn.Sequential(linear(0))
    bad = [X[:, :2], X[0], X * np.nan, X * np.inf, [["a"]], None, X[None]]

    def message(x):
        with pytest.raises((TypeError, ValueError)) as error:
            model.predict(x)
        return str(error.value)

    first = [message(x) for x in bad]
    model.predict(X)
    assert [message(x) for x in bad] == first


def test_threads_predict_while_modules_are_made():
    model = nn.MLP(3, (8,), 1).initialize(0)
    want = model.predict(X)
    wrong = []

    def work():
        for _ in range(300):
            if not np.array_equal(model.predict(X), want):
                wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(300):
        nn.MLP(3, (8,), 1)
    for thread in threads:
        thread.join()
    assert not wrong
