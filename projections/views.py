"""The database that projections write and reports read, and how far each projection is in the log."""

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Engine,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    create_engine,
    delete,
    event,
    insert,
    inspect,
    select,
    text,
    update,
)
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.schema import CreateIndex, CreateTable

from process_manager.adapters.sqlite.wal import switch_to_wal
from projections.errors import Overtaken, ProjectionError
from projections.projection import Projection

CATALOG = Table(
    "projections",
    MetaData(),
    Column("name", String, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("log", String, nullable=False),
    Column("shape", String, nullable=False, server_default=""),
)

BESIDE = "rebuild_"
"""What a table is called until it takes the place of the live one."""

PATIENCE = 30  # seconds that another process may keep a SQLite file busy

ALONE = 0x706D5F7669657773
"""The lock of those that change tables."""


@dataclass(frozen=True, slots=True)
class Place:
    """How far a projection is: everything up to `position` is in its tables. `log` names the log by its first record.

    `shape` is that of the tables as they were made; "" for those that were made before it was kept.
    """

    name: str
    version: int
    position: int
    log: str
    shape: str = ""


class Views:
    """A database for read models: any that SQLAlchemy knows and that can rename a table in a transaction."""

    def __init__(self, url: str) -> None:
        """Raises ProjectionError for an address that SQLAlchemy cannot use."""
        try:
            self.engine = create_engine(url, connect_args={"timeout": PATIENCE} if url.startswith("sqlite") else {})
        except (SQLAlchemyError, ImportError) as error:
            raise ProjectionError(f"{url!r} is no database for views: {error}") from error
        self._snapshot: dict[str, Any] = {}
        if self.engine.dialect.name == "sqlite":
            _set_up_sqlite(self.engine)
        else:  # where each statement of a transaction sees what others have committed before it
            self._snapshot = {"isolation_level": "REPEATABLE READ"}

    @property
    def path(self) -> Path | None:
        """The file, where the database is one."""
        url = self.engine.url
        return Path(url.database) if self.engine.dialect.name == "sqlite" and url.database else None

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """One transaction that writes."""
        with _explained(), self.engine.connect().execution_options(writes=True) as connection, connection.begin():
            yield connection

    @contextmanager
    def begin_alone(self) -> Iterator[Connection]:
        """One transaction that creates, drops or renames tables; others that do so wait for its end."""
        with self.begin() as connection:
            if self.engine.dialect.name == "postgresql":  # where several may write at once
                connection.execute(text("SELECT pg_advisory_xact_lock(:tables)"), {"tables": ALONE})
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One transaction that only reads, so that all its queries see the same state."""
        with _explained(), self.engine.connect().execution_options(**self._snapshot) as connection:
            yield connection

    def places(self) -> dict[str, Place]:
        """How far the projections are, by name."""
        with self.read() as connection:
            return places(connection)

    def close(self) -> None:
        self.engine.dispose()


def places(connection: Connection) -> dict[str, Place]:
    """How far the projections are, by name, inside a transaction."""
    there = _catalog_columns(connection)
    found = connection.execute(select(*(column for column in CATALOG.columns if column.name in there))) if there else ()
    return {row.name: Place(*row) for row in found}


@cache
def shape(projection: Projection) -> str:
    """A fingerprint of a projection's tables, by which tables that another definition made are noticed."""
    tables = [str(made) for table in projection.tables for made in (CreateTable(table), *map(CreateIndex, _indexes(table)))]
    return hashlib.sha256("".join(tables).encode()).hexdigest()[:16]


def _indexes(table: Table) -> list[Index]:
    return sorted(table.indexes, key=lambda index: index.name or "")


def _catalog_columns(connection: Connection) -> set[str]:
    """Those of the catalog in the database, which an earlier release may have made; none if there is none."""
    inspector = inspect(connection)
    return {column["name"] for column in inspector.get_columns(CATALOG.name)} if inspector.has_table(CATALOG.name) else set()


def move(connection: Connection, projections: Iterable[Projection], prefix: str, old: int, new: int, log: str) -> None:
    """Move projections from one position to another. First in a transaction, it keeps others out until the end. Raises Overtaken."""
    for each in projections:
        c = CATALOG.c
        found = (c.name == prefix + each.name, c.version == each.version, c.shape == shape(each), c.position == old)
        if connection.execute(update(CATALOG).where(*found).values(position=new, log=log)).rowcount != 1:
            raise Overtaken(f"another process has moved the projection {each.name} on from {old}, or has rebuilt it")


def hold(connection: Connection, projections: Iterable[Projection]) -> None:
    """Keep whoever follows the log from beginning another batch of live tables, until the transaction ends."""
    names = [each.name for each in projections]
    connection.execute(update(CATALOG).where(CATALOG.c.name.in_(names)).values(position=CATALOG.c.position))


def create(connection: Connection, projection: Projection, prefix: str, position: int) -> None:
    """Create empty tables. With a prefix they stand beside the live ones, and have no indexes yet."""
    _create_catalog(connection)
    discard(connection, projection, prefix)
    for table in actual(projection, prefix).values():
        table.create(connection)
    place = Place(prefix + projection.name, projection.version, position, "", shape(projection))
    connection.execute(insert(CATALOG).values(asdict(place)))


def _create_catalog(connection: Connection) -> None:
    there = _catalog_columns(connection)
    if there and "shape" not in there:  # made by a release before it
        connection.execute(text("ALTER TABLE projections ADD COLUMN shape VARCHAR DEFAULT '' NOT NULL"))
    CATALOG.create(connection, checkfirst=True)


def discard(connection: Connection, projection: Projection, prefix: str) -> None:
    """Drop the tables of a projection, if it has any."""
    connection.execute(delete(CATALOG).where(CATALOG.c.name == prefix + projection.name))  # first: who writes to the tables holds it
    for table in actual(projection, prefix).values():
        table.drop(connection, checkfirst=True)


def swap(connection: Connection, projection: Projection) -> None:
    """Put the tables that stand beside in the place of the live ones."""
    for live, beside in actual(projection, BESIDE).items():
        live.drop(connection, checkfirst=True)
        quote = connection.dialect.identifier_preparer.quote
        connection.execute(text(f"ALTER TABLE {quote(beside.name)} RENAME TO {quote(live.name)}"))
        for index in live.indexes:
            index.create(connection)
    connection.execute(delete(CATALOG).where(CATALOG.c.name == projection.name))
    connection.execute(update(CATALOG).where(CATALOG.c.name == BESIDE + projection.name).values(name=projection.name))


def actual(projection: Projection, prefix: str) -> dict[Table, Table]:
    """The tables in the database that stand for those of a projection."""
    if not prefix:
        return {table: table for table in projection.tables}
    return {table: _beside(table, prefix) for table in projection.tables}


@cache
def _beside(table: Table, prefix: str) -> Table:
    """The same one each time, so that SQLAlchemy compiles a statement for it once."""
    copied = table.to_metadata(MetaData(), name=prefix + table.name)
    copied.indexes.clear()
    return copied


def _set_up_sqlite(engine: Engine) -> None:
    """The driver's own transactions leave out DDL: begin them here, as SQLAlchemy's documentation has it."""

    @event.listens_for(engine, "do_connect")
    def _connecting(*_: Any) -> None:
        """For its owner alone: SQLite would let the world read a file that it creates."""
        path = engine.url.database
        if path and not path.startswith((":", "file:")):
            with suppress(OSError):  # what cannot be created, SQLite says better
                Path(path).touch(mode=0o600)

    @event.listens_for(engine, "connect")
    def _connected(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        switch_to_wal(connection, PATIENCE)
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA cache_size = -65536")
        connection.execute("PRAGMA wal_autocheckpoint = 10000")

    @event.listens_for(engine, "begin")
    def _begun(connection: Connection) -> None:
        """Who is going to write waits at the beginning: having read, he could not, where another has written meanwhile."""
        connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("writes") else "BEGIN")


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as error:
        raise ProjectionError(f"the views: {str(error).splitlines()[0]}") from error
