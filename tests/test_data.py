"""Tables: reading and cleaning, against pandas."""

from __future__ import annotations

import csv
import gzip
import io
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import whet
from tests.helpers import layouts, same_bits, same_column
from whet import data

TABLE = "size,color,count\n1.5,red,3\n,blue,4\n-2e3,,5\n"


def read(content, **options):
    return data.read_csv(io.StringIO(content), **options)


# Reading

WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), max_size=6)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False).map(repr) | st.integers(-(10**6), 10**6).map(str)
CELLS = st.lists(WORDS, min_size=3, max_size=3) | st.lists(
    NUMBERS | st.sampled_from(sorted(data.MISSING)), min_size=3, max_size=3
)


@given(st.lists(CELLS, min_size=1, max_size=4))
def test_csv_is_read_as_pandas_reads_it(columns):
    file = io.StringIO()
    writer = csv.writer(file)
    names = [f"c{number}" for number in range(len(columns))] + ["end"]
    writer.writerows([names, *zip(*columns, ["1", "2", "3"], strict=True)])
    table = read(file.getvalue())
    frame = pd.read_csv(
        io.StringIO(file.getvalue()),
        keep_default_na=False,
        na_values=sorted(data.MISSING),
        dtype=str,
    )
    assert table.names == tuple(frame.columns)
    for name in names:
        strings = [None if pd.isna(cell) else cell for cell in frame[name]]
        try:
            numbers = [np.nan if cell is None else float(cell) for cell in strings]
            is_number = not any("_" in (cell or "") for cell in strings)
        except ValueError:
            is_number = False
        assert table.kinds[name] == ("number" if is_number else "category")
        assert same_column(table[name], numbers if is_number else strings)


def test_a_table():
    table = read(TABLE, target="count")
    assert table.kinds == {"size": "number", "color": "category"}
    assert (table.rows, table.columns, table.target) == (3, 2, "count")
    assert same_column(table["size"], [1.5, np.nan, -2000])
    assert same_column(table["color"], ["red", "blue", None])
    assert table.missing == {"size": 1, "color": 1}
    assert same_column(table.labels, [3, 4, 5])
    assert repr(table) == "Dataset(3 rows, 1 number, 1 category, 2 missing cells, target 'count')"


@pytest.mark.parametrize("missing", sorted(data.MISSING))
def test_missing_cells(missing):
    table = read(f"a,b\n1,x\n{missing},{missing}\n")
    assert same_column(table["a"], [1, np.nan])
    assert same_column(table["b"], ["x", None])


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        ("1 -2.5 3e-7 .5", "number"),
        ("1 NA ?", "number"),
        ("NA ?", "number"),
        ("1 2 x", "category"),
        ("1_000 2", "category"),
        ("0x10 2", "category"),
        ("True False", "category"),
        ("1 2 inf", "number"),
    ],
)
def test_kinds_follow_from_the_cells(cells, kind):
    table = read("a,b\n" + "".join(f"{cell},0\n" for cell in cells.split()))
    assert table.kinds["a"] == kind


def test_kinds_can_be_given():
    table = read("zip,n\n02139,1\n10001,NA\n", kinds={"zip": "category"})
    assert same_column(table["zip"], ["02139", "10001"])
    with pytest.raises(ValueError, match=r"'zip'.*numbers.*text in row 1"):
        read("zip,n\n02139,1\nA1,2\n", kinds={"zip": "number"})


FORMS = {
    "plain": TABLE.encode(),
    "CRLF": TABLE.replace("\n", "\r\n").encode(),
    "byte order mark": b"\xef\xbb\xbf" + TABLE.encode(),
    "gzip": gzip.compress(TABLE.encode()),
    "no newline at the end": TABLE.rstrip().encode(),
    "empty lines": TABLE.replace("\n", "\n\n").encode(),
    "blanks": TABLE.replace(",", " ,  ").encode(),
    "quotes": b'"size","color","count"\n"1.5","red","3"\n"","blue","4"\n"-2e3","","5"\n',
}


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_one_table(form, tmp_path, monkeypatch):
    path, want = tmp_path / "table.csv", read(TABLE)
    path.write_bytes(FORMS[form])
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(FORMS[form])))
    with path.open("rb") as opened:
        buffer = io.BytesIO(FORMS[form])
        for source in (path, str(path), "-", opened, buffer):
            table = data.read_csv(source)
            assert table.names == want.names, source
            assert all(same_column(table[name], want[name]) for name in want), source
        assert not opened.closed, "a file belongs to whoever opened it"
        assert not buffer.closed


def test_quoted_cells_and_other_dialects():
    table = read('a;"b ""x""";c\n"one\ntwo";"x;y";é\n', delimiter=";")
    assert table.names == ("a", 'b "x"', "c")
    assert [table[name][0] for name in table] == ["one\ntwo", "x;y", "é"]
    assert data.read_csv(io.BytesIO("a,b\né,1\n".encode("latin-1")), encoding="latin-1")["a"][0] == "é"
    assert read("1,2\n3,4\n", names=["a", "b"]).rows == 2
    assert read("a,b\n").rows == 0
    assert read(",b\n1,2\n").names == ("column 1", "b")


BROKEN = {
    "empty": (b"", ValueError, ["empty"]),
    "only empty lines": (b"\n\n", ValueError, ["empty"]),
    "too few cells": (b"a,b\n1,2\nsecret\n", ValueError, ["line 3", "2 cells", "got 1"]),
    "too many cells": (b"a,b\n1,2\n\n1,secret,3\n", ValueError, ["line 4", "2 cells", "got 3"]),
    "names twice": (b"a,b,a\n1,2,3\n", ValueError, ["'a'", "more than once"]),
    "other bytes": (b"a,b\nsecret\xff,2\n", ValueError, ["utf-8", "read_csv"]),
    "UTF-16 without its mark": ("a,b\nsecret,2\n".encode("utf-16-le"), ValueError, ["zero bytes", "encoding"]),
    "open quote": (b'a,b\n1,"secret\n', ValueError, ["line 2"]),
    "half a gzip": (gzip.compress(b"a,b\n" + bytes(range(48, 58)) * 99)[:40], OSError, ["gzip"]),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_csv_is_explained_without_its_cells(broken, tmp_path):
    content, error, words = BROKEN[broken]
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    with pytest.raises(error) as raised:
        data.read_csv(path)
    assert type(raised.value) is error
    for word in ["table.csv", *words]:
        assert word in str(raised.value)
    assert "secret" not in str(raised.value)


def test_a_byte_order_mark_hides_no_quote(tmp_path):
    path = tmp_path / "table.csv"
    for encoding in ("utf-8-sig", "utf-16"):
        path.write_text('"a, b",c\n1,2\n', encoding=encoding)
        assert data.read_csv(path, encoding="utf-8" if encoding == "utf-8-sig" else encoding).names == ("a, b", "c")


def test_what_cannot_be_read(tmp_path):
    with pytest.raises(FileNotFoundError, match="nosuch"):
        data.read_csv(tmp_path / "nosuch.csv")
    with pytest.raises(IsADirectoryError):
        data.read_csv(tmp_path)
    with pytest.raises(TypeError, match="int"):
        data.read_csv(3)
    with pytest.raises(ValueError, match="latin9000"):
        data.read_csv(io.BytesIO(b"a\n1\n"), encoding="latin9000")
    with pytest.raises(ValueError, match=r"'a', 'b'.*'c'"):
        read("a,b\n1,2\n", target="c")


def test_npz(tmp_path, rng):
    X, y = rng.normal(size=(6, 2, 3)), np.arange(6)
    np.savez(tmp_path / "m.npz", X=X, y=y)
    table = data.read_npz(tmp_path / "m.npz")
    assert same_bits(table.matrix(np.float64), X.reshape(6, 6))
    assert same_column(table.labels, y)
    np.savez(tmp_path / "c.npz", size=X[:, 0, 0], color=y.astype(str), images=X)
    assert data.read_npz(tmp_path / "c.npz", features="images", labels="color").kinds["x5"] == "number"
    np.savez(tmp_path / "v.npz", size=X[:, 0, 0], color=y.astype(str))
    assert data.read_npz(tmp_path / "v.npz").kinds == {"size": "number", "color": "category"}
    with pytest.raises(ValueError, match=r"'z'.*'size'"):
        data.read_npz(tmp_path / "v.npz", labels="z")
    np.savez(tmp_path / "z.npz", X=np.zeros((0, 3)))
    assert (data.read_npz(tmp_path / "z.npz").rows, data.read_npz(tmp_path / "z.npz").columns) == (0, 3)
    np.savez(tmp_path / "o.npz", X=np.array([{}, None]))
    (tmp_path / "t.npz").write_bytes((tmp_path / "m.npz").read_bytes()[:200])
    (tmp_path / "e.npz").write_bytes(b"")
    np.save(tmp_path / "a.npy", X)
    for name in ("o.npz", "t.npz", "e.npz", "a.npy"):
        with pytest.raises(ValueError, match=name):
            data.read_npz(tmp_path / name)


def test_bundled_tables():
    housing, penguins = data.load_california_housing(), data.load_penguins()
    assert (housing.rows, housing.columns, housing.target) == (20640, 9, "median_house_value")
    assert sum(housing.missing.values()) == housing.missing["total_bedrooms"] == 207
    assert [name for name, kind in housing.kinds.items() if kind == "category"] == ["ocean_proximity"]
    assert (penguins.rows, penguins.columns, set(penguins.labels)) == (344, 6, {"Adelie", "Chinstrap", "Gentoo"})
    assert sum(penguins.missing.values()) == 19


# Tables in memory; test_frames.py has those of other libraries


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: data.Dataset({"a": [1, 2], "b": [1]}), ValueError, "'a' with 2, 'b' with 1"),
        (lambda: data.Dataset({}), ValueError, "at least one column"),
        (lambda: data.Dataset({"a": [[1, 2], [3, 4]]}), TypeError, r"'a'.*list in row 0"),
        (lambda: data.Dataset({"a": np.eye(2)}), ValueError, r"'a'.*one dimension.*\(2, 2\)"),
        (lambda: data.Dataset({1: [1, 2]}), TypeError, r"name of a column.*int"),
        (lambda: data.Dataset({"a": 3}), TypeError, r"'a'.*int"),
        (lambda: data.Dataset({"a": "text"}), TypeError, r"'a'.*str"),
        (lambda: data.Dataset({"a": {0: 5, 1: 6}}), TypeError, r"'a'.*dict"),  # not its keys
        (lambda: data.Dataset({"a": {5, 6}}), TypeError, r"'a'.*set"),
        (lambda: data.Dataset([{"a": 1}, [2]]), TypeError, r"all mappings, got list in row 1"),
        (lambda: data.Dataset([{"a": [1]}]), TypeError, r"'a'.*list in row 0"),
        (lambda: data.Dataset([np.eye(2), np.ones(2)]), ValueError, "several shapes"),
        (lambda: data.Dataset({"a": [1]}, kinds=["number"]), TypeError, "kinds as a mapping.*list"),
        (lambda: data.Dataset({"a": [1]})["b"], KeyError, "this table has a"),
        (lambda: data.Dataset({"a": [1]})[:1], TypeError, "take selects rows"),
        (lambda: data.Dataset({"a": [10**400, 0.5]}), ValueError, r"'a'.*float64"),
        (lambda: data.Dataset([1, 2, 3]), ValueError, r"rows, columns.*\(3,\)"),
        (lambda: data.Dataset(np.eye(2), names=["a"]), ValueError, "2 names, got 1"),
        (lambda: data.Dataset(np.eye(2), names=["a", "a"]), ValueError, "'a'"),
        (lambda: data.Dataset({"a": [1]}, [1], target="a"), ValueError, "'a' is one of the features"),
        (lambda: data.Dataset({"a": [1]}, kinds={"a": "float"}), ValueError, "'number' or 'category', got 'float'"),
        (lambda: data.Dataset({"a": [1, 2]}, [1, 2, 3]), ValueError, "'a' with 2, 'target' with 3"),
        (lambda: data.Dataset({"a": [1]}).select(["b"]), ValueError, r"\['a'\].*\['b'\]"),
        (lambda: data.Dataset({"a": [1]}).drop("a"), TypeError, "list of column names"),
        (lambda: data.Dataset({"a": [1]}).take([1]), IndexError, r"^\[data\] expected numbers of rows or a mask of 1"),
        (lambda: data.Dataset({"a": ["x"]}).matrix(), ValueError, r"\['a'\].*Preprocessor"),
        (lambda: data.Dataset({"a": [1.0, 1e300]}).matrix(), ValueError, r"'a'.*row 1.*float32"),
        (lambda: data.as_dataset(3), TypeError, r"expected a table.*int"),
        (lambda: data.as_dataset(None), TypeError, r"expected a table.*NoneType"),
        (lambda: data.as_dataset(pd.Series([1, 2])), TypeError, r"expected a table.*Series"),
        (lambda: data.Dataset.from_frame([1]), TypeError, r"expected a table.*list"),
        (lambda: data.as_dataset(pd.DataFrame([[1, 2]], columns=["a", "a"])), ValueError, "a"),
        (lambda: data.as_dataset({"a": [1]}, wanted=["a", "b"]), ValueError, r"\['b'\].*missing.*\['a'\]"),
    ],
)
def test_tables_that_are_refused(make, error, words):
    with pytest.raises(error, match=words) as raised:
        make()
    assert type(raised.value) is error


def test_records_are_a_table():
    records = [{"size": 1.5, "color": "red"}, {"color": "blue", "count": 3}, {"size": None}]
    table = data.as_dataset(records)
    want = {"size": [1.5, np.nan, np.nan], "color": ["red", "blue", None], "count": [np.nan, 3, np.nan]}
    assert table.names == tuple(pd.DataFrame(records)) == tuple(want)
    for name, cells in want.items():
        np.testing.assert_array_equal(table[name], np.array(cells, table[name].dtype))
        np.testing.assert_array_equal(data.Dataset(records)[name], table[name])
    assert (
        data.as_dataset([*records, {"image": b"..."}], wanted=["size"], ignored=("color", "count", "image")).rows == 4
    )
    first, second = data.split(records * 4, sizes=(0.5, 0.5), stratify="color", seed=0)
    assert [type(record) for record in first] == [dict] * 6
    assert sorted(str(record.get("color")) for record in second) == ["None", "None", "blue", "blue", "red", "red"]
    model = whet.TabularModel("color", hidden=())
    model.fit(records[:2] * 8, epochs=1)
    assert model.predict([{"size": 1.5, "count": None}]).shape == (1,)


def test_selecting():
    table = data.Dataset({"a": [1, 2, 3], "b": ["x", None, "z"]}, [0, 1, 0], target="y")
    assert list(table) == ["a", "b", "y"]
    assert "y" in table
    assert len(table) == 3
    part = table.take(np.array([True, False, True]))
    assert same_column(part["b"], ["x", "z"])
    assert same_column(part.labels, [0, 0])
    assert same_column(table.take(slice(1, None))["a"], [2, 3])
    assert same_column(table.take([2, 0, 2])["a"], [3, 1, 3])
    assert table.select(["b"]).names == table.drop(["a"]).names == ("b",)
    other = table.with_target("b")
    assert (other.names, other.target) == (("a", "y"), "b")
    assert table.with_target(None).names == ("a", "b", "y")
    assert same_bits(table.drop(["b"]).matrix(), np.array([[1], [2], [3]], np.float32))


def test_names_that_are_numpys_text_show_as_pythons():
    a, y = np.array(["a", "y"])
    table = data.Dataset({a: [1, 2]}, [0, 1], target=y)
    assert repr(table.names) == "('a',)"
    assert repr(table).endswith("target 'y')")
    assert repr(table.with_target(a)).endswith("target 'a')")
    assert repr(whet.TabularModel(y)).startswith("TabularModel('y'")
    with pytest.raises(ValueError, match=r"got \['b'\]"):
        table.select(np.array(["b"]))


def test_arrays_are_borrowed_and_never_changed(rng):
    X = rng.normal(size=(5, 2))
    table = data.Dataset(X)
    assert np.shares_memory(table["x0"], X)
    with pytest.raises(ValueError, match="read-only"):
        table["x0"][0] = 1
    assert X.flags.writeable
    for layout, form in layouts(X).items():
        before = form.copy()
        fitted = data.Preprocessor().fit(data.Dataset(form))
        assert same_bits(fitted.transform(data.Dataset(form)), data.Preprocessor().fit(table).transform(table)), layout
        assert np.array_equal(form, before), layout


# Cleaning


def test_duplicates_as_in_pandas(rng):
    frame = pd.DataFrame(
        {
            "a": rng.choice([1.0, 2.0, np.nan, -0.0, 0.0], 60),
            "b": rng.choice(np.array(["x", "y", None]), 60),
            "y": rng.integers(0, 2, 60),
        }
    )
    table = data.Dataset.from_frame(frame, target="y")
    kept, report = data.drop_duplicates(table)
    want = frame.drop_duplicates()
    assert same_column(kept["a"], want["a"])
    assert same_column(kept.labels, want["y"])
    assert report.rows == tuple(sorted(set(range(60)) - set(want.index)))
    assert str(report) == f"dropped {60 - len(want)} duplicate rows of 60"
    assert table.rows == 60


def test_constant_columns():
    table = data.Dataset(
        {"a": [1, 1], "b": [1, 2], "c": [None, None], "d": ["x", "x"], "e": ["x", None], "f": [1, None]}
    )
    kept, report = data.drop_constant(table)
    assert kept.names == ("b", "e", "f")
    assert report.columns == ("a", "c", "d")


def test_outliers(rng):
    column = np.concatenate([rng.normal(size=200), [50, -60, np.inf, np.nan]])
    table = data.Dataset({"a": column, "b": np.r_[np.zeros(203), 9], "c": ["x"] * 204})
    clipped, report = data.clip_outliers(table, factor=1.5)
    first, third = np.quantile(column[:202], (0.25, 0.75))
    bounds = first - 1.5 * (third - first), third + 1.5 * (third - first)
    np.testing.assert_array_equal(clipped["a"], np.clip(column, *bounds))
    assert report.cells == {"a": int(np.sum((column < bounds[0]) | (column > bounds[1])))}
    assert report.bounds == {"a": bounds}
    assert str(bounds[0]) not in repr(report)
    assert clipped["b"][-1] == 9, "a column whose quartiles are equal is left alone"
    assert clipped.names == table.names
    with pytest.raises(ValueError, match=r"\['c'\]"):
        data.clip_outliers(table, columns=["c"])
    with pytest.raises(ValueError, match="factor"):
        data.clip_outliers(table, factor=0)
    with pytest.raises(TypeError, match="factor to be a number, got str"):
        data.clip_outliers(table, factor="3")


def test_other_tables_are_cleaned():
    frame = pd.DataFrame({"a": [1.0, 1.0, 90.0, 2.0, 3.0, 2.0], "b": [5] * 6})
    assert data.drop_duplicates(frame)[0].rows == 4
    assert data.drop_constant(frame)[0].names == ("a",)
    assert data.clip_outliers(frame, factor=1.0)[1].columns == ("a",)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        (dict(delimiter=";;"), ValueError, "one character.*';;'"),
        (dict(kinds=3), TypeError, "mapping.*int"),
        (dict(kinds={"a": "foo"}), ValueError, "'a'.*'foo'"),
        (dict(kinds={"zz": "number"}), ValueError, "'zz'"),
        (dict(names="ab"), TypeError, "list of column names"),
        (dict(encoding=None), TypeError, "name of an encoding.*NoneType"),
    ],
)
def test_options_of_csv_that_are_refused(options, error, words):
    with pytest.raises(error, match=words):
        read("a,b\n1,2\n", **options)


def test_odd_cells():
    assert read("a\n\u0663\n").kinds == {"a": "category"}
    with pytest.raises(ValueError, match="131,072 characters"):
        read("a\n" + "x" * 140_000)
