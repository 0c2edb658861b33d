"""The list of instances, read from the views; what has happened since then, from the log. `instance_scan` reads all of it from there.

It is two queries, written as SQL: the views are mostly a SQLite file, and importing SQLAlchemy takes longer than reading a list of
150,000 instances.
"""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

from process_manager.core.records import log_beginning_with, moment
from process_manager.ports import EventStore, Filter

COLUMNS = ("instance", "process", "key", "status", "life", "version", "started", "updated", "outcome", "waits_for")

FRESH = 1_000
"""How many of the library's records the views may lack; their instances are read from the log."""

VERSIONS = {"instances": 2, "steps": 2, "deadlines": 1}
"""Of the projections whose tables are read."""

_PLACES = "SELECT name, version, position, log FROM projections"
_WHERE = "WHERE past = 0 AND instance NOT IN ({changed}) AND (:process = '' OR process = :process) AND (:status = '' OR status = :status)"
_FROM = f"FROM instances {_WHERE} ORDER BY first_position"
_LIST = f"SELECT instance, process, key, status, life, version, started, updated, outcome, suspended, first_position {_FROM}"
_COUNT = f"SELECT count(*) FROM instances {_WHERE}"  # noqa: S608  our own text
_WAITS = f"""SELECT s.instance, s.step, s.run FROM
    (SELECT instance, ended, from_position {_FROM} {{cut}}) i JOIN steps s ON s.instance = i.instance AND s.position >= i.from_position
    WHERE i.ended IS NULL AND (s.status IN ('open', 'retrying') OR s.status = 'failed' AND EXISTS (
        SELECT 1 FROM deadlines d WHERE d.instance = s.instance AND d.name = s.step || '/' || s.operation AND d.kind = 'retry'))
    UNION ALL SELECT d.instance, 'deadline ' || d.about, ''
    FROM (SELECT instance, ended {_FROM} {{cut}}) i JOIN deadlines d ON d.instance = i.instance
    WHERE i.ended IS NULL AND d.kind = 'deadline'"""  # noqa: S608  our own text

Row = dict[str, Any]
Execute = Callable[[str, Row], Sequence[Sequence[Any]]]
"""Runs a query with named parameters. Raises Unreadable."""


class Unreadable(Exception):
    """The views cannot be queried: nothing was built yet, their tables differ, or the file is something else."""


class Listing(NamedTuple):
    """Instances in the order of their first record, and how many there are in all."""

    rows: Sequence[Row]
    total: int


def from_views(store: EventStore, execute: Execute, process: str, status: str, limit: int | None) -> Listing | None:
    """The list; None where the views are missing, of another version or log, or more than FRESH records behind."""
    try:
        changed = _changed(store, execute)
        if changed is None:
            return None
        found, total = _read(execute, {"process": process, "status": status}, limit, changed)
    except Unreadable:
        return None
    newer = [each for each in _newer(store, changed) if _matches(each[1], process, status)]
    rows = [row for _, row in sorted([*found, *newer], key=itemgetter(0))]
    return Listing(rows[:limit], total + len(newer))


def _newer(store: EventStore, changed: Sequence[str]) -> Iterator[tuple[int, Row]]:
    if changed:  # or what reads facts is imported in vain
        from process_manager.interfaces.reading.instance_scan import summaries

        yield from summaries(store, changed)


def _matches(row: Row, process: str, status: str) -> bool:
    return process in {"", row["process"]} and status in {"", row["status"]}


def _read(execute: Execute, scope: Row, limit: int | None, changed: Sequence[str]) -> tuple[list[tuple[int, Row]], int]:
    """Instances that have not changed since, each with the position of its first record, and how many there are in all."""
    names = {f"changed_{number}": stream for number, stream in enumerate(changed)}
    blanks = {"cut": "" if limit is None else "LIMIT :limit", "changed": ", ".join(f":{name}" for name in names) or "''"}
    whole = scope | names
    page = whole if limit is None else whole | {"limit": limit}
    found = execute(f"{_LIST} {{cut}}".format(**blanks), page)
    waits: dict[str, list[str]] = {}
    for instance, step, run in execute(_WAITS.format(**blanks), page):
        waits.setdefault(instance, []).append(f"{step} [{run}]" if run else step)
    rows = [(each[-1], _row(each[:-1], sorted(waits.get(each[0], ())))) for each in found]
    return rows, len(found) if len(found) != limit else execute(_COUNT.format(**blanks), whole)[0][0]


def _changed(store: EventStore, execute: Execute) -> list[str] | None:
    """The streams with records of ours that the views lack; None where the views cannot be used."""
    places = [(position, log) for name, version, position, log in execute(_PLACES, {}) if VERSIONS.get(name) == version]
    first = next(iter(store.read_all(limit=1)), None)
    if len(places) < len(VERSIONS) or first is None or any(log != log_beginning_with(first) for _, log in places):
        return None
    after = min(position for position, _ in places)
    newer = [record.stream for record in store.read_all(after=after, where=Filter(type_prefixes=("pm.",)), limit=FRESH + 1)]
    return None if len(newer) > FRESH else list(dict.fromkeys(newer))


def _row(found: Sequence[Any], waits_for: list[str]) -> Row:
    *same, started, updated, outcome, suspended = found
    times = None if started is None else moment(started), moment(updated)
    return dict(zip(COLUMNS, (*same, *times, suspended or outcome, waits_for), strict=True))


@contextmanager
def views_file(path: Path | None) -> Iterator[Execute | None]:
    """A function that queries the views in a SQLite file; None where there is no file."""
    if path is None or not path.exists():
        yield None
        return
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:

        def execute(sql: str, parameters: Row) -> Sequence[Sequence[Any]]:
            try:
                return connection.execute(sql, parameters).fetchall()
            except sqlite3.DatabaseError as error:
                raise Unreadable from error

        yield execute


@contextmanager
def views_at(url: str) -> Iterator[Execute | None]:
    """A function that queries the views at a URL; None for a SQLite file that is not there."""
    kind, _, path = url.partition(":///")
    if kind == "sqlite" and path and "?" not in path:
        with views_file(Path(path)) as found:
            yield found
        return
    from sqlalchemy import text
    from sqlalchemy.exc import DBAPIError

    from projections.views import Views

    with closing(Views(url)) as views, views.read() as connection:

        def execute(sql: str, parameters: Row) -> Sequence[Sequence[Any]]:
            try:
                return [tuple(row) for row in connection.execute(text(sql), parameters)]
            except DBAPIError as error:
                raise Unreadable from error

        yield execute
