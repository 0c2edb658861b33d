"""The database that projections write and reports read, and how far each projection is in the log."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Engine,
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

from projections.errors import Overtaken, ProjectionError
from projections.projection import Projection

CATALOG = Table(
    "projections",
    MetaData(),
    Column("name", String, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("log", String, nullable=False),
)

BESIDE = "rebuild_"
"""What a table is called until it takes the place of the live one."""


@dataclass(frozen=True, slots=True)
class Place:
    """How far a projection is: everything up to `position` is in its tables. `log` is the id of the log's first record."""

    name: str
    version: int
    position: int
    log: str


class Views:
    """A database for read models: any that SQLAlchemy knows and that can rename a table in a transaction."""

    def __init__(self, url: str) -> None:
        """Raises ProjectionError for an address that SQLAlchemy cannot use."""
        try:
            self.engine = create_engine(url, connect_args={"timeout": 30} if url.startswith("sqlite") else {})
        except (SQLAlchemyError, ImportError) as error:
            raise ProjectionError(f"{url!r} is no database for views: {error}") from error
        if self.engine.dialect.name == "sqlite":
            _set_up_sqlite(self.engine)

    @property
    def path(self) -> Path | None:
        """The file, where the database is one."""
        url = self.engine.url
        return Path(url.database) if self.engine.dialect.name == "sqlite" and url.database else None

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """One transaction."""
        with _explained(), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One transaction that only reads, so that all its queries see the same state."""
        with _explained(), self.engine.connect() as connection:
            yield connection

    def places(self) -> dict[str, Place]:
        """How far the projections are, by name."""
        with self.read() as connection:
            return places(connection)

    def close(self) -> None:
        self.engine.dispose()


def places(connection: Connection) -> dict[str, Place]:
    """The same, inside a transaction."""
    if not inspect(connection).has_table(CATALOG.name):
        return {}
    return {row.name: Place(*row) for row in connection.execute(select(CATALOG))}


def move(connection: Connection, projections: Iterable[Projection], prefix: str, old: int, new: int, log: str) -> None:
    """Move projections from one position to another. First in a transaction, it keeps others out until the end. Raises Overtaken."""
    for each in projections:
        found = (CATALOG.c.name == prefix + each.name, CATALOG.c.version == each.version, CATALOG.c.position == old)
        if connection.execute(update(CATALOG).where(*found).values(position=new, log=log)).rowcount != 1:
            raise Overtaken(f"another process has moved the projection {each.name} on from {old}, or has rebuilt it")


def create(connection: Connection, projection: Projection, prefix: str, position: int) -> None:
    """New tables, empty. With a prefix they stand beside the live ones, and have no indexes yet."""
    CATALOG.create(connection, checkfirst=True)
    discard(connection, projection, prefix)
    for table in actual(projection, prefix).values():
        table.create(connection)
    connection.execute(insert(CATALOG).values(name=prefix + projection.name, version=projection.version, position=position, log=""))


def discard(connection: Connection, projection: Projection, prefix: str) -> None:
    """No tables of a projection."""
    for table in actual(projection, prefix).values():
        table.drop(connection, checkfirst=True)
    connection.execute(delete(CATALOG).where(CATALOG.c.name == prefix + projection.name))


def swap(connection: Connection, projection: Projection) -> None:
    """The tables beside take the place of the live ones."""
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


def _beside(table: Table, prefix: str) -> Table:
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
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA cache_size = -65536")
        connection.execute("PRAGMA wal_autocheckpoint = 10000")

    @event.listens_for(engine, "begin")
    def _begun(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as error:
        raise ProjectionError(f"the views: {str(error).splitlines()[0]}") from error
