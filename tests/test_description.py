"""Dataset.describe, against pandas."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whet import data
from whet.cli import main
from whet.data.columns import counted
from whet.data.rows import row_hashes

TABLE = data.Dataset(
    {
        "size": [1.5, np.nan, 3, 3, np.inf],
        "count": [1, 2, 2, 2, 7],
        "color": ["red", None, "blue", "blue", "red"],
        "same": ["x"] * 5,
        "nothing": [None] * 5,
        "almost": [1, None, 1, 1, 1],
    },
    ["a", "a", "b", "b", "a"],
    target="kind",
)


def test_what_it_tells():
    found = TABLE.describe()
    assert (found.rows, found.target, found.duplicates) == (5, "kind", 1)
    assert found.constant == ("same", "nothing")
    assert found.classes == {"a": 3, "b": 2}
    assert found.imbalance == 1.5
    assert found.leaks == {}
    columns = {column.name: column for column in found.columns}
    assert list(columns) == list(TABLE)
    size, color, nothing = columns["size"], columns["color"], columns["nothing"]
    assert (size.kind, size.missing, size.infinite, size.constant) == ("number", 1, 1, False)
    assert (size.minimum, size.mean, size.maximum) == (1.5, 2.5, 3)
    assert (color.kind, color.missing, color.distinct) == ("category", 1, 2)
    assert list(color.frequent.items()) == [("blue", 2), ("red", 2)]
    assert (nothing.missing, nothing.minimum, nothing.constant) == (5, None, True)
    assert (columns["count"].minimum, columns["count"].maximum) == (1, 7)


def test_it_is_printed_as_a_table():
    assert repr(TABLE.describe(test=TABLE.take([0, 1]))) == (
        "column         kind      missing  range\n"
        "size           number    1        1.5 to 3, mean 2.5, 1 infinite\n"
        "count          number    0        1 to 7, mean 2.8\n"
        "color          category  1        blue 2, red 2\n"
        "same           category  0        x 5\n"
        "nothing        number    5        no number\n"
        "almost         number    1        1 to 1, mean 1\n"
        "kind (target)  category  0        a 3, b 2\n"
        "\n"
        "rows                    5\n"
        "duplicate rows          1\n"
        "constant columns        same, nothing\n"
        "imbalance of classes    1.5 to 1\n"
        "rows of test also here  2 of 2"
    )
    words = data.Dataset({"a": [f"{letter}\n" + "x" * 30 for letter in "abcdefg"]})
    line = str(words.describe().columns[0])
    assert "\n" not in line
    assert line.endswith("..., 2 more") is False
    assert line.endswith("... 1, 2 more")
    assert max(map(len, line.split(", "))) <= 26


def test_it_can_be_written_as_json():
    found = TABLE.describe(test=TABLE).to_dict()
    again = json.loads(json.dumps(found, allow_nan=False))
    assert again == found
    assert again["columns"][0]["name"] == "size"
    assert (again["leaks"], again["others"], again["constant"]) == ({"test": 5}, {"test": 5}, ["same", "nothing"])
    assert again["imbalance"] == 1.5


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        ([True, False, True, True], {"True": 3, "False": 1}),
        ([0, 1, 1, 1] * 2, {"1": 6, "0": 2}),
        ([0.0, 1.0, 1.0, np.nan] * 2, {"1": 4, "0": 2}),
        ([0.5, 1.5] * 4, None),
        (range(30), None),
    ],
)
def test_classes_are_those_that_a_tabular_model_would_learn(labels, classes):
    found = data.Dataset({"x": np.arange(len(labels))}, list(labels)).describe()
    assert found.classes == classes
    assert (found.imbalance is None) == (classes is None)


CELLS = st.sampled_from([0.0, -0.0, 1.0, np.nan, None, 2.5])
WORDS = st.sampled_from(["a", "b", None, ""])


@settings(deadline=None)
@given(st.lists(st.tuples(CELLS, WORDS, st.integers(0, 1)), min_size=1, max_size=12), st.data())
def test_duplicates_and_leaks_as_pandas_finds_them(rows, draw):
    frame = pd.DataFrame(rows, columns=["a", "b", "y"]).astype({"a": float, "b": object})
    cut = draw.draw(st.integers(0, len(rows)))
    table = data.Dataset({name: frame[name].to_numpy() for name in "ab"}, frame["y"].to_numpy(), target="y")
    first, second = table.take(slice(0, cut)), table.take(slice(cut, None))
    found = first.describe(test=second)
    assert found.duplicates == frame[:cut].duplicated().sum()
    keys = [tuple("missing" if pd.isna(cell) else cell for cell in row) for row in frame[["a", "b"]].to_numpy()]
    assert found.leaks == {"test": sum(key in keys[:cut] for key in keys[cut:])}
    assert found.others == {"test": len(rows) - cut}


def test_leaks_are_found_whatever_the_other_table_is(tmp_path):
    penguins = data.load_penguins()
    train, test = data.split(penguins, sizes=(300, 44))
    again = test.with_columns({}).take(slice(None))
    leaky = data.Dataset(
        {name: np.concatenate([train[name][:5], test[name]]) for name in train.names}, labels=["other"] * 49
    )
    assert train.describe(test=again).leaks == {"test": 0}
    frame = pd.DataFrame({name: leaky[name] for name in leaky.names})
    frame.to_csv(tmp_path / "leaky.csv", index=False)
    others = {"same": leaky, "frame": frame, "file": tmp_path / "leaky.csv", "train": train}
    assert train.describe(**others).leaks == {"same": 5, "frame": 5, "file": 5, "train": 300}
    with pytest.raises(ValueError, match=r"columns among .*, got \['island'\]"):
        train.describe(test=test.drop(["island"]))
    with pytest.raises(TypeError, match=r"expected a table.*got int"):
        train.describe(test=3)


def test_numbers_are_equal_in_every_dtype():
    def hashes(column):
        return row_hashes([np.asarray(column)], np.zeros(len(column), np.uint64)).tolist()

    small = [0, 1, 100, 2**20]
    for dtype in ("i4", "u4", "i8", "u8", "f4", "f8", ">i8"):
        assert hashes(np.array(small, dtype)) == hashes(np.array(small, float)), dtype
    for dtype in ("i8", "u8"):
        large = [2**53 + step for step in range(6)] + [2**63 - 1, 2**63 - 2]
        assert len(set(hashes(np.array(large, dtype)))) == 8, "integers beyond those that float64 holds"
    assert hashes(np.array([2**60])) == hashes(np.array([2.0**60]))
    assert len(set(hashes(np.arange(100_000)))) == 100_000
    columns = [np.array([1, 2]), np.array([2, 1])]
    assert len(set(row_hashes(columns, np.zeros(2, np.uint64)).tolist())) == 2, "the order of columns counts"


def test_means_and_medians_of_numbers_whose_sum_is_infinite():
    huge = data.Dataset({"a": [1.5e308, 1.5e308, 1.1e308, 1.3e308]})
    assert huge.describe().columns[0].mean == pytest.approx(1.35e308)
    json.dumps(huge.describe().to_dict(), allow_nan=False)
    for strategy, fill in (("median", 1.4e308), ("mean", 1.35e308)):
        assert data.Imputer(strategy).fit(huge.matrix(np.float64)).fill_ == (pytest.approx(fill),)


def test_tables_without_rows_or_features():
    empty = data.Dataset({"a": np.empty(0), "b": np.empty(0, object)})
    found = empty.describe(test=empty)
    assert (found.rows, found.duplicates, found.leaks) == (0, 0, {"test": 0})
    assert repr(found)
    alone = data.Dataset({"a": [1, 2]}, [0, 0]).select([])
    assert alone.describe().duplicates == 1


def test_the_most_frequent_of_many_categories_are_those_of_a_full_sort(rng):
    for most_common in (1, 3, 1000):
        cells = [f"c{i}" for i in rng.integers(0, 40, 300)] + ["often"] * most_common + [None, None]
        column = data.Dataset({"c": cells}).describe().columns[0]
        wanted = pd.Series(cells).value_counts().sort_index().sort_values(ascending=False, kind="stable")
        assert (column.distinct, column.missing) == (len(wanted), 2)
        assert list(column.frequent.items()) == list(wanted.items())[:10]
        assert list(counted(np.array(cells, object)).items()) == list(wanted.items())


def test_a_column_of_equal_categories_is_constant():
    kinds = (
        ({"c": ["a"] * 3}, True),
        ({"c": ["a", None]}, False),
        ({"c": [None, None]}, True),
        ({"c": ["a", "b"]}, False),
    )
    for columns, constant in kinds:
        assert data.Dataset(columns).describe().columns[0].constant is constant


def test_the_command_line_describes_tables(tmp_path, capsys):
    penguins = data.load_penguins()
    frame = pd.DataFrame({name: penguins[name] for name in penguins})
    for name, rows in (("train.csv", frame[:300]), ("test.csv", frame[290:])):
        rows.to_csv(tmp_path / name, index=False)
    frame[:300].to_parquet(tmp_path / "train.parquet")
    for name in ("train.csv", "train.parquet"):
        test = str(tmp_path / "test.csv")
        assert main(["info", str(tmp_path / name), "--target", "species", "--test", test]) == 0
        out = capsys.readouterr().out
        assert "species (target)" in out
        assert "10 of 54" in out
    assert main(["info", "--target", "species"]) == 1
    assert "--target and --test go with a table" in capsys.readouterr().err
    assert main(["info", str(tmp_path / "nosuch.csv")]) == 1
    assert "nosuch.csv: No such file" in capsys.readouterr().err
