"""Results of databases, through DB-API and Arrow drivers."""

from __future__ import annotations

import contextlib
import datetime
import decimal
import sqlite3
import sys

import adbc_driver_postgresql.dbapi
import adbc_driver_sqlite.dbapi
import duckdb
import numpy as np
import psycopg
import pytest

from tests import postgres
from tests.helpers import same_bits, same_column, same_table
from whet import TabularModel, data, nn
from whet.data.sources import sql

PENGUINS = data.load_penguins()


def fill(connection, marks, types=("TEXT", "DOUBLE PRECISION")):
    """Make a table of penguins, in the order of the bundled one."""
    category, number = types
    columns = ", ".join(f"{name} {category if PENGUINS[name].dtype == object else number}" for name in PENGUINS)
    rows = zip(*(PENGUINS[name].tolist() for name in PENGUINS), strict=True)
    with contextlib.closing(connection.cursor()) as cursor:
        cursor.execute(f"CREATE TABLE penguins (id INTEGER, {columns})")
        statement = f"INSERT INTO penguins VALUES ({', '.join([marks] * (len(list(PENGUINS)) + 1))})"
        present = ([None if cell != cell else cell for cell in row] for row in rows)
        cursor.executemany(statement, [(number, *row) for number, row in enumerate(present)])
    connection.commit()


SELECT = f"SELECT {', '.join(PENGUINS)} FROM penguins ORDER BY id"


@pytest.fixture(scope="module")
def lite(tmp_path_factory):
    """A file of SQLite with a table of penguins."""
    path = tmp_path_factory.mktemp("sqlite") / "penguins.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        fill(connection, "?", ("TEXT", "REAL"))
    return str(path)


@pytest.fixture(scope="module")
def server():
    """The address of a PostgreSQL server that runs as long as this file's tests, with a table of penguins."""
    programs = postgres.programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    with postgres.server(programs) as address:
        with psycopg.connect(address) as connection:
            fill(connection, "%s")
        yield address


CONNECTIONS = {
    "sqlite3": sqlite3.connect,
    "ADBC, SQLite": adbc_driver_sqlite.dbapi.connect,
    "psycopg": psycopg.connect,
    "ADBC, PostgreSQL": adbc_driver_postgresql.dbapi.connect,
}
MARKS = {"sqlite3": "?", "ADBC, SQLite": "?", "psycopg": "%s", "ADBC, PostgreSQL": "$1"}


@pytest.fixture(params=CONNECTIONS)
def connection(request):
    """A connection to a database with a table of penguins."""
    database = "lite" if "sqlite" in request.param.lower() else "server"
    with contextlib.closing(CONNECTIONS[request.param](request.getfixturevalue(database))) as opened:
        yield opened


def test_a_query_gives_the_table(connection):
    table = data.read_sql(SELECT, connection, target="species")
    assert same_table(table, PENGUINS)
    assert table.target == "species"
    part = data.read_sql("SELECT sex, body_mass_g FROM penguins", connection, kinds={"body_mass_g": "category"})
    assert part.kinds == {"sex": "category", "body_mass_g": "category"}


def test_a_cursor_is_a_table(connection):
    with contextlib.closing(connection.cursor()) as cursor:
        assert same_table(data.read_sql(SELECT, cursor, target="species"), PENGUINS)
        cursor.execute(SELECT)
        assert same_table(
            data.as_dataset(cursor, wanted=PENGUINS.names, ignored=["species"]),
            PENGUINS.with_target(None).drop(["species"]),
        )
        want, model = (TabularModel("species", hidden=(8,)) for _ in range(2))
        want.fit(PENGUINS, epochs=2)
        cursor.execute(SELECT)
        model.fit(cursor, epochs=2)
        assert model.network.fingerprint() == want.network.fingerprint()
        cursor.execute(SELECT)
        assert same_bits(model.predict_proba(cursor), want.predict_proba(PENGUINS))


def test_parameters_of_a_query(connection, request):
    mark = MARKS[request.node.callspec.params["connection"]]
    query = f"SELECT body_mass_g FROM penguins WHERE species = {mark} ORDER BY id"
    want = PENGUINS["body_mass_g"][PENGUINS["species"] == "Gentoo"]
    assert same_column(data.read_sql(query, connection, ("Gentoo",))["body_mass_g"], want)
    assert data.read_sql("SELECT 7 % 4 AS a", connection)["a"] == [3], "% means itself where there are no parameters"


NUMBERS = "SELECT body_mass_g, flipper_length_mm, bill_length_mm FROM penguins WHERE body_mass_g > 0 ORDER BY id"


def executed(connection, query):
    """A new cursor whose query has run."""
    cursor = connection.cursor()
    cursor.execute(query)
    return cursor


def learned(source, **arguments):
    model = nn.Linear(2, 1)
    model.initialize(seed=0)
    model.fit(source, loss="mse", seed=0, **{"epochs": 2, **arguments})
    return model.fingerprint()


@pytest.fixture
def shared(request, connection):
    """The same, for any thread: sqlite3 lends a connection to its own alone, unless it is told otherwise."""
    if not isinstance(connection, sqlite3.Connection):
        yield connection
        return
    with contextlib.closing(sqlite3.connect(request.getfixturevalue("lite"), check_same_thread=False)) as opened:
        yield opened


def test_a_module_learns_from_a_cursor_what_it_learns_from_batches(shared, monkeypatch):
    monkeypatch.setattr(sql, "_BLOCK", 100)
    rows = PENGUINS.take(PENGUINS["body_mass_g"] > 0)
    X, y = np.stack([rows["flipper_length_mm"], rows["bill_length_mm"]], axis=1), rows["body_mass_g"]

    def batches():
        yield X[:200], y[:200]
        yield X[200:], y[200:]

    def cursor():
        return executed(shared, NUMBERS)

    want = learned(batches, batch_size=256)
    assert learned(data.Stream(cursor, target="body_mass_g")) == want
    chosen = ["flipper_length_mm", "bill_length_mm"]
    every = data.Stream(lambda: executed(shared, NUMBERS), target="body_mass_g", columns=chosen)
    assert learned(every) == want
    with contextlib.closing(cursor()) as opened:
        once = data.Stream(opened, target="body_mass_g")
        with pytest.raises(ValueError, match=r"epochs=1 where X is an iterator"):
            learned(once)
        assert learned(once, epochs=1) == learned(batches, epochs=1, batch_size=256)
    with pytest.raises(ValueError, match=r"the cursor: expected the columns \['z'\].*got \['body_mass_g', 'flipper"):
        learned(data.Stream(cursor, target="z"))
    with pytest.raises(ValueError, match="the target of a stream of files or a cursor"):
        learned(data.Stream(cursor))


def test_a_table_model_learns_from_a_cursor(shared, monkeypatch):
    monkeypatch.setattr(sql, "_BLOCK", 100)
    want, model = (TabularModel("species", hidden=(8,)) for _ in range(2))
    query = SELECT.replace("ORDER", "WHERE species IS NOT NULL ORDER")
    want.fit(PENGUINS, epochs=2, shuffle=False)
    stream = data.Stream(lambda: executed(shared, query), kinds=PENGUINS.kinds)
    model.fit(stream, epochs=2, shuffle=False)
    assert model.network.fingerprint() == want.network.fingerprint()
    assert same_bits(model.predict(stream), want.predict(PENGUINS))


def test_columns_of_a_cursor_stay_what_they_are_in_its_first_rows(monkeypatch):
    monkeypatch.setattr(sql, "_BLOCK", 2)
    with contextlib.closing(sqlite3.connect(":memory:", check_same_thread=False)) as connection:
        query = "SELECT 1 AS y, NULL AS a UNION ALL SELECT 2, NULL UNION ALL SELECT 3, 'x'"
        stream = data.Stream(lambda: executed(connection, query), target="y")
        with pytest.raises(ValueError, match=r"'a': expected numbers, got text in row 2; of the cursor"):
            TabularModel("y").fit(stream, epochs=1)
        told = data.Stream(lambda: executed(connection, query), target="y", kinds={"a": "category"})
        TabularModel("y").fit(told, epochs=1)


def test_a_cursor_of_the_server_is_read_part_by_part(server):
    with psycopg.connect(server) as connection:
        stream = data.Stream(lambda: connection.cursor("masses").execute(NUMBERS), target="body_mass_g")
        whole = data.Stream(lambda: connection.execute(NUMBERS), target="body_mass_g")
        assert learned(stream) == learned(whole)


def test_a_relation_of_duckdb_is_read_part_by_part(monkeypatch):
    monkeypatch.setattr(sql, "_BLOCK", 1000)
    query = "SELECT range AS y, range % 7 AS a, range % 5 AS b FROM range(4000)"
    with duckdb.connect() as connection:
        relation = data.Stream(lambda: connection.sql(query), target="y")
        cursor = data.Stream(lambda: connection.execute(query), target="y")
        assert learned(relation) == learned(cursor)


def test_names_of_columns_are_for_what_has_them():
    stream = data.Stream(lambda: iter([(np.ones((2, 2)), np.ones(2))]), target="y")
    with pytest.raises(ValueError, match="expected target for files and cursors alone"):
        learned(stream)


def test_a_driver_s_errors_are_its_own(connection):
    with pytest.raises(Exception, match="nosuch") as raised:
        data.read_sql("SELECT * FROM nosuch", connection)
    assert type(raised.value).__module__.split(".")[0] in ("sqlite3", "psycopg", "adbc_driver_manager")


TYPES = """
SELECT 12.50::NUMERIC(6, 2) AS exact, 1.5::REAL AS single, 3::SMALLINT AS small, 9007199254740993::BIGINT AS big,
       TRUE AS truth, DATE '1970-01-03' AS day, TIMESTAMP '1970-01-02 12:00' AS stamp,
       TIMESTAMPTZ '1970-01-02 13:00+01' AS zoned, INTERVAL '6 hours' AS span, TIME '18:00' AS clock,
       'é'::VARCHAR AS word, 0.1::NUMERIC AS tenth
UNION ALL SELECT NULL, NULL, NULL, 1, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
"""
WANT = {
    "exact": [12.5, np.nan],
    "single": [1.5, np.nan],
    "small": [3, np.nan],
    "big": [9007199254740993, 1],
    "truth": [True, None],
    "day": [2, np.nan],
    "stamp": [1.5, np.nan],
    "zoned": [1.5, np.nan],
    "span": [0.25, np.nan],
    "clock": [0.75, np.nan],
    "word": ["é", None],
    "tenth": [0.1, np.nan],
}


@pytest.mark.parametrize("driver", ["psycopg", "ADBC, PostgreSQL", "DuckDB"])
def test_types_of_columns(driver, request):
    connect = (lambda _: duckdb.connect()) if driver == "DuckDB" else CONNECTIONS[driver]
    with contextlib.closing(connect(None if driver == "DuckDB" else request.getfixturevalue("server"))) as connection:
        table = data.read_sql(TYPES, connection)
        for name, cells in WANT.items():
            assert same_column(table[name], cells), name
        if driver != "DuckDB":
            nan = data.read_sql("SELECT 'NaN'::NUMERIC AS a UNION ALL SELECT 1", connection)
            assert same_column(nan["a"], [np.nan, 1])
        for value, name in (("'x'::BYTEA", "bytes|Binary"), ("ARRAY[1, 2]", "list|List")):
            with pytest.raises(TypeError, match=rf"'a'.*expected numbers, text, booleans or dates, got .*({name})"):
                data.read_sql(f"SELECT {value} AS a", connection)


def test_duckdb(monkeypatch):
    connection = duckdb.connect()
    query = "SELECT 1.50 AS a, 'x' AS b, DATE '1970-01-02' AS c"
    relation = connection.sql(query)
    for table in (
        data.read_sql(query, connection),
        data.as_dataset(relation),
        data.as_dataset(connection.execute(query)),
    ):
        assert [table[name].tolist() for name in table] == [[1.5], ["x"], [1.0]]
    assert data.read_sql("SELECT ? AS a", connection, [5])["a"] == [5]
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match="needs pyarrow: pip install pyarrow"):
        data.as_dataset(relation)


def test_cells_of_sqlite():
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        table = data.read_sql("SELECT 1 AS a, NULL AS b, 'x' AS c UNION ALL SELECT 2.5, NULL, 3", connection)
        assert table.kinds == {"a": "number", "b": "number", "c": "category"}
        assert [table[name].tolist() for name in ("a", "c")] == [[1, 2.5], ["x", "3"]]
        assert data.read_sql("SELECT 1 AS a WHERE 0", connection).rows == 0
        assert data.read_sql("SELECT :a AS a", connection, {"a": 5})["a"] == [5]
        rows = data.read_sql(
            "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 9999) SELECT i FROM n", connection
        )
        assert same_bits(rows["i"], np.arange(10_000))
        with pytest.raises(TypeError, match=r"'a'.*got bytes in row 0"):
            data.read_sql("SELECT x'00' AS a", connection)
        with pytest.raises(ValueError, match=r"more than once.*'a'"):
            data.read_sql("SELECT 1 AS a, 2 AS a", connection)
        with pytest.raises(ValueError, match="without a result"):
            data.read_sql("CREATE TABLE t (a)", connection)
        with pytest.raises(ValueError, match=r"target.*'a'.*'z'"):
            data.read_sql("SELECT 1 AS a", connection, target="z")
        with pytest.raises(TypeError, match="query as text, got bytes"):
            data.read_sql(b"SELECT 1", connection)
        with pytest.raises(ValueError, match="without a result"):
            data.as_dataset(connection.cursor())
        connection.execute("SELECT 1")  # it is open still
    with pytest.raises(TypeError, match=r"connection or a cursor of a DB-API 2.0 or ADBC driver, got str"):
        data.read_sql("SELECT 1", "penguins.sqlite")
    with pytest.raises(TypeError, match=r"expected a table.*got Connection"):
        data.as_dataset(sqlite3.connect(":memory:"))


class Cursor:
    """A cursor of a driver that knows no more than DB-API 2.0 asks for, with rows of other kinds of sequences."""

    description = (("a", None), ("b", None))

    def __init__(self):
        self._rows = [[decimal.Decimal("0.1"), datetime.date(1970, 1, 2)], (None, None)]

    def execute(self, query):
        """Run nothing."""

    def fetchmany(self, size):
        rows, self._rows = self._rows[:size], self._rows[size:]
        return rows


def test_rows_may_be_dicts(server):
    with psycopg.connect(server, row_factory=psycopg.rows.dict_row) as connection:
        assert same_table(data.read_sql(SELECT, connection, target="species"), PENGUINS)


def test_a_cursor_of_any_driver():
    table = data.read_sql("anything", Cursor())
    assert same_column(table["a"], [0.1, np.nan])
    assert same_column(table["b"], [1, np.nan])


def test_the_server_is_gone_when_its_tests_are(server):
    programs = postgres.programs()
    with postgres.server(programs) as address, psycopg.connect(address) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(address, connect_timeout=5)
