"""Tables of other libraries: every form of a table gives the same Dataset, the same model and no needless copy."""

from __future__ import annotations

import datetime
import decimal
import sys
import tracemalloc

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers import same_bits, same_column, same_table
from whet import TabularModel, data
from whet.cli import main
from whet.data.columns import text

DAY = datetime.timedelta(days=1)
UTC = datetime.timezone.utc
COLUMNS = {
    "number": [1.5, None, 3.0],
    "whole": [1, 2, 3],
    "gaps": [1, None, 3],
    "exact": [decimal.Decimal("0.1"), None, decimal.Decimal("-2.50")],
    "word": ["a", None, "c"],
    "truth": [True, False, None],
    "day": [datetime.date(1970, 1, 3), None, datetime.date(1969, 12, 31)],
    "stamp": [datetime.datetime(1970, 1, 2, 12), datetime.datetime(1969, 12, 31, 6), None],
    "span": [DAY / 4, None, -2 * DAY],
}
WANT = {
    "number": [1.5, np.nan, 3],
    "whole": [1, 2, 3],
    "gaps": [1, np.nan, 3],
    "exact": [0.1, np.nan, -2.5],
    "word": ["a", None, "c"],
    "truth": [True, False, None],
    "day": [2, np.nan, -1],
    "stamp": [1.5, -0.75, np.nan],
    "span": [0.25, np.nan, -2],
}


def object_array(cells):
    array = np.empty(len(cells), object)
    array[:] = cells
    return array


def masked(cells):
    filling = next(cell for cell in cells if cell is not None)
    mask = [cell is None for cell in cells]
    return np.ma.array([filling if cell is None else cell for cell in cells], mask=mask, dtype=object)


def structured(columns):
    rows = list(zip(*columns.values(), strict=True))
    return np.array(rows, [(name, object) for name in columns])


def categorical(columns):
    return pd.DataFrame(columns).astype({"word": "category"})


def in_duckdb(columns):
    return duckdb.from_arrow(pa.table(columns))


FORMS = {
    "mapping": dict,
    "mapping of arrays": lambda columns: {name: object_array(cells) for name, cells in columns.items()},
    "mapping of masked arrays": lambda columns: {name: masked(cells) for name, cells in columns.items()},
    "mapping of pandas series": lambda columns: {name: pd.Series(cells) for name, cells in columns.items()},
    "mapping of Polars series": lambda columns: {
        name: pl.Series(cells, strict=False) for name, cells in columns.items()
    },
    "mapping of Arrow arrays": lambda columns: {name: pa.chunked_array([cells]) for name, cells in columns.items()},
    "structured array": structured,
    "pandas": pd.DataFrame,
    "pandas, nullable": lambda columns: pd.DataFrame(columns).convert_dtypes(),
    "pandas, Arrow": lambda columns: pa.table(columns).to_pandas(types_mapper=pd.ArrowDtype),
    "pandas, categorical": categorical,
    "Polars": lambda columns: pl.DataFrame(columns, strict=False),
    "Polars, lazy": lambda columns: pl.LazyFrame(columns, strict=False),
    "Polars, Enum": lambda columns: pl.DataFrame(columns, strict=False).with_columns(
        pl.col("word").cast(pl.Enum(["c", "a"])) if "word" in columns else []
    ),
    "PyArrow": pa.table,
    "PyArrow, dictionary": lambda columns: pa.table(columns).set_column(
        list(columns).index("word"), "word", pa.array(columns["word"], pa.large_string()).dictionary_encode()
    ),
    "PyArrow, chunks": lambda columns: pa.concat_tables([pa.table(columns)[:1], pa.table(columns)[1:]]),
    "record batch": lambda columns: pa.RecordBatch.from_pydict(columns),
    "record batch reader": lambda columns: pa.table(columns).to_reader(),
    "DuckDB": in_duckdb,
}
PLAIN = [form for form in FORMS if form not in ("pandas, categorical", "Polars, Enum", "PyArrow, dictionary")]


def test_text_that_is_missing_is_that_of_pandas(tmp_path):
    words = {"#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA"}
    words |= {"NULL", "NaN", "None", "n/a", "nan", "null", "NAN", "none", "Null", "-", "missing", "N.A.", "na"}
    for word in sorted(words):
        (tmp_path / "t.csv").write_text(f"a\nx\n{word}\n")
        theirs = pd.read_csv(tmp_path / "t.csv")["a"].isna().tolist()
        assert [cell is None for cell in data.read_csv(tmp_path / "t.csv")["a"]] == theirs, word
    assert data.MISSING - {"?", ""} < words


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_table(form):
    table = data.as_dataset(FORMS[form](COLUMNS))
    categories = ("word", "truth")
    assert table.kinds == {name: "category" if name in categories else "number" for name in COLUMNS}
    for name, cells in WANT.items():
        assert same_column(table[name], cells), name


def cells(strategy):
    """Columns of 4 cells of which the first is there: the kind of a column without any follows from its type alone."""
    return st.tuples(strategy, *[st.none() | strategy] * 3).map(list)


RANDOM = st.one_of(
    cells(st.floats(allow_nan=False, width=32)),
    cells(st.floats(allow_nan=False)),
    cells(st.integers(-(2**53), 2**53)),
    cells(st.decimals(-1000, 1000, places=3)),
    cells(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=4)),
    cells(st.booleans()),
    cells(st.dates(datetime.date(1700, 1, 1), datetime.date(2200, 1, 1))),
    cells(st.datetimes(datetime.datetime(1700, 1, 1), datetime.datetime(2200, 1, 1))),
    cells(st.timedeltas(-(10**4) * DAY, 10**4 * DAY)),
    cells(st.times()),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(RANDOM, min_size=1, max_size=3), st.sampled_from(PLAIN))
def test_random_tables_are_the_same_in_every_form(columns, form):
    columns = {f"column_{number}": column for number, column in enumerate(columns)}
    assert same_table(data.as_dataset(FORMS[form](columns)), data.as_dataset(columns))


def test_a_matrix_of_objects_or_text():
    rows = [list(row) for row in zip(*COLUMNS.values(), strict=True)]
    for matrix in (rows, np.array(rows, object)):
        table = data.Dataset(matrix, names=list(COLUMNS))
        assert all(same_column(table[name], cells) for name, cells in WANT.items())
    assert data.Dataset(np.array([["a", "1"], ["b", "2"]])).kinds == {"x0": "category", "x1": "category"}
    assert same_column(data.Dataset(np.array([["a"], ["b"]], np.dtypes.StringDType()))["x0"], ["a", "b"])


def test_categories_of_numbers_stay_categories():
    for frame in (
        pd.DataFrame({"a": pd.Categorical([1, 2, None])}),
        {"a": pd.Series(pd.Categorical([1, 2, None]))},
        pl.DataFrame({"a": pl.Series(["1", "2", None], dtype=pl.Categorical)}),
        pa.table({"a": pa.array([1, 2, None]).dictionary_encode()}),
    ):
        table = data.as_dataset(frame)
        assert table.kinds == {"a": "category"}
        assert [None if cell is None else text(cell) for cell in table["a"]] == ["1", "2", None]


def test_kinds_can_be_given_for_every_form():
    for form in PLAIN:
        assert data.as_dataset(FORMS[form]({"zip": [7, 10]}), kinds={"zip": "category"}).kinds == {"zip": "category"}
    frame = pd.DataFrame({"zip": [7, 10]})
    assert same_column(data.Dataset.from_frame(frame, kinds={"zip": "category"})["zip"], [7, 10])
    with pytest.raises(ValueError, match=r"'a'.*expected numbers, got text in row 1"):
        data.as_dataset(pd.DataFrame({"a": ["1", "x"]}), kinds={"a": "number"})


# Dates


def test_dates_are_days_in_every_unit(rng):
    micros = rng.integers(-9 * 10**15, 9 * 10**15, 200) // 10**6 * 10**6
    days = [micro // 86_400_000_000 + micro % 86_400_000_000 / 86_400_000_000 for micro in micros.tolist()]
    stamps = micros.astype("datetime64[us]")
    for unit in ("s", "25s", "ms", "us", "ns", "ps"):
        within = abs(micros) < 9 * 10**12 if unit == "ps" else slice(None)
        for sort in ("datetime64", "timedelta64"):
            column = data.Dataset({"a": micros.astype(f"{sort}[us]").astype(f"{sort}[{unit}]")})["a"]
            exact = unit != "25s" and same_bits(column[within], np.array(days)[within])
            assert exact or np.allclose(column, days, atol=25 / 86400), (unit, sort)
    assert same_bits(data.as_dataset(pd.DataFrame({"a": stamps.astype("M8[ns]")}))["a"], np.array(days))
    assert same_bits(data.as_dataset(pl.DataFrame({"a": stamps}))["a"], np.array(days))
    assert same_column(data.Dataset({"a": np.array(["1970-02", "NaT"], "M8[M]")})["a"], [31, np.nan])
    assert same_column(data.Dataset({"a": [datetime.time(18), None]})["a"], [0.75, np.nan])


def test_a_time_zone_becomes_utc():
    berlin = datetime.timezone(datetime.timedelta(hours=2))
    noon = [datetime.datetime(1970, 1, 2, 14, tzinfo=berlin), None]
    zoned = pd.Series(pd.to_datetime(["1970-01-02 13:00", None])).dt.tz_localize("Europe/Berlin")  # one hour then
    forms = [
        {"a": noon},
        {"a": zoned},
        {"a": np.array(noon, object)},
        pd.DataFrame({"a": zoned}),
        pd.DataFrame({"a": zoned.dt.as_unit("ns")}),
        pl.from_pandas(pd.DataFrame({"a": zoned})),
        pa.table({"a": pa.array(noon, pa.timestamp("ms", "Europe/Berlin"))}),
    ]
    for form in forms:
        assert same_column(data.as_dataset(form)["a"], [1.5, np.nan]), type(form)
    assert same_column(data.Dataset({"a": [pd.Timestamp(1970, 1, 2, 12), pd.NaT]})["a"], [1.5, np.nan])
    assert same_column(data.Dataset({"a": [np.datetime64("1970-01-02"), np.datetime64("NaT")]})["a"], [1, np.nan])


def test_a_model_learns_from_dates():
    days = [datetime.date(2020, 1, 1) + number * DAY for number in range(60)]
    frame = pl.DataFrame({"day": days, "y": np.arange(60.0)})
    model = TabularModel("y", hidden=())
    model.fit(frame, epochs=200)
    assert model.evaluate(frame)["r2"] > 0.9
    with pytest.raises(ValueError, match="'day': expected numbers, got text in row 0"):
        model.predict({"day": ["2020-01-01"]})


@pytest.mark.parametrize(
    ("make", "got"),
    [
        (lambda: pl.DataFrame({"a": [[1, 2]]}), r"dtype List\(Int64\)"),
        (lambda: pl.DataFrame({"a": [{"b": 1}]}), r"dtype Struct\(\{'b': Int64\}\)"),
        (lambda: pl.DataFrame({"a": pl.Series([[1, 2]], dtype=pl.Array(pl.Int64, 2))}), r"dtype Array\(Int64"),
        (lambda: pl.DataFrame({"a": [b"x"]}), "dtype Binary"),
        (lambda: pa.table({"a": [[1, 2]]}), r"dtype List\(Int64\)"),
        (lambda: pa.table({"a": [b"x"]}), "dtype Binary"),
        (lambda: duckdb.sql("SELECT INTERVAL 1 MONTH AS a"), "an interval with months"),
        (lambda: duckdb.sql("SELECT [1, 2] AS a"), r"dtype List\(Int32\)"),
        (lambda: pd.DataFrame({"a": [b"x"]}), "bytes in row 0"),
        (lambda: pd.DataFrame({"a": [None, [1]]}), "list in row 1"),
        (lambda: pd.DataFrame({"a": [1j]}), "complex in row 0"),
        (lambda: pd.DataFrame({"a": pd.period_range("2020", periods=1, freq="M")}), "Period in row 0"),
        (lambda: {"a": np.array([1j])}, "dtype complex128"),
        (lambda: {"a": np.array([1], "m8[M]")}, r"dtype timedelta64\[M\]"),
        (lambda: {"a": [object()]}, "object in row 0"),
        (lambda: {"a": [1, datetime.date(2020, 1, 1)]}, "date beside other cells in row 1"),
        (lambda: {"a": [DAY, datetime.date(2020, 1, 1)]}, "timedelta beside other cells in row 0"),
        (lambda: np.zeros(2, [("a", "f4", 3)]), None),
    ],
)
def test_columns_that_are_no_numbers_and_no_categories(make, got):
    wanted = f"'a': expected numbers, text, booleans or dates, got {got}" if got else r"'a': .*\(2, 3\)"
    with pytest.raises(TypeError if got else ValueError, match=wanted):
        data.as_dataset(make())


@pytest.mark.parametrize(
    "make",
    [
        lambda: pd.DataFrame([[1, 2]], columns=["a", "a"]),
        lambda: pa.Table.from_arrays([pa.array([1])] * 2, names=["a", "a"]),
        lambda: duckdb.sql("SELECT 1 AS a, 2 AS a"),
    ],
)
def test_a_name_that_appears_twice_is_named(make):
    with pytest.raises(ValueError, match=r"^\[data\] column names appear more than once: 'a'"):
        data.as_dataset(make())


# Copies


ROWS = 1 << 20


def float32_forms(x):
    """(form, does it lie in memory as NumPy would have it) of a column of float32."""
    gaps = np.zeros(len(x), bool)
    gaps[7] = True
    yield {"x": x}, True
    yield np.rec.fromarrays([x, x], names="x,y"), True
    yield np.stack([x, x], axis=1), True
    yield pd.DataFrame({"x": x}), True
    yield pd.DataFrame(np.stack([x, x], axis=1), columns=["x", "y"]), True
    yield pd.DataFrame({"x": pd.arrays.FloatingArray(x, gaps)}), False
    yield pl.DataFrame({"x": x}), True
    yield pl.DataFrame({"x": pl.Series(x).set(pl.Series(gaps), None)}), False
    yield pl.concat([pl.DataFrame({"x": x[:5]}), pl.DataFrame({"x": x[5:]})], rechunk=False), False
    yield pa.table({"x": x}), True
    yield pa.table({"x": pa.array(x, mask=gaps)}), False
    yield pa.concat_tables([pa.table({"x": x[:5]}), pa.table({"x": x[5:]})]), False
    yield pa.RecordBatch.from_pydict({"x": x}), True


def memory(frame):
    """The first float32 column of a table as the array that its library gives without a copy."""
    if isinstance(frame, np.ndarray):
        return frame["x"] if frame.dtype.names else frame[:, 0]
    if isinstance(frame, (pl.DataFrame, pd.DataFrame)):
        return frame["x"].to_numpy()
    return np.asarray(frame["x"])


def test_no_float32_column_is_copied_more_than_once(rng):
    """What NumPy can read is borrowed; the rest, and the matrix for the network, is written once."""
    x = rng.normal(size=ROWS).astype(np.float32)
    for frame, borrowed in float32_forms(x):
        data.as_dataset(frame)  # imports what it needs
        tracemalloc.start()
        arrow = pa.total_allocated_bytes()
        try:
            table = data.as_dataset(frame)
            # Masks of bytes are a quarter of a column. What Arrow allocates tracemalloc does not see.
            written = tracemalloc.get_traced_memory()[1] + pa.total_allocated_bytes() - arrow
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            matrix = table.select([next(iter(table))]).matrix()
            stacked = tracemalloc.get_traced_memory()[1] - before
        finally:
            tracemalloc.stop()
        column = table[next(iter(table))]
        assert column.dtype == np.float32, type(frame)
        if borrowed:
            assert np.shares_memory(column, memory(frame)), type(frame)
            assert written < 0.5 * x.nbytes, type(frame)
        assert written < 1.5 * x.nbytes, type(frame)
        assert matrix.nbytes <= stacked < 2 * x.nbytes, "one copy, and masks of what overflows"


# Models


def numpy_form(table):
    dtype = [(name, table[name].dtype) for name in table]
    return np.array(list(zip(*(table[name].tolist() for name in table), strict=True)), dtype)


def model_forms(table, folder):
    columns = {name: table[name].tolist() for name in table}
    arrow = pa.table(columns)
    pa.parquet.write_table(arrow, folder / "table.parquet")
    return {
        "NumPy": numpy_form(table),
        "pandas": pd.DataFrame(columns),
        "Polars": pl.DataFrame(columns, strict=False),
        "PyArrow": arrow,
        "Parquet": folder / "table.parquet",
        "DuckDB": duckdb.from_arrow(arrow),
    }


def assert_one_model(table, target, folder):
    forms = model_forms(table, folder)
    want = TabularModel(target, hidden=(16,))
    want.fit(table, epochs=1, seed=3)
    for name, form in forms.items():
        model = TabularModel(target, hidden=(16,))
        model.fit(form, epochs=1, seed=3)
        assert model.network.fingerprint() == want.network.fingerprint(), name
        assert model.preprocessor.describe() == want.preprocessor.describe(), name
        assert model.classes_.tolist() == want.classes_.tolist()
        assert same_bits(want.predict_proba(form), want.predict_proba(table)), name


def test_every_form_of_penguins_gives_the_same_model(tmp_path):
    assert_one_model(data.load_penguins(), "species", tmp_path)


ADULT = ["age", "workclass", "fnlwgt", "education", "education-num", "marital-status", "occupation", "relationship"]
ADULT += ["race", "sex", "capital-gain", "capital-loss", "hours-per-week", "native-country", "income"]


def test_every_form_of_adult_gives_the_same_model(outside_data, tmp_path):
    table = data.read_csv(outside_data / "adult_train.csv.gz", names=ADULT)
    assert (table.rows, sum(table.missing.values())) == (32561, 4262)
    assert_one_model(table, "income", tmp_path)


# Parquet


@pytest.fixture(params=["pyarrow", "polars"])
def reader(request, monkeypatch):
    """The library that reads Parquet."""
    if request.param == "polars":
        monkeypatch.setitem(sys.modules, "pyarrow", None)
    return request.param


@pytest.fixture
def parquet(tmp_path):
    """A Parquet file of penguins."""
    path = tmp_path / "penguins.parquet"
    table = data.load_penguins()
    pl.DataFrame({name: table[name].tolist() for name in table}, strict=False).write_parquet(path)
    return path


def test_parquet(reader, parquet):
    want = data.load_penguins()
    for source in (parquet, str(parquet)):
        assert same_table(data.read_parquet(source, target="species"), want)
        assert same_table(data.as_dataset(source), want.with_target(None))
    with parquet.open("rb") as file:
        assert same_table(data.read_parquet(file, target="species"), want)
        assert not file.closed
    part = data.read_parquet(parquet, columns=["sex", "body_mass_g"], kinds={"body_mass_g": "category"})
    assert part.kinds == {"sex": "category", "body_mass_g": "category"}
    assert data.as_dataset(parquet, wanted=["sex"], ignored=list(want)).names == ("sex",)


def test_parquet_that_cannot_be_read(reader, parquet):
    with pytest.raises(FileNotFoundError, match="nosuch"):
        data.read_parquet("nosuch.parquet")
    with pytest.raises(ValueError, match=r"columns among .*'island'.*\['nosuch'\]"):
        data.read_parquet(parquet, columns=["nosuch"])
    content = parquet.read_bytes()
    for broken in (
        content[:4] + bytes(range(60)) + content[64:],
        b"",
        b"island\nDream\n",
        content[:200],
        content[:-9] + content[-4:],
    ):
        parquet.write_bytes(broken)
        with pytest.raises(ValueError, match=r"penguins.parquet: expected a Parquet file"):
            data.read_parquet(parquet)


def test_parquet_without_a_library_for_it(parquet, monkeypatch):
    for name in ("pyarrow", "polars"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=r"PyArrow or Polars.*pip install pyarrow"):
        data.as_dataset(parquet)


def test_the_command_line_reads_parquet(parquet, capsys):
    model = parquet.parent / "m.whet"
    options = ("--target", "species", "--hidden", "8", "--epochs", "3", "--out", str(model))
    assert main(["train", str(parquet), *options]) == 0
    assert main(["predict", str(model), str(parquet)]) == 0
    assert main(["evaluate", str(model), str(parquet)]) == 0
    assert "accuracy" in capsys.readouterr().out
