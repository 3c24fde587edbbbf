"""Training, validation and test parts, against scikit-learn's sizes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse
import sklearn.model_selection
from hypothesis import given
from hypothesis import strategies as st

from tests import reference
from tests.helpers import same_bits
from whet import data

ROWS = st.integers(2, 120)


@given(ROWS, st.floats(0.01, 0.99), st.integers(0, 2**32))
def test_a_split_is_a_partition_with_scikit_learns_sizes(rows, fraction, seed):
    try:
        want = sklearn.model_selection.train_test_split(np.arange(rows), test_size=fraction)
    except ValueError:
        with pytest.raises(ValueError, match="at least one row"):
            data.split_indices(rows, (1 - fraction, fraction), seed=seed)
        return
    train, test = data.split_indices(rows, (1 - fraction, fraction), seed=seed)
    assert (len(train), len(test)) == tuple(map(len, want))
    assert sorted([*train, *test]) == list(range(rows))
    again = data.split_indices(rows, (1 - fraction, fraction), seed=seed)
    assert same_bits(train, again[0])


def test_a_split_stays_the_same_for_ever():
    assert [part.tolist() for part in data.split_indices(8, (4, 2, 2), seed=42)] == GOLDEN
    train, test = data.split(np.array([[1, 2], [2, 3], [3, 4], [4, 5]]), sizes=(0.8, 0.2), seed=42)
    assert (len(train), len(test)) == (3, 1)
    seeds = {tuple(data.split_indices(30, (0.5, 0.5), seed=seed)[0].tolist()) for seed in range(20)}
    assert len(seeds) == 20


GOLDEN = [[4, 1, 3, 5], [0, 2], [6, 7]]


@pytest.mark.parametrize(("seed", "rows"), [(0, 1), (42, 8), (2**64 - 1, 100), (7, 1001)])
def test_the_order_is_that_of_the_formula(seed, rows):
    (order,) = data.split_indices(rows, (rows,), seed=seed)
    assert order.tolist() == reference.permutation(seed, stream=3, epoch=0, n=rows)


def test_every_row_is_as_likely_in_each_part():
    counts = np.zeros(10)
    for seed in range(2000):
        counts[data.split_indices(10, (0.7, 0.3), seed=seed)[1]] += 1
    assert abs(counts - 600).max() < 5 * np.sqrt(2000 * 0.3 * 0.7)


@given(st.lists(st.integers(0, 4), min_size=10, max_size=80), st.floats(0.2, 0.8), st.integers(0, 999))
def test_strata_keep_their_proportions(labels, fraction, seed):
    parts = data.split_indices(len(labels), (1 - fraction, fraction), seed=seed, stratify=labels)
    assert sorted(np.concatenate(parts)) == list(range(len(labels)))
    for part in parts:
        for label in set(labels):
            ideal = labels.count(label) * len(part) / len(labels)
            assert abs(sum(labels[row] == label for row in part) - ideal) < 1


def test_strata_in_three_parts_with_missing_ones():
    labels = np.array(["a", "b", None] * 20, object)
    parts = data.split_indices(60, (0.5, 0.25, 0.25), stratify=labels, seed=3)
    assert [[sum(labels[part] == label) for label in ("a", "b", None)] for part in parts] == [
        [10] * 3,
        [5] * 3,
        [5] * 3,
    ]
    assert any(np.diff(parts[0]) < 0), "rows are shuffled"
    table = data.Dataset({"x": np.arange(60)}, np.where(labels == None, "c", labels), target="y")  # noqa: E711
    assert [part.rows for part in data.split(table, sizes=(0.5, 0.5), stratify="y")] == [30, 30]


@given(st.lists(st.integers(0, 9), min_size=10, max_size=80), st.integers(0, 99))
def test_groups_stay_together(groups, seed):
    groups = np.array([*groups, 10, 11, 12])
    parts = data.split_indices(len(groups), (0.6, 0.2, 0.2), seed=seed, groups=groups)
    assert sorted(np.concatenate(parts)) == list(range(len(groups)))
    assert all(len(part) for part in parts)
    held = [set(groups[part]) for part in parts]
    assert sum(map(len, held)) == len(set(groups))


def test_no_part_is_empty_where_groups_are_large():
    for seed in range(10):
        parts = data.split_indices(20, (16, 4), groups=np.arange(20) // 10, seed=seed)
        assert [len(part) for part in parts] == [10, 10]


def test_equal_groups_meet_the_sizes():
    parts = data.split_indices(100, (0.6, 0.2, 0.2), groups=np.arange(100) // 5, seed=1)
    assert [len(part) for part in parts] == [60, 20, 20]


@pytest.mark.parametrize(
    "time",
    [
        np.array([3.0, 1.0, 2.0, 1.0]),
        ["2023", "2021", "2022", "2021"],
        np.array(["2023-01-01", "2021-01-01", "2022-01-01", "2021-01-01"], "datetime64[D]"),
        pd.Series(pd.to_datetime(["2023-01-01", "2021-01-01", "2022-01-01", "2021-01-01"])),
    ],
)
def test_ordered_in_time(time):
    for seed in (0, 1):
        early, late = data.split_indices(4, (3, 1), time=time, seed=seed)
        assert (early.tolist(), late.tolist()) == ([1, 3, 2], [0])


def test_a_split_gives_parts_like_the_data(rng):
    X, y = rng.normal(size=(10, 2)), list(range(10))
    (X_train, y_train), (X_test, y_test) = data.split(X, y, sizes=(7, 3), seed=1)
    index = data.split_indices(10, (7, 3), seed=1)
    assert same_bits(X_train, X[index[0]])
    assert y_test.tolist() == index[1].tolist()
    assert len(y_train) == 7
    assert X_test.shape == (3, 2)
    for frame in (pd.DataFrame({"y": y}), pl.DataFrame({"y": y})):
        train, test = data.split(frame, sizes=(7, 3), seed=1)
        assert type(train) is type(frame)
        assert list(test["y"]) == index[1].tolist()
    table = data.Dataset({"a": y, "g": ["p", "q"] * 5})
    train, test = data.split(table, sizes=(0.5, 0.5), groups="g")
    assert {*train["g"]}.isdisjoint(test["g"])


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (dict(rows=4, sizes=(0.8, 0.3)), ValueError, "at most 1"),
        (dict(rows=4, sizes=(0.8, -0.2)), ValueError, "above 0"),
        (dict(rows=4, sizes=(0.8, 1)), TypeError, "all fractions or all numbers"),
        (dict(rows=4, sizes=(3, 2)), ValueError, r"4 rows.*3, 2"),
        (dict(rows=4, sizes=()), TypeError, "sizes"),
        (dict(rows=4, sizes=("a",)), TypeError, "sizes"),
        (dict(rows=1), ValueError, "at least one row"),
        (dict(rows=0), ValueError, "at least one row"),
        (dict(rows=2.5), TypeError, "float"),
        (dict(rows=4, seed=-1), ValueError, r"seed.*-1"),
        (dict(rows=4, seed=True), TypeError, "bool"),
        (dict(rows=4, stratify=[0, 1]), ValueError, r"stratify.*\(4,\).*\(2,\)"),
        (dict(rows=4, groups=[0, 0, 0, 0]), ValueError, r"2 groups.*1"),
        (dict(rows=4, time=[0, 1, None, 3]), ValueError, "1 missing"),
        (dict(rows=4, time=np.array(["2020", "NaT"] * 2, "datetime64[Y]")), ValueError, "2 missing"),
        (dict(rows=4, time=range(4), groups=range(4)), ValueError, "groups and time"),
    ],
)
def test_splits_that_are_refused(arguments, error, words):
    with pytest.raises(error, match=words):
        data.split_indices(**arguments)


def test_data_that_cannot_be_split():
    for arguments, error in [
        ((), TypeError),
        ((4,), TypeError),
        (([1, 2], [1]), ValueError),
        ((np.float64(3),), TypeError),
    ]:
        with pytest.raises(error):
            data.split(*arguments)
    with pytest.raises(ValueError, match="'g'"):
        data.split(np.eye(4), groups="g")


@pytest.mark.parametrize("library", [pd, pl])
def test_series_and_columns_of_frames(library):
    frame = library.DataFrame({"a": range(8), "b": ["p", "q"] * 4})
    (X, y), (_, other) = data.split(frame[["a"]], frame["b"], sizes=(0.5, 0.5))
    assert type(y) is library.Series
    assert [("p", "q")[a % 2] for a in X["a"]] == list(y)
    assert len(other) == 4
    assert sorted(data.split(frame, sizes=(0.5, 0.5), stratify="b")[0]["b"]) == ["p", "p", "q", "q"]


def test_mappings_and_float32_sizes():
    columns = {"a": [1, 2, 3, 4, 5], "b": ["x", None, "y", "z", "w"]}
    train, test = data.split(columns, sizes=(np.float32(0.8), np.float32(0.2)))
    assert {name: len(cells) for name, cells in train.items()} == {"a": 4, "b": 4}
    assert columns["b"][test["a"][0] - 1] == test["b"][0]


@pytest.mark.parametrize(
    ("item", "sizes", "error", "words"),
    [
        ([1, 2], 0.8, TypeError, "sequence.*float"),
        ([[1, 2], [3]], (0.5, 0.5), ValueError, "one length"),
        (scipy.sparse.eye_array(4).tocsr(), (0.5, 0.5), TypeError, "toarray"),
        ({"a": [1, 2], "b": [1]}, (0.5, 0.5), ValueError, "same rows"),
    ],
)
def test_data_and_sizes_that_are_explained(item, sizes, error, words):
    with pytest.raises(error, match=words):
        data.split(item, sizes=sizes)
