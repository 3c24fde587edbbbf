"""Embeddings, batch normalisation and modules beyond a hundred steps of each layer: what they refuse, what stays."""

from __future__ import annotations

import numpy as np
import pytest

import whet
from tests.helpers import same_bits
from whet import nn, optim

TOLERANCE = {"float32": 1e-4, "float64": 1e-9}


@pytest.mark.parametrize(("padding", "bag"), [(None, None), (2, None), (-1, None), (None, "mean"), (None, "sum")])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_embeddings_are_those_of_torch(torch, dtype, padding, bag):
    rng = np.random.default_rng(5)

    class Ours(nn.Module):
        def __init__(self):
            self.table = nn.EmbeddingBag(9, 4, bag) if bag else nn.Embedding(9, 4, padding)
            self.head = nn.Linear(4 if bag else 12, 2)

        def forward(self, x):
            return self.head(self.table(x[:, 1:]).flatten())

    class Theirs(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.table = torch.nn.EmbeddingBag(9, 4, mode=bag) if bag else torch.nn.Embedding(9, 4, padding)
            self.head = torch.nn.Linear(4 if bag else 12, 2)

        def forward(self, x):
            return self.head(self.table(x[:, 1:].long()).flatten(1))

    ours, theirs = Ours().to(dtype).initialize(1), Theirs().to(getattr(torch, dtype))
    theirs.load_state_dict({name: torch.tensor(value.copy()) for name, value in ours.state_dict().items()})
    trainer = whet.Trainer(ours, "mse", optim.SGD(lr=0.05))
    optimizer = torch.optim.SGD(theirs.parameters(), lr=0.05)
    for _ in range(100):
        x = rng.integers(0, 9, size=(300, 4)).astype(dtype)
        y = rng.normal(size=(300, 2)).astype(dtype)
        loss = trainer.step(x, y)
        optimizer.zero_grad()
        their_loss = ((theirs(torch.tensor(x)) - torch.tensor(y)) ** 2).mean()
        their_loss.backward()
        optimizer.step()
        assert loss == pytest.approx(their_loss.item(), rel=TOLERANCE[dtype])
    np.testing.assert_allclose(
        ours.state_dict()["head.weight"], theirs.head.weight.detach().numpy(), rtol=TOLERANCE[dtype] * 10
    )


@pytest.mark.parametrize("wrong", [-1.0, 9.0, 2.5, 1e12])
def test_an_embedding_refuses_what_is_no_row_of_its_table(wrong):
    model = nn.Sequential(nn.Embedding(9, 4), nn.Flatten(), nn.Linear(8, 1))
    x = np.zeros((30, 2))
    x[7, 1] = wrong
    for rows, row in ((x, 7), (np.concatenate([np.zeros((5000, 2)), x]), 5007)):  # of many rows, a later block's
        with pytest.raises(
            ValueError, match=f"whole numbers from 0 to 8, got another one, first in row {row}, column 1"
        ):
            model.predict(rows)
    before = model.fingerprint()
    with pytest.raises(ValueError, match=r"\[fit\] expected whole numbers .* first in row 7 of X, number 1"):
        model.fit(x, x[:, 0], loss="mse", epochs=3, batch_size=4)
    with pytest.raises(ValueError, match=r"\[validation_data\] expected whole numbers"):
        model.fit(np.zeros((9, 2)), np.zeros(9), loss="mse", validation_data=(x, x[:, 0]))
    assert model.fingerprint() == before


def test_frozen_parameters_and_buffers_stay_as_they_are():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(200, 5)), rng.normal(size=(200, 1))
    model = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 1)).initialize(0)
    model[0].weight.requires_grad = False
    before = {name: value.copy() for name, value in model.state_dict().items()}
    model.fit(x, y, loss="mse", optimizer=optim.AdamW(lr=0.1, weight_decay=0.5), epochs=3)
    after = model.state_dict()
    assert same_bits(after["0.weight"], before["0.weight"])
    assert all(not np.array_equal(after[name], before[name]) for name in before if name != "0.weight")
    model[0].weight.requires_grad = True
    model.fit(x, y, loss="mse", epochs=1)
    assert not np.array_equal(model.state_dict()["0.weight"], before["0.weight"])


def test_a_batch_norm_used_twice_follows_its_batches_in_order(torch):
    class Ours(nn.Module):
        def __init__(self):
            self.norm, self.head = nn.BatchNorm1d(3), nn.Linear(3, 1)

        def forward(self, x):
            return self.head(self.norm(self.norm(x) * 3.0 + 5.0))

    class Theirs(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.norm, self.head = torch.nn.BatchNorm1d(3), torch.nn.Linear(3, 1)

        def forward(self, x):
            return self.head(self.norm(self.norm(x) * 3.0 + 5.0))

    ours, theirs = Ours().to("float64").initialize(0), Theirs().double()
    theirs.load_state_dict({name: torch.tensor(value.copy()) for name, value in ours.state_dict().items()})
    x = np.random.default_rng(0).normal(size=(40, 3))
    whet.Trainer(ours, "mse", optim.SGD(lr=0.0)).step(x, x[:, 0])
    theirs(torch.tensor(x))
    for name in ("norm.running_mean", "norm.running_var", "norm.num_batches_tracked"):
        np.testing.assert_allclose(ours.state_dict()[name], theirs.state_dict()[name].numpy(), rtol=1e-12)


def test_statistics_of_a_batch_norm_that_nothing_trains_follow_too(torch):
    """It stands before all that is trained: no gradient comes by."""
    x = np.random.default_rng(0).normal(2.0, 3.0, size=(64, 5))
    ours = nn.Sequential(nn.BatchNorm1d(5, affine=False), nn.Linear(5, 300), nn.Tanh(), nn.Linear(300, 1)).to("float64")
    theirs = torch.nn.BatchNorm1d(5, affine=False).double()
    trainer = whet.Trainer(ours, "mse", optim.SGD(lr=0.01))
    for _ in range(3):
        trainer.step(x, x[:, 0])
        theirs(torch.tensor(x))
    for name in ("running_mean", "running_var", "num_batches_tracked"):
        np.testing.assert_allclose(ours.state_dict()[f"0.{name}"], theirs.state_dict()[name].numpy(), rtol=1e-12)


def test_a_single_row_leaves_the_running_statistics_as_they_are():
    model = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 1)).initialize(0)
    model.fit(np.ones((1, 3)), np.ones(1), loss="mse", epochs=3)
    np.testing.assert_array_equal(model.state_dict()["0.running_var"], np.ones(3))
    assert model.state_dict()["0.num_batches_tracked"] == 0


def test_names_of_every_module_are_refused_for_layers():
    for name in ("history", "children", "forward", "predict", "dtype", "_flat"):
        with pytest.raises(ValueError, match=f"expected another name for a layer: every module has '{name}'"):
            setattr(nn.Sequential(), name, nn.Linear(2, 2))


def test_what_is_frozen_is_frozen_in_files_too(tmp_path):
    model = nn.MLP(3, (4,), 1).initialize(0)
    model[0].weight.requires_grad = False
    model.save(tmp_path / "model.whet")
    loaded = whet.load(tmp_path / "model.whet")
    assert [p.requires_grad for _, p in loaded.named_parameters()] == [False, True, True, True]


def test_weights_too_large_for_float32_are_refused():
    model = nn.Linear(3, 1).to("float64")
    model.load_state_dict({"weight": np.full((1, 3), 1e200), "bias": [0.0]})
    with pytest.raises(ValueError, match=r"\[to\] weight has a number too large for float32"):
        model.to("float32")
    assert model.dtype == "float64"


def test_a_table_larger_than_float32_counts_is_refused():
    with pytest.raises(ValueError, match=r"num_embeddings of at most 2\*\*24"):
        nn.Embedding(2**24 + 1, 1)


class Tied(nn.Module):
    def __init__(self):
        self.inner = nn.Linear(4, 4)
        self.blocks = [nn.Residual(self.inner, nn.Tanh()), nn.Residual(self.inner, nn.Tanh())]

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return x


def test_shared_layers_have_one_weight(tmp_path):
    model = Tied()
    assert [name for name, _ in model.named_parameters()] == ["inner.weight", "inner.bias"]
    x = np.random.default_rng(0).normal(size=(50, 4))
    assert model.fit(x, x**2, loss="mse", epochs=3)["loss"][-1] > 0
    model.save(tmp_path / "tied.whet")
    np.testing.assert_array_equal(whet.load(tmp_path / "tied.whet").predict(x), model.predict(x))


def test_shared_layers_have_the_names_of_pytorch(torch):
    class Theirs(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.first = torch.nn.Linear(4, 4)
            self.second = self.first

    class Ours(nn.Module):
        def __init__(self):
            self.first = nn.Linear(4, 4)
            self.second = self.first

        def forward(self, x):
            return self.second(self.first(x))

    model, theirs = Ours(), Theirs()
    assert list(model.state_dict()) == list(theirs.state_dict())
    theirs.load_state_dict({name: torch.tensor(np.array(value)) for name, value in model.state_dict().items()})
    other = Ours().initialize(3)
    other.load_state_dict({name: value.numpy() for name, value in theirs.state_dict().items()})
    assert other.fingerprint() == model.fingerprint()
    one_name = {name: value for name, value in model.initialize(5).state_dict().items() if "second" in name}
    other.load_state_dict(one_name)
    assert other.fingerprint() == model.fingerprint()
    both = {name: np.array(value) for name, value in model.state_dict().items()}
    both["second.bias"] += 1
    with pytest.raises(ValueError, match=r"expected second.bias to have the values of the same parameter's others"):
        other.load_state_dict(both)
    assert other.fingerprint() == model.fingerprint()
    with pytest.raises(ValueError, match=r"missing: first.weight, second.weight; not known: none"):
        other.load_state_dict({"first.bias": both["first.bias"]})


def test_bins_are_quantiles():
    x = np.column_stack([np.arange(100.0), np.arange(100) % 2])
    first, second = nn.compute_bins(x, 4)
    assert first == pytest.approx([0, 24.75, 49.5, 74.25, 99])
    assert second == [0, 0.5, 1]
    with pytest.raises(ValueError, match="more than one value, first violated in column 1"):
        nn.compute_bins(np.column_stack([x[:, 0], np.ones(100)]), 4)


@pytest.mark.parametrize(
    ("before", "dim", "sizes"), [((12,), 1, (3, 4)), ((12,), -1, (3, -1)), ((3, 4), 2, (2, 2)), ((4, 3), -2, (2, 2))]
)
def test_an_axis_is_cut_as_in_pytorch(torch, before, dim, sizes):
    x = np.arange(24.0).reshape(2, 12)
    model = nn.Sequential(nn.Reshape(before), nn.Unflatten(dim, sizes))
    want = torch.nn.Unflatten(dim, sizes)(torch.tensor(x.reshape(2, *before)))
    assert model.predict(x).shape == tuple(want.shape)
    np.testing.assert_array_equal(model.predict(x), want.numpy())


@pytest.mark.parametrize(
    ("dim", "sizes", "words"),
    [
        (0, (3, 4), "an axis behind the rows, got 0"),
        (2, (3, 4), r"one of the axes of rows of shape \(12,\), got dim 2"),
        (1, (5, -1), r"sizes that make 12, got \(5, -1\)"),
        (1, (3, 5), "sizes that make 12"),
    ],
)
def test_an_axis_is_not_cut_otherwise(dim, sizes, words):
    with pytest.raises(ValueError, match=words):
        nn.Sequential(nn.Unflatten(dim, sizes)).predict(np.zeros((2, 12)))
