"""The server as the official-API Python client sees it."""

from collections.abc import Iterator

import pytest
from esdbclient import EventStoreDBClient, NewEvent, StreamState
from esdbclient.exceptions import NotFound, WrongCurrentVersion

from process_manager.interfaces.devserver import DevServer


@pytest.fixture
def client(server: DevServer) -> Iterator[EventStoreDBClient]:
    connected = EventStoreDBClient(server.url)
    yield connected
    connected.close()


def events(count: int) -> list[NewEvent]:
    return [NewEvent(type="Happened", data=b'{"n":%d}' % number) for number in range(count)]


def test_what_is_appended_is_read_back_and_a_wrong_version_is_refused(client: EventStoreDBClient) -> None:
    written = events(3)
    client.append_to_stream("orders-1", current_version=StreamState.NO_STREAM, events=written)

    assert [it.id for it in client.get_stream("orders-1")] == [it.id for it in written]
    with pytest.raises(WrongCurrentVersion):
        client.append_to_stream("orders-1", current_version=7, events=events(1))
    with pytest.raises(NotFound):
        client.get_stream("orders-2")


def test_a_subscription_gets_what_was_there_and_what_comes(client: EventStoreDBClient) -> None:
    client.append_to_stream("orders-1", current_version=StreamState.ANY, events=events(2))
    with client.subscribe_to_all(timeout=20) as subscription:
        first = [next(subscription), next(subscription)]
        client.append_to_stream("orders-2", current_version=StreamState.ANY, events=events(1))

        assert [it.stream_name for it in [*first, next(subscription)]] == ["orders-1", "orders-1", "orders-2"]
