"""The SQLite store keeps the contract; and what may be wrong with a file."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from process_manager.adapters.sqlite import SqliteStore, schema
from process_manager.adapters.sqlite.errors import MEANING, translate
from process_manager.errors import (
    NotAStore,
    StoreError,
    StoreFull,
    StoreReadOnly,
    StoreTooNew,
    StoreUnavailable,
    StreamNotFound,
    WrongExpectedVersion,
)
from process_manager.ports import Block, EventStore, Filter, StreamState
from process_manager.testing.contract.support import ids, new, some
from process_manager.testing.store_contract import StoreContract

EVERY_TEST = Filter(type_prefixes=("test.",))
NO_STREAM = StreamState.NO_STREAM


class TestSqlite(StoreContract):
    def open_store(self, place: Path) -> EventStore:
        return SqliteStore(place / "store.db")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(path)
    yield store
    store.close()


def raw(path: Path, *statements: str) -> list[Any]:
    """Do something to the file behind the store's back."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        return [connection.execute(statement).fetchall() for statement in statements]


class TestFiles:
    """Opening."""

    def test_a_new_file_is_for_its_owner_alone(self, tmp_path: Path) -> None:
        for umask, mode in [(0o000, 0o600), (0o022, 0o600), (0o277, 0o400)]:
            path = tmp_path / f"{umask}.db"
            before = os.umask(umask)
            try:
                SqliteStore(path).close()
            except StoreReadOnly:
                assert mode == 0o400  # no write permission, and we are not root
            finally:
                os.umask(before)
            assert path.stat().st_mode & 0o777 == mode

    def test_a_file_that_must_be_there_is_not_created(self, path: Path) -> None:
        with pytest.raises(StoreUnavailable, match="no such file"):
            SqliteStore(path, create=False)
        assert not path.exists()

    def test_a_directory_that_is_not_there_is_not_created(self, tmp_path: Path) -> None:
        with pytest.raises(StoreUnavailable, match="No such file or directory"):
            SqliteStore(tmp_path / "nowhere" / "store.db")

    def test_a_directory_is_no_store(self, tmp_path: Path) -> None:
        for read_only in (False, True):
            with pytest.raises(NotAStore, match="is a directory: name a file in it"):
                SqliteStore(tmp_path, read_only=read_only)

    @pytest.mark.parametrize("content", [b"x", b"no database\n" * 1000, b"SQLite format 3\0" + b"\xff" * 5000])
    def test_a_file_that_is_no_database_is_left_alone(self, path: Path, content: bytes) -> None:
        path.write_bytes(content)
        with pytest.raises(NotAStore, match="no SQLite database"):
            SqliteStore(path)
        assert path.read_bytes() == content

    def test_the_database_of_another_program_is_left_alone(self, path: Path) -> None:
        raw(path, "CREATE TABLE messages (id INTEGER PRIMARY KEY)")
        content = path.read_bytes()
        with pytest.raises(NotAStore, match="another program"):
            SqliteStore(path)
        assert path.read_bytes() == content

    def test_a_file_from_a_newer_version_is_left_alone(self, path: Path) -> None:
        SqliteStore(path).close()
        raw(path, f"PRAGMA user_version = {len(schema.MIGRATIONS) + 1}")
        content = path.read_bytes()
        with pytest.raises(StoreTooNew, match="upgrade"):
            SqliteStore(path)
        assert path.read_bytes() == content

    def test_an_older_file_is_brought_up_to_date(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        store = SqliteStore(path)
        store.append(Block("order", some(2), NO_STREAM))
        store.close()
        monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, ("CREATE TABLE extra (id INTEGER)",)))
        again = SqliteStore(path)
        assert len(list(again.read_stream("order"))) == 2
        again.close()
        assert raw(path, "PRAGMA user_version", "SELECT count(*) FROM extra") == [[(len(schema.MIGRATIONS),)], [(0,)]]

    def test_a_migration_that_fails_leaves_the_file_as_it_was(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        SqliteStore(path).close()
        version = raw(path, "PRAGMA user_version")
        broken = ("CREATE TABLE extra (id INTEGER)", "CREATE TABLE streams (id INTEGER)")
        with monkeypatch.context() as patch:
            patch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, broken))
            with pytest.raises(StoreError):
                SqliteStore(path)
        assert raw(path, "PRAGMA user_version") == version
        assert raw(path, "SELECT count(*) FROM sqlite_schema WHERE name = 'extra'") == [[(0,)]]
        SqliteStore(path).close()

    def test_a_damaged_file_says_so(self, path: Path) -> None:
        store = SqliteStore(path)
        store.append_many([Block(f"order-{number}", some(20), NO_STREAM) for number in range(50)])
        store.close()
        content = path.read_bytes()
        path.write_bytes(content[:8192] + b"\xff" * (len(content) - 8192))
        with pytest.raises(StoreUnavailable, match="damaged"), closing(SqliteStore(path)) as damaged:
            list(damaged.read_all(where=EVERY_TEST))


@pytest.fixture
def public_directory() -> Iterator[Path]:
    """A directory that a user without rights gets into, unlike pytest's own."""
    with TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@contextmanager
def without_rights() -> Iterator[None]:
    """Root may write everything, so be nobody for a while."""
    root = os.geteuid() == 0
    if root:
        try:
            os.seteuid(65534)
        except OSError:
            pytest.skip("this root has nobody to be")
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


class TestReadOnly:
    """A file that may not be written to."""

    def test_a_read_only_file_can_be_read(self, public_directory: Path) -> None:
        path = public_directory / "store.db"
        with closing(SqliteStore(path)) as store:
            store.append(Block("order", some(2), NO_STREAM))
        path.chmod(0o444)
        public_directory.chmod(0o777)
        with without_rights(), closing(SqliteStore(path)) as store:
            assert len(list(store.read_stream("order"))) == 2
            for act in (lambda: store.append(Block("order", some(1), 1)), lambda: store.create_group("g", where=EVERY_TEST)):
                with pytest.raises(StoreReadOnly, match="permissions"):
                    act()

    def test_in_a_read_only_directory_nothing_can_be_opened(self, public_directory: Path) -> None:
        path = public_directory / "store.db"
        SqliteStore(path).close()
        path.chmod(0o444)
        public_directory.chmod(0o555)
        with without_rights():
            for name in ("store.db", "new.db"):
                with pytest.raises(StoreReadOnly):
                    SqliteStore(public_directory / name)
        public_directory.chmod(0o755)


def limit_to(store: SqliteStore, more: int) -> None:
    """Let the file grow by so many pages, as a disk that fills up would."""
    with store._database.write(durable=True) as connection:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages + more}")


class TestRoom:
    """A disk that is full."""

    def test_nothing_of_an_append_without_room_is_written(self, store: SqliteStore) -> None:
        store.append(Block("order", some(3), NO_STREAM))
        limit_to(store, 5)
        blocks = [Block(f"big-{number}", [new("test.New", b"x" * 9000)], NO_STREAM) for number in range(10)]
        with pytest.raises(StoreFull, match="no room"):
            store.append_many(blocks)
        assert len(list(store.read_all(where=EVERY_TEST))) == 3
        with pytest.raises(StreamNotFound):
            store.read_stream("big-0")

    def test_after_making_room_the_same_bytes_go_through(self, store: SqliteStore) -> None:
        """What the store remembered of the failed append is forgotten: streams, types, positions."""
        limit_to(store, 5)
        blocks = [Block(f"big-{number}", [new("test.New", b"x" * 9000)], NO_STREAM) for number in range(10)]
        with pytest.raises(StoreFull):
            store.append_many(blocks)
        assert store.append(Block("small", some(1, "test.Small"), NO_STREAM)).position == 0
        limit_to(store, 10_000)
        answers = store.append_many(blocks)
        assert [getattr(answer, "position", None) for answer in answers] == list(range(1, 11))
        assert {record.type for record in store.read_all(where=EVERY_TEST)} == {"test.New", "test.Small"}
        with pytest.raises(WrongExpectedVersion):
            store.append(Block("big-0", some(1), NO_STREAM))


class TestBusy:
    """Somebody else holds the file."""

    def test_waiting_for_others_ends(self, path: Path) -> None:
        with closing(SqliteStore(path, busy_timeout=0.1)) as store, closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreUnavailable, match="busy"):
                store.append(Block("order", some(1), NO_STREAM))
            assert store.last_position() == -1
            other.execute("ROLLBACK")
            store.append(Block("order", some(1), NO_STREAM))

    @pytest.mark.parametrize("code", [sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_BUSY_SNAPSHOT, sqlite3.SQLITE_MISMATCH, *MEANING])
    def test_every_error_of_sqlite_has_a_meaning(self, code: int) -> None:
        error = sqlite3.OperationalError("what SQLite says")
        error.sqlite_errorcode = code
        ours = translate(error, "/a/store.db")
        assert type(ours) is MEANING.get(code & 0xFF, (StoreUnavailable,))[0]
        assert "/a/store.db" in str(ours)
        assert "what SQLite says" in str(ours)


class TestBackup:
    """`backup`, when nobody writes; with writers see `test_sqlite_processes`."""

    def test_a_backup_never_overwrites(self, store: SqliteStore, tmp_path: Path) -> None:
        target = tmp_path / "precious"
        target.write_text("do not touch")
        with pytest.raises(StoreUnavailable, match="new file"):
            store.backup(target)
        assert target.read_text() == "do not touch"

    def test_a_backup_is_for_its_owner_alone_and_complete(self, store: SqliteStore, tmp_path: Path) -> None:
        store.append(Block("order", some(3), NO_STREAM))
        store.backup(tmp_path / "copy.db")
        assert (tmp_path / "copy.db").stat().st_mode & 0o077 == 0
        with closing(SqliteStore(tmp_path / "copy.db", create=False)) as copy:
            assert ids(list(copy.read_stream("order"))) == ids(list(store.read_stream("order")))

    def test_a_backup_that_fails_leaves_nothing(self, store: SqliteStore, tmp_path: Path) -> None:
        with pytest.raises(StoreUnavailable):
            store.backup(tmp_path / "nowhere" / "copy.db")
        assert [it.name for it in tmp_path.iterdir() if "copy" in it.name or "nowhere" in it.name] == []


class TestMemory:
    """What is served from memory is what stands in the file."""

    def test_the_tail_and_the_file_say_the_same(self, path: Path, store: SqliteStore) -> None:
        with closing(SqliteStore(path)) as other:
            for number in range(30):
                writer = other if number % 3 == 0 else store
                writer.append(Block(f"order-{number}", some(2), NO_STREAM))
                expected = list(other.read_all(where=EVERY_TEST)), list(other.read_all(where=EVERY_TEST, after=number))
                assert (list(store.read_all(where=EVERY_TEST)), list(store.read_all(where=EVERY_TEST, after=number))) == expected

    def test_the_tail_is_bounded(self, store: SqliteStore) -> None:
        for number in range(90):
            store.append(Block(f"order-{number}", [new(data=b"x" * 1_000_000)], NO_STREAM))
        assert sum(len(record.data) for record in store._tail.after(store._tail._first - 1, 1000)) <= 64 * 1024 * 1024
        assert [len(record.data) for record in store.read_all(where=EVERY_TEST)] == [1_000_000] * 90
