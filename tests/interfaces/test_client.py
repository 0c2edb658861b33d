"""An application that publishes and asks in its own code."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest

from process_manager import Client, Event
from process_manager.adapters.clock import RealClock
from process_manager.adapters.deadline_index import SqliteDeadlineIndex
from process_manager.adapters.sqlite import SqliteStore
from process_manager.core.identity import derive
from process_manager.core.records import NewRecord
from process_manager.errors import BadAddress, BadEvent, NotAStore, StoreReadOnly, StoreUnavailable
from process_manager.examples.order_fulfilment import messages as m
from process_manager.examples.order_fulfilment.process import OrderFulfilment
from process_manager.interfaces.publishing.event_lines import MAX_EVENT
from process_manager.interfaces.reading.histories import IMPORTED
from process_manager.ports import Block, EventStore, StreamState
from process_manager.runtime.wiring import build_worker
from tests.runtime.answered_shop import app

PLACED = m.OrderPlaced(order_id="1", lines=(m.Line(sku="a", quantity=1),), total=Decimal(900), card="4000")


OTHER = PLACED.model_copy(update={"card": "5000"})


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
    assert orjson.loads(orjson.dumps(asked))["waiting"][0]["answers"] == asked.waiting[0].answers

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


def test_commands_and_what_are_no_events_are_refused(tmp_path: Path) -> None:
    charge = m.ChargeCard(order_id="1", card="4000", amount=Decimal(900))
    file = tmp_path / "new.db"
    wrong: list[tuple[type[Exception], str, tuple[Any, ...]]] = [
        (BadEvent, "ChargeCard is a command: only an instance gives commands; publish events", ("order-1", PLACED, charge)),
        (BadEvent, "Event has no written name", ("order-1", Event())),
        (TypeError, "is no event", ("order-1", {"a": 1})),
        (TypeError, "is no event", ("order-1", m.OrderPlaced)),
        (TypeError, "is no name of a stream", (PLACED,)),
        (ValueError, "no event to publish", ("order-1",)),
    ]
    with Client(f"sqlite:///{file}") as client:
        for kind, why, args in wrong:
            with pytest.raises(kind, match=why):
                client.publish(*args)
        with pytest.raises(TypeError, match=r"'loan' is no ProcessManager class: write explain\(the process class, key\)"):
            client.explain("loan", "1")  # type: ignore[arg-type]
    assert not file.exists()


def test_who_only_asks_creates_no_store(tmp_path: Path) -> None:
    file = tmp_path / "mistyped.db"
    with Client(f"sqlite:///{file}") as client:
        with pytest.raises(NotAStore, match=r"mistyped\.db"):
            client.explain(OrderFulfilment, "1")
        assert not file.exists()
        client.publish("order-1", PLACED)
        assert client.explain(OrderFulfilment, "1") is None


@pytest.mark.parametrize("opened", [False, True])
def test_a_closed_client_says_that_it_is_the_client(tmp_path: Path, opened: bool) -> None:
    with Client(f"sqlite:///{tmp_path / 'shop.db'}") as closed:
        if opened:
            closed.publish("order-1", PLACED)
    with pytest.raises(StoreUnavailable, match="this client was closed: open another one"):
        closed.publish("order-2", PLACED)
    with pytest.raises(StoreUnavailable, match="this client was closed: open another one"):
        closed.explain(OrderFulfilment, "1")


@pytest.mark.parametrize("others", [(PLACED,), (PLACED, PLACED, PLACED), (PLACED, OTHER), (OTHER, PLACED)])
def test_a_request_that_comes_again_with_other_events_is_refused(client: Client, store: EventStore, others: tuple[Event, ...]) -> None:
    client.publish("order-1", PLACED, PLACED, request="a")
    client.publish("order-1", OTHER, request="b")
    before = list(store.read_all())
    with pytest.raises(BadEvent, match="'a' was published with other events before"):
        client.publish("order-1", *others, request="a")
    assert list(store.read_all()) == before


class Packed(Event, type="shop.packed", version=2, upcasters=(lambda data: data | {"tags": ["a", "b"]},)):
    tags: frozenset[str]
    counts: dict[str, int]
    at: datetime
    weight: Decimal = Decimal("1.50")


NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
PACKED = Packed(tags=frozenset("ab"), counts={"a": 1, "b": 2}, at=NOON)


@pytest.mark.parametrize(
    ("version", "data"),
    [
        (2, {"tags": ["b", "a"], "counts": {"a": 1, "b": 2}, "at": "2026-01-01T12:00:00Z", "weight": "1.50"}),
        (2, {"tags": ["a", "b"], "counts": {"b": 2, "a": 1}, "at": "2026-01-01T14:00:00+02:00", "weight": "1.5"}),
        (1, {"counts": {"a": 1, "b": 2}, "at": "2026-01-01T12:00:00Z"}),
    ],
)
def test_a_request_is_the_same_however_another_process_wrote_it(
    client: Client, store: EventStore, version: int, data: dict[str, object]
) -> None:
    """A set has no order, a time any zone, and a process of before the last release wrote an older version."""
    record = NewRecord(derive("packed-1", "a", "0"), "shop.packed", orjson.dumps(data), orjson.dumps({"version": version}))
    store.append(Block("packed-1", [record], StreamState.NO_STREAM))
    client.publish("packed-1", PACKED, request="a")
    with pytest.raises(BadEvent, match="'a' was published with other events before"):
        client.publish("packed-1", PACKED.model_copy(update={"weight": Decimal(2)}), request="a")
    assert len(list(store.read_stream("packed-1"))) == 1


def test_a_request_of_several_appends_goes_on_where_it_was_interrupted(client: Client, store: EventStore) -> None:
    large = [PLACED.model_copy(update={"card": str(digit) * (MAX_EVENT - 1000)}) for digit in range(3)]
    client.publish("order-2", *large, request="a")
    first = next(store.read_stream("order-2"))
    store.append(Block("order-1", [NewRecord(derive("order-1", "a", "0"), *first[1:4])], StreamState.NO_STREAM))
    client.publish("order-1", *large, request="a")
    assert [record.data for record in store.read_stream("order-1")] == [record.data for record in store.read_stream("order-2")]
