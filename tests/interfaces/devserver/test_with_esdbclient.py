"""The server as the official-API Python client sees it."""

from collections.abc import Iterator

import pytest
from esdbclient import EventStoreDBClient, NewEvent, StreamState
from esdbclient.exceptions import NotFound, WrongCurrentVersion

from process_manager.interfaces.devserver import DevServer
from process_manager.testing.contract.support import eventually


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
    with client.subscribe_to_all(timeout=100) as subscription:
        first = [next(subscription), next(subscription)]
        client.append_to_stream("orders-2", current_version=StreamState.ANY, events=events(1))

        assert [it.stream_name for it in [*first, next(subscription)]] == ["orders-1", "orders-1", "orders-2"]


def test_a_group_on_all_delivers_what_its_filter_lets_through_and_parks_what_is_refused(client: EventStoreDBClient) -> None:
    client.create_subscription_to_all("workers", filter_include=("Happened",), from_end=False)
    client.append_to_stream("orders-1", current_version=StreamState.ANY, events=[NewEvent(type="Other", data=b"{}"), *events(2)])
    with client.read_subscription_to_all("workers") as consumer:
        done, refused = next(consumer), next(consumer)
        consumer.ack(done)
        consumer.nack(refused, action="park")
        eventually(lambda: client.get_subscription_info("workers").parked_message_count == 1)

    assert [it.type for it in (done, refused)] == ["Happened", "Happened"]
    parked = "$persistentsubscription-$all::workers-parked"
    assert [it.link and it.link.data for it in client.get_stream(parked, resolve_links=True)] == [b"2@orders-1"]
    assert [it.group_name for it in client.list_subscriptions()] == ["workers"]
