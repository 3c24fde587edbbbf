"""Losses that are sums, beside PyTorch's: values, gradients, steps, whole fits; what a fit reports of them."""

from __future__ import annotations

import math

import numpy as np
import pytest

import whet
from tests import torch_losses
from tests.reference_losses import LOSSES, targets_of
from whet import losses, nn, ops, optim


def in_torch(torch, name, prediction, target):
    """The sum over all elements, and the gradient."""
    p = torch.tensor(prediction, requires_grad=True)
    t = torch.tensor(target.astype(np.int64) if target.dtype.kind == "i" else target)
    function = torch_losses.function(torch, name)
    # The mean over one element is its loss; of cross-entropy, an element is a row.
    wide = name != "cross_entropy"
    elements = [(slice(i, i + 1), slice(j, j + 1)) for i in range(len(p)) for j in range(p.shape[1] if wide else 1)]
    loss = sum(function(p[each], t[each]) if wide else function(p[each[:1]], t[each[:1]]) for each in elements)
    loss.backward()
    return loss.item(), p.grad.numpy()


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("columns", [2, 5])
def test_sums_are_those_of_torch(torch, rng, name, columns):
    prediction = rng.normal(size=(7, columns))
    target = targets_of(LOSSES[name].targets[0], 7, columns, rng)
    loss = type(losses.get(name))(reduction="sum")
    value, gradient = ops.loss(loss, prediction, target)
    want, slope = in_torch(torch, name, prediction, target)
    assert value == pytest.approx(want, rel=1e-9)
    np.testing.assert_allclose(gradient, slope, rtol=1e-9, atol=1e-12)


def test_pytorch_calls_the_mean_over_rows_of_divergences_batchmean(torch, rng):
    prediction, target = rng.normal(size=(6, 4)), rng.dirichlet(np.ones(4), size=6)
    tensor = torch.tensor(prediction, requires_grad=True)
    want = torch.nn.KLDivLoss(reduction="batchmean")(tensor, torch.tensor(target))
    want.backward()
    value, gradient = ops.loss(losses.KLDivLoss(reduction="batchmean"), prediction, target)
    assert value == pytest.approx(want.item(), rel=1e-12)
    np.testing.assert_allclose(gradient, tensor.grad.numpy(), rtol=1e-12)


def row_losses_in_torch(torch, loss, prediction, y):
    """What each row adds to a sum."""
    functional = torch.nn.functional
    if loss.name == "cross_entropy":
        weight = torch.tensor(loss.weight or (1.0,) * prediction.shape[1], dtype=prediction.dtype)
        target, smoothing = torch.tensor(y.astype(np.int64)), loss.label_smoothing
        return functional.cross_entropy(prediction, target, weight, reduction="none", label_smoothing=smoothing)
    function = functional.kl_div if loss.name == "kl_div" else functional.mse_loss
    return function(prediction, torch.tensor(y), reduction="none").sum(dim=1)


CASES = [
    losses.MSELoss(reduction="sum"),
    losses.CrossEntropyLoss(reduction="sum"),
    losses.CrossEntropyLoss(weight=(0.5, 1.0, 2.0), label_smoothing=0.1, reduction="sum"),
    losses.KLDivLoss(reduction="sum"),
    losses.FunctionLoss(lambda p, t: (p - t) * (p - t), reduction="sum"),
    losses.NumPyLoss(lambda p, t: (((p - t) ** 2).sum(axis=1), 2 * (p - t)), reduction="sum"),
]


@pytest.mark.parametrize("loss", CASES, ids=lambda loss: loss.name)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("accumulate", [1, 3])
def test_steps_are_those_of_torch(torch, rng, loss, weighted, accumulate):
    model = nn.Linear(4, 3).to("float64").initialize(1)
    theirs = torch.nn.Linear(4, 3).double()
    theirs.load_state_dict({key: torch.tensor(np.array(value)) for key, value in model.state_dict().items()})
    optimizer = torch.optim.SGD(theirs.parameters(), lr=0.001)
    trainer = whet.Trainer(model, loss, optim.SGD(lr=0.001, accumulate=accumulate))
    kind = LOSSES[loss.name].targets[0] if loss.name in LOSSES else "number"
    for step in range(1, 7):
        X, y = rng.normal(size=(300, 4)), targets_of(kind, 300, 3, rng)
        weights = rng.uniform(0.5, 2, size=300) if weighted else np.ones(300)
        value = trainer.step(X, y, weights if weighted else None)
        want = (row_losses_in_torch(torch, loss, theirs(torch.tensor(X)), y) * torch.tensor(weights)).sum()
        assert value == pytest.approx(want.item(), rel=1e-9)
        want.backward()
        if step % accumulate == 0:
            optimizer.step()
            optimizer.zero_grad()
    for key, value in theirs.state_dict().items():
        np.testing.assert_allclose(model.state_dict()[key], value.numpy(), rtol=1e-9, atol=1e-12)


def test_a_fit_reports_the_sum_over_the_epoch(rng):
    X, y = rng.normal(size=(100, 3)), rng.normal(size=(100, 2))
    histories = []
    for reduction, lr in (("mean", 0.64), ("sum", 0.01)):  # 32 rows of 2 columns
        model = nn.Linear(3, 2).to("float64").initialize(1)
        loss = losses.MSELoss(reduction=reduction)
        histories.append(
            model.fit(X[:96], y[:96], loss=loss, optimizer=optim.SGD(lr=lr), batch_size=32, epochs=3,
                      validation_data=(X, y), seed=3)
        )  # fmt: skip
        value = model.evaluate(X, y)["loss"]
        assert value == pytest.approx(histories[-1]["val_loss"][-1], rel=1e-12)
    mean, total = histories
    np.testing.assert_allclose(np.array(total["loss"]) / (96 * 2), mean["loss"], rtol=1e-9)
    np.testing.assert_allclose(np.array(total["val_loss"]) / (100 * 2), mean["val_loss"], rtol=1e-9)


def test_members_are_summed_too(rng):
    class Members(nn.Module):
        def __init__(self):
            self.all = nn.Linear(3, 8)

        def forward(self, x):
            return self.all(x).reshape(4, 2)

    X, y = rng.normal(size=(10, 3)), rng.normal(size=(10, 2))
    model = Members().to("float64").initialize(0)
    mean = whet.Trainer(model, losses.MemberLoss("mse")).evaluate(X, y)["loss"]
    assert whet.Trainer(model, losses.MemberLoss("mse", reduction="sum")).evaluate(X, y)["loss"] == pytest.approx(
        mean * 10 * math.prod((4, 2)), rel=1e-9
    )


def test_a_file_keeps_the_reduction(tmp_path, rng):
    model = nn.Linear(3, 2)
    model.fit(rng.normal(size=(20, 3)), rng.normal(size=(20, 2)), loss=losses.L1Loss(reduction="sum"), epochs=1)
    model.save(tmp_path / "m.whet")
    assert whet.load(tmp_path / "m.whet")._loss == losses.L1Loss(reduction="sum")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: losses.MSELoss(reduction="none"), r"\[MSELoss\] expected a reduction of mean, sum, got 'none'"),
        (lambda: losses.MSELoss(reduction="batchmean"), "expected a reduction of mean, sum, got 'batchmean'"),
        (lambda: losses.KLDivLoss(reduction=None), "expected a reduction of mean, sum, batchmean, got None"),
    ],
)
def test_other_reductions_are_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()
