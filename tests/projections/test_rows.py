"""Rows are written together at the end of a batch, as if each had been written at once."""

from collections.abc import Iterator

import pytest
from hypothesis import given, settings, strategies as st
from sqlalchemy import Column, Connection, Integer, MetaData, String, Table, create_engine, select

from projections.rows import Rows

ONE = Table("one", MetaData(), Column("id", Integer, primary_key=True), Column("a", String), Column("b", String, default="b"))
PAIR = Table("pair", MetaData(), Column("x", Integer, primary_key=True), Column("y", Integer, primary_key=True), Column("a", String))


@pytest.fixture
def connection() -> Iterator[Connection]:
    engine = create_engine("sqlite://")
    with engine.begin() as opened:
        for table in (ONE, PAIR):
            table.create(opened)
        yield opened
    engine.dispose()


def stored(connection: Connection, table: Table) -> list[tuple[object, ...]]:
    return sorted(tuple(row) for row in connection.execute(select(table)))


def test_columns_that_are_left_out_have_their_default(connection: Connection) -> None:
    rows = Rows(connection, {ONE: ONE})
    rows.insert(ONE, id=1)
    rows.flush()
    assert stored(connection, ONE) == [(1, None, "b")]


def test_a_column_that_is_not_there_is_named(connection: Connection) -> None:
    with pytest.raises(ValueError, match="one has no column c"):
        Rows(connection, {ONE: ONE}).insert(ONE, id=1, c="?")


def test_a_key_is_inserted_once(connection: Connection) -> None:
    rows = Rows(connection, {ONE: ONE})
    rows.insert(ONE, id=1)
    with pytest.raises(ValueError, match="has a row 1 already"):
        rows.insert(ONE, id=1)


def test_a_row_is_seen_as_it_stands_before_it_is_written(connection: Connection) -> None:
    rows = Rows(connection, {PAIR: PAIR})
    rows.insert(PAIR, x=1, y=2, a="old")
    rows.flush()
    rows.update(PAIR, (1, 2), a="new")
    assert rows.get(PAIR, (1, 2)) == {"x": 1, "y": 2, "a": "new"}
    rows.delete(PAIR, (1, 2))
    assert rows.get(PAIR, (1, 2)) is None
    assert rows.get(PAIR, (2, 2)) is None


KEYS = st.integers(0, 3)
STEPS = st.one_of(
    st.tuples(st.sampled_from(["put", "update"]), KEYS, st.sampled_from("ab"), st.text("xyz", max_size=2)),
    st.tuples(st.just("delete"), KEYS, st.just(""), st.just("")),
    st.tuples(st.just("flush"), st.just(0), st.just(""), st.just("")),
)


@settings(deadline=None)
@given(st.lists(STEPS, max_size=25))
def test_any_order_of_changes_and_flushes_comes_to_the_same_rows(steps: list[tuple[str, int, str, str]]) -> None:
    """A dict is the model: what is written in the end does not depend on where batches end."""
    engine = create_engine("sqlite://")
    model: dict[int, dict[str, str | None]] = {}
    with engine.begin() as opened:
        ONE.create(opened)
        rows = Rows(opened, {ONE: ONE})
        for what, key, column, value in steps:
            match what:
                case "put":
                    known = key in model
                    model[key] = {"a": None, "b": "b"} | {column: value}
                    (rows.put if known or len(value) == 1 else rows.insert)(ONE, id=key, **{column: value})
                case "update":
                    if key in model:
                        model[key][column] = value
                    rows.update(ONE, key, **{column: value})
                case "delete":
                    model.pop(key, None)
                    rows.delete(ONE, key)
                case _:
                    rows.flush()
        rows.flush()
        assert stored(opened, ONE) == sorted((key, row["a"], row["b"]) for key, row in model.items())
    engine.dispose()
