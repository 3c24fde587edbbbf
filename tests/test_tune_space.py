"""What trials are drawn from."""

import numpy as np
import pytest

from whet import tune
from whet.tune.space import Space


def test_what_is_drawn_depends_on_seed_index_and_name_alone():
    space = {"a": tune.uniform(-1, 1), "b": tune.log_uniform(1e-4, 1), "c": tune.integers(2, 5)}
    one = [Space(space).draw(3, i) for i in range(500)]
    fewer = [Space({"b": space["b"], "d": tune.uniform(0, 1)}).draw(3, i)["b"] for i in range(500)]
    assert fewer == [each["b"] for each in one]
    assert one != [Space(space).draw(4, i) for i in range(500)]
    a, b, c = ([each[name] for each in one] for name in "abc")
    assert abs(np.mean(a)) < 0.1
    assert min(a) < -0.98
    assert max(a) > 0.98
    assert abs(np.mean(np.log10(b)) + 2) < 0.2
    assert min(b) >= 1e-4
    assert max(b) <= 1
    assert np.bincount(c)[2:].min() > 90
    assert set(c) == {2, 3, 4, 5}


def test_integers_may_be_drawn_by_their_logarithm():
    drawn = [Space({"n": tune.integers(1, 1000, log=True)}).draw(0, i)["n"] for i in range(2000)]
    assert 1 <= min(drawn) <= max(drawn) <= 1000
    assert np.mean(np.array(drawn) <= 31) == pytest.approx(0.5, abs=0.05)


def test_no_trial_is_drawn_twice():
    space = Space({"a": tune.choice([1, 2, 3]), "b": tune.integers(1, 4)})
    drawn = space.random(0, 64)
    assert len(drawn) == 12
    assert sorted(map(str, drawn)) == sorted(map(str, space.grid()))
    assert [each["b"] for each in space.grid()][:5] == [1, 2, 3, 4, 1]


def test_choices_of_an_array_show_as_python_has_them():
    assert repr(tune.choice(np.array(["relu", "tanh"]))) == "choice(['relu', 'tanh'])"
    assert repr(tune.choice(np.array([1, 2]))) == "choice([1, 2])"


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        (lambda: tune.choice([]), ValueError),
        (lambda: tune.choice([1, 1]), ValueError),
        (lambda: tune.choice("relu"), TypeError),
        (lambda: tune.uniform(1, 1), ValueError),
        (lambda: tune.log_uniform(0, 1), ValueError),
        (lambda: tune.integers(3, 2), ValueError),
        (lambda: tune.integers(0, 2, log=True), ValueError),
        (lambda: tune.integers(0.5, 2), TypeError),
        (lambda: Space({}), TypeError),
        (lambda: Space({"network.hidden": 3}), ValueError),
        (lambda: Space({"optimizer.lr.x": 3}), ValueError),
        (lambda: Space({"lr": tune.uniform(0, 1)}).grid(), ValueError),
    ],
)
def test_what_is_no_space(wrong, error):
    with pytest.raises(error, match=r"^\[\w+\] expected"):
        wrong()
