"""An application that publishes and asks in its own code."""

import threading
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from process_manager import Client
from process_manager.adapters.clock import RealClock
from process_manager.adapters.deadline_index import SqliteDeadlineIndex
from process_manager.adapters.sqlite import SqliteStore
from process_manager.core.identity import derive
from process_manager.core.records import NewRecord
from process_manager.errors import BadAddress, BadEvent, StoreReadOnly
from process_manager.examples.order_fulfilment import messages as m
from process_manager.examples.order_fulfilment.process import OrderFulfilment
from process_manager.interfaces.histories import IMPORTED
from process_manager.interfaces.lines import MAX_EVENT
from process_manager.ports import Block, EventStore, StreamState
from process_manager.runtime.wiring import build_worker
from tests.runtime.answered_shop import app

PLACED = m.OrderPlaced(order_id="1", lines=(m.Line(sku="a", quantity=1),), total=Decimal(900), card="4000")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "shop.db"


@pytest.fixture
def client(file: Path) -> Iterator[Client]:
    with Client(f"sqlite:///{file}") as client:
        yield client


@pytest.fixture
def store(file: Path) -> Iterator[EventStore]:
    store = SqliteStore(file)
    yield store
    store.close()


def work(store: EventStore) -> None:
    worker = build_worker(app, store, RealClock(), SqliteDeadlineIndex())
    worker.run(until_idle=True)
    worker.close()


def test_an_order_is_placed_looked_at_and_approved(client: Client, store: EventStore) -> None:
    assert client.explain(OrderFulfilment, "1") is None
    client.publish("order-1", PLACED)
    work(store)
    asked = client.explain(OrderFulfilment, "1")
    assert asked is not None
    assert (asked.status, [each.answers for each in asked.waiting]) == (
        "running",
        [[m.ReviewApproved.message_type, m.ReviewRejected.message_type]],
    )

    client.publish("approval-1", m.ReviewApproved(order_id="1", reviewer="Ada"))
    work(store)
    ended = client.explain(OrderFulfilment, "1")
    assert ended is not None
    assert (ended.status, ended.outcome, ended.waiting) == ("completed", "shipped", [])


def test_a_request_that_comes_again_changes_nothing(client: Client, store: EventStore) -> None:
    """Whatever came in between; without an id of the request each is one of its own."""
    for request in ("a", "b", "a"):
        client.publish("order-1", PLACED, PLACED, request=request)
    assert len(list(store.read_stream("order-1"))) == 4
    client.publish("order-1", PLACED)
    client.publish("order-1", PLACED)
    assert len(list(store.read_stream("order-1"))) == 6


def test_requests_of_several_threads_for_one_stream_are_all_taken_once(client: Client, store: EventStore) -> None:
    """Each by two of them."""
    requests = [str(number) for number in range(10)]

    def publish() -> None:
        for each in requests:
            client.publish("order-1", PLACED, request=each)

    threads = [threading.Thread(target=publish) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert {record.id for record in store.read_stream("order-1")} == {derive("order-1", each, "0") for each in requests}


def test_events_may_say_what_they_answer(client: Client, store: EventStore) -> None:
    client.publish("approval-1", PLACED, metadata={"$causationId": "the command", "$correlationId": "the order"})
    (record,) = store.read_stream("approval-1")
    assert b'"$causationId":"the command"' in record.metadata
    assert b'"$correlationId":"the order"' in record.metadata


def test_what_cannot_be_published_is_refused_before_anything_is_written(client: Client, store: EventStore) -> None:
    with pytest.raises(BadEvent, match="reserved"):
        client.publish("pm.outcome-1", PLACED)
    with pytest.raises(BadEvent, match="an event may have"):
        client.publish("order-1", PLACED, PLACED.model_copy(update={"card": "4" * MAX_EVENT}))
    assert list(store.read_all()) == []


def test_events_in_an_instances_own_stream_are_warned_of(client: Client, store: EventStore, caplog: pytest.LogCaptureFixture) -> None:
    client.publish("order-1", PLACED)
    work(store)
    client.publish("order_fulfilment-1", PLACED)
    assert "order_fulfilment-1" in caplog.text


def test_a_store_that_is_none_and_imported_histories_are_refused(file: Path, store: EventStore) -> None:
    with pytest.raises(BadAddress):
        Client("mysql://somewhere")
    store.append(Block("pm.import", [NewRecord(derive("import"), IMPORTED, b"{}", b"{}")], StreamState.NO_STREAM))
    with pytest.raises(StoreReadOnly, match="imported histories"):
        Client(f"sqlite:///{file}")
