"""What a fit records of its layers, told again by NumPy and by the hooks of PyTorch."""

from __future__ import annotations

import numpy as np
import pytest

from tests.helpers import same_bits
from whet import callbacks, nn, optim
from whet.errors import WhetWarning
from whet.training.records import EVERY

ROWS, BATCH = 80, 1  # 80 steps an epoch: the first and the 65th are looked at


@pytest.fixture
def data(rng):
    X = rng.normal(size=(ROWS, 5)).astype(np.float32)
    return X, np.stack([X.sum(axis=1), X[:, 0] * X[:, 1]], axis=1)


def network(act=nn.ReLU, hidden=16):
    return nn.Sequential(nn.Linear(5, hidden), act(), nn.Linear(hidden, hidden), nn.Tanh(), nn.Linear(hidden, 2))


def fit(model, data, **more):
    options = dict(loss="mse", optimizer=optim.SGD(0.05, momentum=0.9), epochs=2, batch_size=BATCH, seed=3, record=True)
    return model.fit(*data, **(options | more))


def freeze(layer):
    for _, parameter in layer.named_parameters():
        parameter.requires_grad = False


def sampled(steps):
    return [step for step in range(steps) if step % EVERY == 0]


class Steps(callbacks.Callback):
    """The parameters after every step."""

    every_n_steps = 1

    def on_epoch_begin(self, epoch, logs=None):
        self.copy()

    def on_step_end(self, step, logs=None):
        self.copy()

    def copy(self):
        self.seen = [
            *getattr(self, "seen", []),
            {name: array.astype(np.float64) for name, array in self.model.state_dict().items()},
        ]


def norm(*arrays):
    return np.sqrt(sum((array**2).sum() for array in arrays))


def test_gradients_and_changes_of_plain_descent(data):
    """Where a step is the learning rate times the gradient, each tells the other."""
    steps = Steps()
    history = fit(network(), data, optimizer=optim.SGD(0.05), epochs=1, shuffle=False, callbacks=steps)
    seen = steps.seen
    for name in seen[0]:
        changes = [seen[step + 1][name] - seen[step][name] for step in sampled(ROWS)]
        after = [seen[step + 1][name] for step in sampled(ROWS)]
        assert history.layers["update_ratio"][name] == [pytest.approx(norm(*changes) / norm(*after), rel=1e-4)]
        want = norm(*changes) / 0.05 / np.sqrt(len(changes))
        assert history.layers["gradient_norm"][name] == [pytest.approx(want, rel=1e-4)]
    whole = np.sqrt(sum(values[0] ** 2 for values in history.layers["gradient_norm"].values()))
    assert history["gradient_norm"] == [pytest.approx(whole)]


def as_torch(torch, model):
    def copy(layer):
        widths = [layer.in_features, layer.out_features] if isinstance(layer, nn.Linear) else []
        return getattr(torch.nn, type(layer).__name__)(*widths)

    twin = torch.nn.Sequential(*map(copy, model))
    twin.load_state_dict({name: torch.tensor(np.array(array)) for name, array in model.state_dict().items()})
    return twin


@pytest.mark.parametrize("act", [nn.ReLU, nn.GELU, nn.Sigmoid, nn.Softsign, nn.Hardtanh, nn.Hardsigmoid])
def test_gradients_and_units_as_hooks_of_pytorch_see_them(data, act):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    X, y = data
    model = network(act)
    model.state_dict()
    tensors = {name: np.array(array) for name, array in model.state_dict().items()}
    tensors["0.bias"][:4] = -30.0  # dead, or saturated
    tensors["2.weight"][:5] *= 40.0
    model.load_state_dict(tensors)
    twin = as_torch(torch, model)
    # A rate of nothing: the twin need not train.
    history = fit(model, data, optimizer=optim.SGD(0.0), epochs=1, batch_size=ROWS // 2, shuffle=False)

    slopes = {}

    def slope(layer, inputs, output):
        x = inputs[0].detach().requires_grad_()
        with torch.enable_grad():
            # The activation by itself: in another module, so that this hook is not called again.
            value = type(layer)()(x)
            slopes[layer] = torch.autograd.grad(value.sum(), x)[0].abs()

    for layer in (twin[1], twin[3]):
        layer.register_forward_hook(slope)
    torch.nn.functional.mse_loss(twin(torch.tensor(X[: ROWS // 2])), torch.tensor(y[: ROWS // 2]).float()).backward()
    for name, parameter in twin.named_parameters():
        assert history.layers["gradient_norm"][name] == [pytest.approx(float(parameter.grad.norm()), rel=1e-4)]
        assert history.layers["update_ratio"][name] == [0.0]
    for i, layer in ((1, twin[1]), (3, twin[3])):
        most = {"Sigmoid": 0.25, "Hardsigmoid": 1 / 6}.get(type(layer).__name__, 1.0)
        if type(layer).__name__ in ("ReLU", "GELU"):
            kind, units = "dead", (slopes[layer] == 0).all(dim=0)
        else:
            kind, units = "saturated", (slopes[layer] < 0.0591 * most).float().mean(dim=0) > 0.5
        want = float(units.float().mean())
        assert want > 0
        assert history.layers[kind][str(i)] == [pytest.approx(want)]
    assert len(history.layers["dead"]) + len(history.layers["saturated"]) == 2


def test_it_changes_no_bit_and_nothing_is_there_without(data):
    plain, recorded = network(), network()
    without = fit(plain, data, record=False)
    found = fit(recorded, data)
    assert plain.fingerprint() == recorded.fingerprint()
    assert without.layers == {}
    assert "gradient_norm" not in without
    assert list(found.layers) == ["gradient_norm", "update_ratio", "dead", "saturated"]
    assert all(len(values) == 2 for names in found.layers.values() for values in names.values())


@pytest.mark.parametrize("threads", [1, 2])
def test_the_same_bits_for_every_number_of_threads(rng, threads, data):
    import whet

    X = rng.normal(size=(3000, 5)).astype(np.float32)
    before = whet.get_num_threads()
    try:
        whet.set_num_threads(threads)
        found = fit(network(hidden=64), (X, X[:, :2]), batch_size=1500, epochs=2)
        whet.set_num_threads(1)
        assert found.layers == fit(network(hidden=64), (X, X[:, :2]), batch_size=1500, epochs=2).layers
    finally:
        whet.set_num_threads(before)


class Shared(nn.Module):
    def __init__(self):
        self.first, self.last, self.act = nn.Linear(5, 5), nn.Linear(5, 2), nn.ReLU()
        self.norm = nn.BatchNorm1d(5)

    def forward(self, x):
        x = self.act(self.norm(self.first(x)))
        x = self.act(self.first(x))
        return self.last(x).apply("tanh")


def test_shared_and_frozen_parameters_and_activations_used_again(data):
    model = Shared()
    history = fit(model, data, batch_size=8)
    trained = ["first.weight", "first.bias", "last.weight", "last.bias", "norm.weight", "norm.bias"]
    assert sorted(history.layers["gradient_norm"]) == sorted(history.layers["update_ratio"]) == sorted(trained)
    assert list(history.layers["dead"]) == ["act", "act#2"]
    assert list(history.layers["saturated"]) == ["tanh"]
    freeze(model.first)
    history = fit(model, data, batch_size=8)
    assert sorted(history.layers["gradient_norm"]) == sorted(trained[2:])
    assert all(0 < value < 1 for values in history.layers["update_ratio"].values() for value in values)


def test_layers_that_no_gradient_passes_are_left_out(data):
    model = network()
    freeze(model[0])
    history = fit(model, data)
    assert history.layers["dead"] == {}
    assert list(history.layers["saturated"]) == ["3"]


def test_a_parameter_of_zeros(data):
    """A bias that begins at zero changes by all that it is; one that stays zero does not change."""
    model = nn.Sequential(nn.Linear(5, 3), nn.ReLU(), nn.Linear(3, 2))
    tensors = {name: np.array(array) for name, array in model.state_dict().items()}
    tensors["0.bias"][...] = tensors["2.bias"][...] = 0.0
    tensors["2.weight"][...] = 0.0
    model.load_state_dict(tensors)
    ratios = fit(model, data, epochs=1, batch_size=ROWS).layers["update_ratio"]
    assert ratios["2.bias"] == [pytest.approx(1.0)]
    assert ratios["0.bias"] == [0.0]


@pytest.mark.parametrize("optimizer", ["lbfgs", optim.SGD(0.05, clip_norm=1e-3), optim.Adam(ema=0.9)])
def test_gradients_are_those_before_clipping_and_of_the_first_place_of_a_search(data, optimizer):
    first = fit(network(), data, optimizer=optim.SGD(1e-6), epochs=1, batch_size=ROWS)
    other = fit(network(), data, optimizer=optimizer, epochs=1, batch_size=ROWS)
    assert other.layers["gradient_norm"] == first.layers["gradient_norm"]
    assert other["gradient_norm"] == first["gradient_norm"]
    assert other.layers["dead"] == first.layers["dead"]


@pytest.mark.parametrize("every", [1, 7, 65, None])
def test_a_resumed_fit_has_the_same_records(data, tmp_path, every):
    whole = fit(network(), data, epochs=3)
    options = dict(checkpoint=tmp_path, checkpoint_every=every)
    fit(network(), data, epochs=3, max_steps=155, **options)
    model = network()
    resumed = fit(model, data, epochs=3, resume=True, **options)
    assert resumed.resumed_at == 155
    assert resumed.layers == whole.layers
    assert dict(resumed) == dict(whole)
    with pytest.raises(ValueError, match="record"):
        fit(network(), data, epochs=3, resume=True, record=False, **options)


def test_an_epoch_that_is_taken_again_counts_once(data):
    """Back at the beginning of the epoch, what its first try told is forgotten."""
    X, y = data
    options = dict(epochs=1)
    with pytest.warns(WhetWarning, match="went back"):
        history = fit(network(), (X, 30 * y), optimizer=optim.SGD(40.0), on_nonfinite="rollback", **options)
    other = fit(network(), (X, 30 * y), optimizer=optim.SGD(history["lr"][0]), **options)
    assert history.layers == other.layers


def test_a_table_and_pictures(data, tmp_path):
    history = fit(network(), data)
    frame = history.to_pandas()
    for kind, names in history.layers.items():
        for name, values in names.items():
            assert same_bits(frame[f"{kind} {name}"].to_numpy(), np.array(values))
    pyplot = pytest.importorskip("matplotlib.pyplot", reason="matplotlib is not installed: pip install 'whet[plot]'")
    pyplot.switch_backend("agg")
    axes = history.plot()
    titles = ["loss", "learning rate", "gradient norm", "gradient norm by parameter", "update ratio by parameter"]
    assert [each.get_title() for each in axes] == [*titles, "dead units", "saturated units"]
    assert [list(line.get_ydata()) for line in axes[3].get_lines()] == list(history.layers["gradient_norm"].values())
    assert axes[3].get_yscale() == axes[4].get_yscale() == "log"
    assert [text.get_text() for text in axes[5].get_legend().get_texts()] == ["1"]
    axes[0].figure.savefig(tmp_path / "history.png")
    pyplot.close("all")


def test_callbacks_see_the_norm_of_all(data):
    seen = []
    watch = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(logs["gradient_norm"]))
    history = fit(network(), data, callbacks=watch)
    assert seen == history["gradient_norm"]
    stop = callbacks.EarlyStopping(monitor="gradient_norm", mode="min")
    assert fit(network(), data, callbacks=stop).stopped_by in ("epochs", "EarlyStopping")


def test_wrong_arguments(data):
    with pytest.raises(TypeError, match="record"):
        fit(network(), data, record="all")
