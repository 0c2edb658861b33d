"""What a write means, where no recorded answer says it."""

from collections.abc import Iterator

import pytest

from process_manager.adapters.memory import MemoryStore
from process_manager.core.records import NewRecord
from process_manager.errors import StoreError, WrongExpectedVersion
from process_manager.interfaces.devserver.log import Log
from process_manager.interfaces.devserver.wire import new_record
from process_manager.interfaces.devserver.write_rules import Outcome, Written
from process_manager.interfaces.devserver.writer import Writer
from process_manager.ports import ExpectedVersion, StreamState

ANY, EXISTS, NO_STREAM = StreamState.ANY, StreamState.EXISTS, StreamState.NO_STREAM


@pytest.fixture
def log() -> Log:
    return Log(MemoryStore())


@pytest.fixture
def writer(log: Log) -> Iterator[Writer]:
    opened = Writer(log)
    yield opened
    opened.close()


def record(number: int) -> NewRecord:
    return new_record(f"00000000-0000-4000-8000-{number:012}", "Happened", b"{}")


@pytest.mark.parametrize(
    ("stream", "expected", "meant"),
    [
        ("old", ANY, Written),
        ("old", EXISTS, Written),
        ("old", 0, Written),
        ("old", NO_STREAM, WrongExpectedVersion),
        ("old", 1, WrongExpectedVersion),
        ("new", ANY, Written),
        ("new", NO_STREAM, Written),
        ("new", EXISTS, WrongExpectedVersion),
        ("new", 0, WrongExpectedVersion),
    ],
)
def test_an_empty_append_only_checks_the_version(
    writer: Writer, log: Log, stream: str, expected: ExpectedVersion, meant: type[Written | StoreError]
) -> None:
    writer.append("old", [record(1)], ANY)

    assert type(writer.append(stream, [], expected)) is meant
    assert log.store.last_position() == 0


@pytest.mark.parametrize(
    ("stream", "expected", "deleted", "tombstoned"),
    [
        ("old", ANY, Written, Written),
        ("old", NO_STREAM, WrongExpectedVersion, WrongExpectedVersion),
        ("new", ANY, WrongExpectedVersion, Written),
        ("new", NO_STREAM, WrongExpectedVersion, Written),
        ("new", EXISTS, WrongExpectedVersion, WrongExpectedVersion),
    ],
)
def test_what_was_never_there_cannot_be_deleted_but_its_name_can_be_ended(
    writer: Writer, stream: str, expected: ExpectedVersion, deleted: type[Outcome], tombstoned: type[Outcome]
) -> None:
    writer.append("old", [record(1)], ANY)

    assert type(writer.wait(stream, lambda rules: rules.delete(stream, expected))) is deleted
    assert type(writer.wait(stream, lambda rules: rules.tombstone(stream, expected))) is tombstoned


def test_metadata_alone_let_a_stream_count_as_existing(writer: Writer) -> None:
    writer.wait("orders", lambda rules: rules.set_metadata("orders", b'{"$maxCount":5}'))

    assert type(writer.append("orders", [record(1)], EXISTS)) is Written


def test_a_write_after_the_end_is_refused_at_once(log: Log) -> None:
    writer = Writer(log)
    writer.close()

    assert isinstance(writer.append("orders", [record(1)], ANY), StoreError)
