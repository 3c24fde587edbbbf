"""Finite differences in float64 against the reverse pass, on random directed acyclic graphs."""

from __future__ import annotations

import numpy as np
import pytest

import whet
from tests import reference
from tests.reference_losses import targets_of
from whet import _core, losses, nn, optim

STEP = 1e-6

ACTIVATIONS = [entry["name"] for entry in _core.activations()]
# Those of all numbers that grow no faster than their argument, so that any may follow any other.
TAME = [name for name in ACTIVATIONS if name not in ("exp", "log", "sqrt", "square", "reciprocal")]


class Listed(nn.Module):
    """A listed activation, with options."""

    def __init__(self, name, settings):
        self.name, self.settings = name, settings

    def forward(self, x):
        return x.apply(self.name, **self.settings)


def layer_of(name, rng):
    """The layer of a listed activation, with one of the settings that its formula is tested with."""
    settings = reference.ACTIVATIONS[name].settings
    return Listed(name, settings[int(rng.integers(len(settings)))])


class RandomGraph(nn.Module):
    """`size` random operations, each on values that came before; the last takes all that is left over."""

    def __init__(self, rng, size, inputs, outputs):
        self.recipe = []
        widths, unused = [inputs], {0}
        layers = 0
        for _ in range(size):
            kinds = ["linear", "activation", "dropout", "sum", "concatenate"]
            kind = rng.choice(kinds, p=[0.3, 0.3, 0.1, 0.15, 0.15])
            source = int(rng.integers(len(widths)))
            if kind == "sum":
                partners = [i for i, width in enumerate(widths) if width == widths[source]]
                sources = [source, int(rng.choice(partners))]
            elif kind == "concatenate":
                sources = [int(i) for i in rng.integers(len(widths), size=int(rng.integers(2, 4)))]
            else:
                sources = [source]
            width, layer = widths[source], None
            if kind == "linear":
                width, layer = int(rng.integers(1, 7)), f"layer{layers}"
                setattr(self, layer, nn.Linear(widths[source], width, bias=bool(rng.integers(4))))
            elif kind == "activation":
                layer = f"layer{layers}"
                setattr(self, layer, layer_of(str(rng.choice(TAME)), rng))
            elif kind == "dropout":
                layer = f"layer{layers}"
                setattr(self, layer, nn.Dropout(float(rng.uniform())))
            elif kind == "concatenate":
                width = sum(widths[i] for i in sources)
            layers += layer is not None
            unused -= set(sources)
            unused.add(len(widths))
            widths.append(width)
            self.recipe.append((kind, layer, sources))
        self.rest = sorted(unused)
        self.head = nn.Linear(sum(widths[i] for i in self.rest), outputs)

    def forward(self, x):
        values = [x]
        for kind, layer, sources in self.recipe:
            operands = [values[i] for i in sources]
            if kind == "sum":
                values.append(operands[0] + operands[1])
            elif kind == "concatenate":
                values.append(nn.concatenate(operands))
            else:
                values.append(getattr(self, layer)(operands[0]))
        rest = [values[i] for i in self.rest]
        return self.head(rest[0] if len(rest) == 1 else nn.concatenate(rest))


class SharedLayer(nn.Module):
    """One layer used three times: its gradient is the sum over its uses."""

    def __init__(self):
        self.layer, self.act, self.head = nn.Linear(4, 4), nn.Tanh(), nn.Linear(8, 2)

    def forward(self, x):
        once = self.act(self.layer(x))
        twice = self.act(self.layer(once))
        return self.head(nn.concatenate([twice, self.layer(twice) + x]))


def check_gradients(model, loss, x, y, rng):
    """Each parameter's gradient along a random direction, and at a few single elements."""

    def first_step():
        """At a learning rate of zero; the first step of a seed always drops the same elements."""
        trainer = whet.Trainer(model, loss=loss, optimizer=optim.SGD(lr=0.0), seed=0)
        return trainer, trainer.step(x, y)

    start = {name: value.copy() for name, value in model.state_dict().items()}
    trainer, reported = first_step()
    gradients = {name: value.copy() for name, value in trainer.gradients().items()}
    assert list(gradients) == list(start)

    def loss_at(state):
        model.load_state_dict(state)
        return first_step()[1]

    if not any(isinstance(module, nn.Dropout) for _, module in model.named_modules()):
        assert trainer.evaluate(x, y)["loss"] == pytest.approx(reported, rel=1e-12)
    for name, value in start.items():
        assert gradients[name].shape == value.shape
        directions = [rng.normal(size=value.shape)]
        for _ in range(3):
            directions.append(np.zeros(value.shape))
            directions[-1].flat[rng.integers(value.size)] = 1
        for direction in directions:
            above = loss_at({**start, name: value + STEP * direction})
            below = loss_at({**start, name: value - STEP * direction})
            slope = (above - below) / (2 * STEP)
            assert np.sum(gradients[name] * direction) == pytest.approx(slope, rel=2e-6, abs=2e-8), name


@pytest.mark.parametrize("seed", range(24))
def test_random_graphs(seed):
    rng = np.random.default_rng(seed)
    inputs, outputs, rows = int(rng.integers(1, 6)), int(rng.integers(1, 4)), int(rng.integers(1, 9))
    model = RandomGraph(rng, size=int(rng.integers(2, 14)), inputs=inputs, outputs=outputs).to("float64")
    model.initialize(seed)
    check_gradients(model, "mse", rng.normal(size=(rows, inputs)), rng.normal(size=(rows, outputs)), rng)


@pytest.mark.parametrize(
    ("name", "kind", "settings"),
    [
        pytest.param(name, kind, settings, id=f"{name}-{kind}-{i}")
        for name, formula in reference.LOSSES.items()
        for kind in formula.targets
        for i, settings in enumerate(formula.settings)
    ],
)
def test_every_loss(rng, name, kind, settings):
    loss = type(losses.get(name))(**settings)
    model = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3)).to("float64")
    model.initialize(1)
    check_gradients(model, loss, rng.normal(size=(11, 5)), targets_of(kind, 11, 3, rng), rng)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation(rng, name):
    """After a product, where it is fused with it, and on its own, behind a sum."""
    fused, alone = layer_of(name, rng), layer_of(name, rng)

    class Both(nn.Module):
        def __init__(self):
            self.linear, self.fused, self.alone, self.head = nn.Linear(3, 6), fused, alone, nn.Linear(6, 2)

        def forward(self, x):
            positive = nn.Softplus()  # where logarithm and root are
            h = self.fused(positive(self.linear(x)) if name not in TAME else self.linear(x))
            return self.head(self.alone(positive(h + self.linear(x)) if name not in TAME else h + self.linear(x)))

    model = Both().to("float64")
    model.initialize(2)
    check_gradients(model, "mse", rng.normal(size=(9, 3)), rng.normal(size=(9, 2)), rng)


def test_a_residual_block_and_a_concatenation(rng):
    class Residual(nn.Module):
        def __init__(self):
            self.first, self.act, self.second = nn.Linear(4, 4), nn.GELU(), nn.Linear(4, 4)
            self.head = nn.Linear(8, 3)

        def forward(self, x):
            block = x + self.second(self.act(self.first(x)))
            return self.head(nn.concatenate([block, x]))

    model = Residual().to("float64")
    model.initialize(3)
    check_gradients(model, "cross_entropy", rng.normal(size=(6, 4)), rng.integers(0, 3, 6), rng)


def test_a_layer_used_more_than_once(rng):
    model = SharedLayer().to("float64")
    model.initialize(4)
    check_gradients(model, "mse", rng.normal(size=(5, 4)), rng.normal(size=(5, 2)), rng)


def test_a_value_added_to_itself(rng):
    class Double(nn.Module):
        def __init__(self):
            self.first, self.head = nn.Linear(3, 3), nn.Linear(9, 1)

        def forward(self, x):
            h = self.first(x)
            h = h + h
            return self.head(nn.concatenate([h, h, x + h]))

    model = Double().to("float64")
    model.initialize(5)
    check_gradients(model, "mse", rng.normal(size=(7, 3)), rng.normal(size=(7, 1)), rng)


@pytest.mark.parametrize("rows", [1, 255, 256, 257, 700])
def test_batches_of_several_slabs(rng, rows):
    model = nn.MLP(6, (9, 5), 2, activation="silu").to("float64")
    model.initialize(6)
    check_gradients(model, "mse", rng.normal(size=(rows, 6)), rng.normal(size=(rows, 2)), rng)


@pytest.mark.parametrize(("loss", "kind"), [("mse", "number"), ("cross_entropy", "class")])
def test_sample_weights(rng, loss, kind):
    """A weight of 2 is the same as the row standing there twice."""
    model = nn.MLP(4, (8,), 3, activation="tanh").to("float64")
    model.initialize(7)
    x, y = rng.normal(size=(6, 4)), targets_of(kind, 6, 3, rng)
    weights = np.array([1.0, 2.0, 0.0, 1.0, 3.0, 0.0])
    start = {name: value.copy() for name, value in model.state_dict().items()}
    results = []
    for features, targets, given in [
        (x, y, {"sample_weight": weights}),
        (np.repeat(x, weights.astype(int), axis=0), np.repeat(y, weights.astype(int), axis=0), {}),
    ]:
        model.load_state_dict(start)
        trainer = whet.Trainer(model, loss=loss, optimizer=optim.SGD(lr=0.1), seed=0)
        value = trainer.step(features, targets, **given)
        results.append((value, {name: g.copy() for name, g in trainer.gradients().items()}))
    (weighted, by_weight), (repeated, by_copy) = results
    assert weighted == pytest.approx(repeated, rel=1e-12)
    for name in by_weight:
        np.testing.assert_allclose(by_weight[name], by_copy[name], rtol=1e-9, atol=1e-13)
