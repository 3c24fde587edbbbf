"""L-BFGS: the iterations of torch.optim.LBFGS, and what a search means for all that a step promises."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import whet
from tests.helpers import outputs_of_both_sets
from tests.test_optimizers import TOLERANCE, assert_near, copies
from whet import losses, nn, optim, schedules

every_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])


def regression(dtype="float64"):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 6))
    y = X @ rng.normal(size=(6, 2)) + [1.0, -2.0] + 0.1 * rng.normal(size=(300, 2))
    return X.astype(dtype), y.astype(dtype)


def classes(dtype="float64"):
    X, y = regression(dtype)
    return X, (y[:, 0] + np.random.default_rng(1).normal(size=300) > 0).astype(np.int64)


def tanh_network(dtype="float64"):
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 2)).to(dtype).initialize(0)


class Peer:
    """The same layers in PyTorch with its L-BFGS."""

    def __init__(self, torch, model, loss, X, y, options):
        self.module = torch.nn.Linear(6, 2)
        if isinstance(model, nn.Sequential):
            self.module = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.Tanh(), torch.nn.Linear(8, 2))
        self.module.to(getattr(torch, model.dtype))
        self.module.load_state_dict({name: torch.tensor(value) for name, value in copies(model).items()})
        for name, parameter in self.module.named_parameters():
            parameter.requires_grad_(dict(model.named_parameters())[name].requires_grad)
        moving = [p for p in self.module.parameters() if p.requires_grad]
        self.optimizer = torch.optim.LBFGS(moving, **{"line_search_fn": "strong_wolfe", **options})
        self.loss = {"mse": torch.nn.functional.mse_loss, "cross_entropy": torch.nn.functional.cross_entropy}[loss]
        self.x, self.y = torch.tensor(X), torch.tensor(y)

    def _closure(self):
        self.optimizer.zero_grad()
        loss = self.loss(self.module(self.x), self.y)
        loss.backward()
        return loss

    def step(self):
        return self.optimizer.step(self._closure).item()

    def values(self):
        return {name: value.detach().numpy() for name, value in self.module.state_dict().items()}


def assert_peer(torch, model, loss, X, y, steps, **options):
    peer = Peer(torch, model, loss, X, y, options)
    trainer = whet.Trainer(model, loss, optim.LBFGS(**options))
    for _ in range(steps):
        assert trainer.step(X, y) == pytest.approx(peer.step(), rel=TOLERANCE[model.dtype])
    assert_near(model.state_dict(), peer.values(), model.dtype)


@every_dtype
def test_linear_regression_is_that_of_torch(wide_torch, dtype):
    assert_peer(wide_torch, nn.Linear(6, 2).to(dtype).initialize(0), "mse", *regression(dtype), 20)


def test_logistic_regression_is_that_of_torch(wide_torch):
    assert_peer(wide_torch, nn.Linear(6, 2).to("float64").initialize(0), "cross_entropy", *classes(), 20)


def test_a_network_is_that_of_torch(wide_torch):
    """Forty iterations: rounding grows along them, in both."""
    assert_peer(wide_torch, tanh_network(), "mse", *regression(), 20, max_iter=2)


def test_drawn_settings_are_those_of_torch(wide_torch):
    @settings(max_examples=12, deadline=None, derandomize=True, database=None)
    @given(
        lr=st.floats(0.2, 1.5),
        max_iter=st.integers(1, 9),
        max_eval=st.none() | st.integers(1, 12),
        history_size=st.integers(1, 12),
        tolerance_grad=st.sampled_from([1e-7, 1e-2]),
        tolerance_change=st.sampled_from([1e-9, 1e-3]),
        line_search_fn=st.sampled_from(["strong_wolfe", "strong_wolfe", None]),
    )
    def check(lr, **options):
        if options["line_search_fn"] is None:
            lr *= 0.1  # without a search, a step that is too long ends nowhere
        assert_peer(wide_torch, tanh_network(), "mse", *regression(), 4, lr=lr, **options)

    check()


def test_many_iterations_forget_old_changes(wide_torch):
    """More changes in one step than are remembered, from the first step and from a later one on."""
    assert_peer(wide_torch, tanh_network(), "mse", *regression(), 2, history_size=3, max_iter=15)
    assert_peer(wide_torch, tanh_network(), "mse", *regression(), 5, history_size=5, max_iter=5)


def test_frozen_parameters_take_no_part(wide_torch):
    model = tanh_network()
    model[0].weight.requires_grad = False
    before = copies(model)["0.weight"]
    assert_peer(wide_torch, model, "mse", *regression(), 4, max_iter=5)
    np.testing.assert_array_equal(model.state_dict()["0.weight"], before)


def test_coefficients_are_those_of_scikit_learn():
    linear_model = pytest.importorskip("sklearn.linear_model", reason="scikit-learn is not installed")
    X, y = classes()
    model = nn.Linear(6, 1).to("float64").initialize(0)
    model.fit(X, y, loss="bce_with_logits", optimizer=optim.LBFGS(tolerance_change=1e-14), epochs=5)
    peer = linear_model.LogisticRegression(C=np.inf, solver="lbfgs", tol=1e-10, max_iter=1000).fit(X, y)
    np.testing.assert_allclose(model.state_dict()["weight"], peer.coef_, atol=1e-5)
    np.testing.assert_allclose(model.state_dict()["bias"], peer.intercept_, atol=1e-5)


def test_fit_takes_all_rows_and_tells_the_loss_before_each_step():
    X, y = regression()
    model = tanh_network()
    start = whet.Trainer(model, "mse").evaluate(X, y)["loss"]
    history = model.fit(X, y, loss="mse", optimizer="lbfgs", epochs=3)
    trainer = whet.Trainer(again := tanh_network(), "mse", "lbfgs")
    assert history["loss"] == [trainer.step(X, y) for _ in range(3)]
    assert history["loss"][0] == pytest.approx(start, rel=1e-12)
    assert history["loss"][2] < history["loss"][0]
    assert model.fingerprint() == again.fingerprint()
    with pytest.raises(ValueError, match="takes all 300 rows in a step"):
        tanh_network().fit(X, y, loss="mse", optimizer="lbfgs", batch_size=32)


def test_gradients_are_those_before_the_step():
    X, y = regression()
    searched, plain = tanh_network(), tanh_network()
    one, two = whet.Trainer(searched, "mse", "lbfgs"), whet.Trainer(plain, "mse", optim.GD(lr=0.0))
    one.step(X, y), two.step(X, y)
    for name, gradient in two.gradients().items():
        np.testing.assert_array_equal(one.gradients()[name], gradient)


def test_rates_may_follow_a_schedule_and_an_average_the_steps():
    X, y = regression()
    model = tanh_network()
    history = model.fit(
        X, y, loss="mse", optimizer=optim.LBFGS(lr=schedules.Cosine(1.0), max_iter=3, ema=0.5), epochs=6
    )
    assert history["loss"][-1] < history["loss"][0]
    assert history["lr"][-1] < history["lr"][0]


@every_dtype
def test_a_saved_or_copied_trainer_goes_on_with_the_same_bits(tmp_path, dtype):
    X, y = regression(dtype)
    options = {"max_iter": 4, "history_size": 6, "ema": 0.9}
    whole, first, second = (tanh_network(dtype) for _ in range(3))
    one, two, three = (whet.Trainer(each, "mse", optim.LBFGS(**options)) for each in (whole, first, second))
    for _ in range(7):
        one.step(X, y)
    for step in range(3):
        two.step(X, y)
        if step == 0:  # before the memory is full
            two = pickle.loads(pickle.dumps(two))
    two.save(tmp_path / "trainer.whet")
    three.load(tmp_path / "trainer.whet")
    three.save(tmp_path / "trainer.whet")  # before a step of its own
    three.load(tmp_path / "trainer.whet")
    for _ in range(4):
        three.step(X, y)
    assert three.steps == 7
    assert second.fingerprint() == whole.fingerprint()


def test_a_file_of_more_memory_is_refused(tmp_path):
    X, y = regression()
    trainer = whet.Trainer(tanh_network(), "mse", optim.LBFGS(max_iter=5))
    trainer.step(X, y)
    trainer.save(tmp_path / "trainer.whet")
    other = whet.Trainer(tanh_network(), "mse", optim.LBFGS(history_size=1))
    with pytest.raises(ValueError, match="numbers of at most 1 pairs"):
        other.load(tmp_path / "trainer.whet")


def test_a_start_without_a_finite_loss_changes_nothing():
    X, y = regression()
    model = tanh_network()
    trainer = whet.Trainer(model, "mse", "lbfgs")
    trainer.step(X, y)
    before = model.fingerprint()
    with pytest.raises(whet.NonFiniteError, match="loss stopped being finite"):
        trainer.step(X, y * 1e200)
    assert model.fingerprint() == before
    assert trainer.steps == 1


def test_a_gradient_that_is_not_finite_changes_nothing():
    def function(prediction, target):
        return np.ones(len(prediction)), np.full_like(prediction, np.inf)

    model = tanh_network()
    before = model.fingerprint()
    with pytest.raises((whet.NonFiniteError, ValueError), match=r"gradient|NaN|inf"):
        whet.Trainer(model, losses.NumPyLoss(function), "lbfgs").step(*regression())
    assert model.fingerprint() == before


@every_dtype
def test_a_search_comes_back_from_where_there_is_no_loss(dtype):
    """The first attempt is so far out that exp overflows."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 3)).astype(dtype)
    y = rng.poisson(np.exp(X @ [0.5, -0.3, 0.2])).astype(dtype)
    model = nn.Linear(3, 1).to(dtype).initialize(0)
    history = model.fit(X, y, loss="poisson", optimizer=optim.LBFGS(lr=3000.0, max_eval=60), epochs=4)
    assert np.isfinite(history["loss"]).all()
    assert history["loss"][-1] < history["loss"][0]
    plain = nn.Linear(3, 1).to(dtype).initialize(0)
    plain.fit(X, y, loss="poisson", optimizer="lbfgs", epochs=4)
    np.testing.assert_allclose(model.state_dict()["weight"], plain.state_dict()["weight"], atol=1e-3)


def squares(prediction, target):
    difference = prediction - target
    return (difference**2).mean(axis=1), 2 * difference / difference.shape[1]


@pytest.mark.parametrize("calls", [1, 2, 5])
def test_what_stops_a_step_leaves_it_untaken(calls):
    """Whatever stops a search in the middle, the next step is as if it had not been tried."""
    X, y = regression()
    left = math.inf

    def function(prediction, target):
        nonlocal left
        left -= 1
        if left < 0:
            raise KeyboardInterrupt
        return squares(prediction, target)

    def trainer():
        model = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 2))
        options = {"max_iter": 5, "history_size": 3}
        return whet.Trainer(model.to("float64").initialize(0), losses.NumPyLoss(function), optim.LBFGS(**options))

    whole, stopped = trainer(), trainer()
    for step in range(4):
        whole.step(X, y)
        if step == 2:
            before, left = stopped.model.fingerprint(), calls - 1
            with pytest.raises(KeyboardInterrupt):
                stopped.step(X, y)
            assert stopped.model.fingerprint() == before
            left = math.inf
        stopped.step(X, y)
    assert stopped.steps == 4
    assert stopped.model.fingerprint() == whole.model.fingerprint()


def test_a_step_sees_one_function():
    """A rate of 0 looks at the same place again and again: it is the same, with its dropout."""
    X, y = regression()
    seen = []

    def function(prediction, target):
        seen.append(prediction.copy())
        return squares(prediction, target)

    model = nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.5), nn.Linear(8, 2)).to("float64").initialize(0)
    trainer = whet.Trainer(model, losses.NumPyLoss(function), optim.LBFGS(lr=0.0, max_iter=2))
    trainer.step(X, y)
    first = len(seen)
    trainer.step(X, y)
    assert first > 2
    assert all(np.array_equal(each, seen[0]) for each in seen[:first])
    assert not np.array_equal(seen[first], seen[0])


def test_running_statistics_take_in_a_batch_once_a_step():
    X, y = regression()
    model = nn.Sequential(nn.BatchNorm1d(6, momentum=0.5), nn.Linear(6, 2)).to("float64").initialize(0)
    trainer = whet.Trainer(model, "mse", optim.LBFGS(max_iter=4))
    for _ in range(3):
        trainer.step(X, y)
    values = model.state_dict()
    assert values["0.num_batches_tracked"] == 3
    np.testing.assert_allclose(values["0.running_mean"], (1 - 0.5**3) * X.mean(axis=0), rtol=1e-12)


def test_rows_without_weight_do_not_count():
    X, y = regression()
    some = np.r_[np.ones(200), np.zeros(100)]
    weighted, cut = tanh_network(), tanh_network()
    whet.Trainer(weighted, "mse", "lbfgs").step(X, y, sample_weight=some)
    whet.Trainer(cut, "mse", "lbfgs").step(X[:200], y[:200])
    assert_near(weighted.state_dict(), copies(cut), "float32")
    before = weighted.fingerprint()
    model = whet.Trainer(weighted, "mse", "lbfgs")
    with pytest.raises((ValueError, whet.NonFiniteError)):
        model.step(np.full_like(X, np.nan), y)
    assert weighted.fingerprint() == before


def test_threads_change_no_bit():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(3000, 40)), rng.normal(size=(3000, 3))
    before, prints = whet.get_num_threads(), set()
    try:
        for threads in (1, 2, 3):
            whet.set_num_threads(threads)
            model = nn.MLP(40, (150, 70), 3, "tanh", dropout=0.1).initialize(1)
            model.fit(X, y, loss="mse", optimizer=optim.LBFGS(max_iter=6, history_size=4), epochs=2)
            prints.add(model.fingerprint())
    finally:
        whet.set_num_threads(before)
    assert len(prints) == 1


PROGRAM = """
import numpy as np
from whet import nn, optim
X = (np.arange(9000) * 2654435761 % 2**32 / 2**31 - 1).reshape(300, 30)
for dtype in ("float32", "float64"):
    for search in ("strong_wolfe", None):
        model = nn.MLP(30, (33, 19), 2, "gelu").to(dtype).initialize(1)
        optimizer = optim.LBFGS(0.7, max_iter=8, history_size=5, line_search_fn=search)
        model.fit(X, X[:, :2] * X[:, 2:4], loss="mse", optimizer=optimizer, epochs=3)
        print(model.fingerprint())
"""


def test_avx2_and_avx512_give_the_same_search():
    assert len(outputs_of_both_sets(PROGRAM)) == 1


def test_arguments_are_checked():
    for wrong, word in [
        (lambda: optim.LBFGS(max_iter=0), "max_iter"),
        (lambda: optim.LBFGS(max_eval=0), "max_eval"),
        (lambda: optim.LBFGS(history_size=2**40), "history_size"),
        (lambda: optim.LBFGS(line_search_fn="armijo"), "line_search_fn"),
        (lambda: optim.LBFGS(tolerance_grad=-1.0), "tolerance_grad"),
        (lambda: optim.LBFGS(l1=0.1), "l1"),
        (lambda: optim.LBFGS(clip_norm=1.0), "clip_norm"),
        (lambda: optim.LBFGS(clip_value=1.0), "clip_value"),
        (lambda: optim.LBFGS(centralize=True), "centralize"),
        (lambda: optim.LBFGS(normalize=True), "normalize"),
        (lambda: optim.LBFGS(noise=0.1), "noise"),
        (lambda: optim.LBFGS(max_norm=1.0), "max_norm"),
        (lambda: optim.LBFGS(accumulate=2), "accumulate"),
        (lambda: optim.LBFGS(groups={"*": {"lr": 0.1}}), "groups"),
        (lambda: whet.ops.update("lbfgs", np.ones(2), np.ones(2), {}), "expected one of gd"),
    ]:
        with pytest.raises(ValueError, match=word):
            wrong()
    with pytest.raises(TypeError, match="max_iter"):
        optim.LBFGS(max_iter=2.5)
