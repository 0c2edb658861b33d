"""What a server still knows after it was started again on the same file."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
from esdbclient import EventStoreDBClient, NewEvent, RecordedEvent, StreamState
from esdbclient.exceptions import GrpcError, NotFound, StreamIsDeleted, WrongCurrentVersion

from process_manager.adapters.sqlite import SqliteStore
from process_manager.interfaces.devserver import serve
from process_manager.testing.contract.support import eventually
from tests.interfaces.devserver.truth.protos import persistent_pb2_grpc, shared_pb2

PARKED = "$persistentsubscription-$all::workers-parked"


@contextmanager
def running(path: Path) -> Iterator[EventStoreDBClient]:
    """A client of a server over a file, from start to stop."""
    store = SqliteStore(path)
    with serve(store) as server:
        client = EventStoreDBClient(server.url)
        try:
            yield client
        finally:
            client.close()
    store.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


def place_of(event: RecordedEvent) -> str:
    """As a group names it that has come so far."""
    return f"C:{event.commit_position}/P:{event.prepare_position}"


def events(*names: str) -> list[NewEvent]:
    return [NewEvent(type="Happened", data=f'"{name}"'.encode()) for name in names]


def test_deleted_truncated_and_tombstoned_streams_stay_so(path: Path) -> None:
    with running(path) as client:
        for stream in ("deleted", "truncated", "gone"):
            client.append_to_stream(stream, current_version=StreamState.NO_STREAM, events=events("a", "b"))
        client.delete_stream("deleted", current_version=StreamState.ANY)
        client.set_stream_metadata("truncated", metadata={"$maxCount": 1}, current_version=StreamState.NO_STREAM)
        client.tombstone_stream("gone", current_version=StreamState.ANY)

    with running(path) as client:
        with pytest.raises(NotFound):
            client.get_stream("deleted")
        assert [it.stream_position for it in client.get_stream("truncated")] == [1]
        with pytest.raises(StreamIsDeleted):
            client.append_to_stream("gone", current_version=StreamState.ANY, events=events("c", "d"))


def test_a_repeat_is_recognised_at_an_exact_version_and_written_again_at_any(path: Path) -> None:
    first, second = events("a", "b"), events("c", "d")
    with running(path) as client:
        position = client.append_to_stream("orders-1", current_version=StreamState.NO_STREAM, events=first)
        client.append_to_stream("orders-1", current_version=StreamState.ANY, events=second)

    with running(path) as client:
        assert client.append_to_stream("orders-1", current_version=StreamState.NO_STREAM, events=first) == position
        with pytest.raises(WrongCurrentVersion):
            client.append_to_stream("orders-1", current_version=StreamState.NO_STREAM, events=events("x"))
        client.append_to_stream("orders-1", current_version=StreamState.ANY, events=second)
        assert len(client.get_stream("orders-1")) == 6


def test_content_types_outlive_it(path: Path) -> None:
    odd = [
        NewEvent(type="Happened", data=b"{}", content_type="application/octet-stream"),
        NewEvent(type="Happened", data=b"true", metadata=b'{"a":1}'),
        NewEvent(type="Happened", data=b"\x00", metadata=b"\x01", content_type="application/octet-stream"),
    ]
    with running(path) as client:
        client.append_to_stream("orders-1", current_version=StreamState.NO_STREAM, events=odd)

    with running(path) as client:
        found = [(it.data, it.metadata, it.content_type) for it in client.get_stream("orders-1")]
    assert found == [(it.data, it.metadata, it.content_type) for it in odd]


def test_a_group_goes_on_behind_its_checkpoint_and_keeps_what_it_parked(path: Path) -> None:
    with running(path) as client:
        client.create_subscription_to_all("workers", from_end=False, min_checkpoint_count=1, checkpoint_after=0.1, max_retry_count=7)
        client.append_to_stream("orders-1", current_version=StreamState.NO_STREAM, events=events("a", "b", "c"))
        with client.read_subscription_to_all("workers") as consumer:
            done, refused, again = (next(consumer) for _ in range(3))
            consumer.ack(done)
            consumer.nack(refused, action="park")
            consumer.nack(again, action="retry")
            assert next(consumer).retry_count == 1
            eventually(lambda: client.get_subscription_info("workers").last_checkpointed_event_position == place_of(refused))
            eventually(lambda: client.get_subscription_info("workers").parked_message_count == 1)

    with running(path) as client:
        info = client.get_subscription_info("workers")
        assert (info.max_retry_count, info.parked_message_count) == (7, 1)
        with client.read_subscription_to_all("workers") as consumer:
            redelivered = next(consumer)
            consumer.ack(redelivered)
        assert (redelivered.data, redelivered.retry_count) == (b'"c"', 0)  # retries are counted in memory
        assert [it.data for it in client.get_stream(PARKED, resolve_links=True)] == [b'"b"']


def test_a_group_from_the_end_without_a_checkpoint_begins_at_the_new_end(path: Path) -> None:
    with running(path) as client:
        client.create_subscription_to_all("workers", from_end=True)
        client.append_to_stream("orders-1", current_version=StreamState.NO_STREAM, events=events("missed", "too"))

    with running(path) as client, client.read_subscription_to_all("workers") as consumer:
        client.append_to_stream("orders-1", current_version=StreamState.ANY, events=events("new", "newer"))
        assert next(consumer).data == b'"new"'


def test_a_group_that_was_deleted_stays_so_and_its_name_begins_anew(path: Path) -> None:
    with running(path) as client:
        client.create_subscription_to_all("workers", from_end=False, min_checkpoint_count=1, checkpoint_after=0.1)
        client.append_to_stream("orders-1", current_version=StreamState.NO_STREAM, events=events("a", "b"))
        with client.read_subscription_to_all("workers") as consumer:
            consumer.nack(next(consumer), action="park")
            consumer.ack(next(consumer))
            eventually(lambda: client.get_subscription_info("workers").parked_message_count == 1)
        client.delete_subscription("workers")

    with running(path) as client:
        with pytest.raises(NotFound):
            client.get_subscription_info("workers")
        client.create_subscription_to_all("workers", from_end=False)
        assert client.get_subscription_info("workers").parked_message_count == 0
        with client.read_subscription_to_all("workers") as consumer:
            assert next(consumer).data == b'"a"'


def test_a_group_that_was_updated_keeps_its_filter_and_its_new_settings(path: Path) -> None:
    with running(path) as client:
        client.create_subscription_to_all("workers", filter_include=(r"(?:Wanted|Too)",), from_end=False, max_retry_count=3)
        client.update_subscription_to_all("workers", max_retry_count=5)
        other = [NewEvent(type=type_, data=b"{}") for type_ in ("Other", "Wanted", "Another", "Too")]
        client.append_to_stream("orders-1", current_version=StreamState.NO_STREAM, events=other)

    with running(path) as client:
        assert client.get_subscription_info("workers").max_retry_count == 5
        with client.read_subscription_to_all("workers") as consumer:
            assert [next(consumer).type, next(consumer).type] == ["Wanted", "Too"]


def test_restarting_the_subsystem_is_a_restart_for_groups_alone(path: Path) -> None:
    with running(path) as client:
        client.create_subscription_to_all("workers", from_end=False)
        client.append_to_stream("orders-1", current_version=StreamState.NO_STREAM, events=events("a", "b"))
        with client.read_subscription_to_all("workers") as consumer:
            next(consumer)
            with grpc.insecure_channel(client.connection_target) as channel:
                persistent_pb2_grpc.PersistentSubscriptionsStub(channel).RestartSubsystem(shared_pb2.Empty(), timeout=100)
            with pytest.raises(GrpcError) as dropped:
                list(consumer)
        with client.read_subscription_to_all("workers") as consumer:
            assert next(consumer).data == b'"a"'

    assert dropped.value.args[0].code() is grpc.StatusCode.CANCELLED
