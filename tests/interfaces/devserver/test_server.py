"""What the server owes whatever is asked: many calls at once, pings, a clear answer for what it leaves out."""

import threading
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import grpc
import pytest
from esdbclient import EventStoreDBClient, NewEvent, StreamState

from process_manager.adapters.memory import MemoryStore
from process_manager.adapters.sqlite import SqliteStore
from process_manager.core.records import Record
from process_manager.errors import StoreError, StoreFull
from process_manager.interfaces.devserver import DevServer, serve, subscribing
from process_manager.interfaces.devserver.log import Log
from process_manager.interfaces.devserver.wire import new_record
from process_manager.interfaces.devserver.write_rules import Outcome, Rules, Write, Written
from process_manager.interfaces.devserver.writer import Writer
from process_manager.ports import Appended, Block, Consumer, StreamState as Expected
from tests.interfaces.devserver.truth.protos import Json, streams_pb2, streams_pb2_grpc

IDS = [f"00000000-0000-4000-8000-{number:012}" for number in range(1, 1000)]


@pytest.fixture
def channel(server: DevServer) -> Iterator[Any]:
    with grpc.insecure_channel(f"{server.host}:{server.port}") as opened:
        yield opened


def event(name: str) -> NewEvent:
    return NewEvent(type="Happened", data=f'"{name}"'.encode())


@pytest.mark.parametrize(
    "method",
    [
        "/event_store.client.projections.Projections/Create",
        "/event_store.client.users.Users/Create",
        "/event_store.client.streams.Streams/New",
    ],
)
def test_what_it_leaves_out_is_unimplemented(channel: Any, method: str) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        channel.unary_unary(method)(b"", timeout=100)

    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_a_hundred_calls_that_stay_open_hold_up_nobody(server: DevServer, channel: Any) -> None:
    streams = streams_pb2_grpc.StreamsStub(channel)
    follow: Json = {"all": {"end": {}}, "subscription": {}, "no_filter": {}, "uuid_option": {"string": {}}}
    calls = [streams.Read(streams_pb2.ReadReq(options=follow), timeout=100) for _ in range(100)]
    assert {next(call).WhichOneof("content") for call in calls} == {"confirmation"}
    assert {next(call).WhichOneof("content") for call in calls} == {"caught_up"}

    client = EventStoreDBClient(server.url)
    client.append_to_stream("orders-1", current_version=StreamState.NO_STREAM, events=[event("seen by all")])
    client.close()

    assert {next(call).event.event.data for call in calls} == {b'"seen by all"'}
    for call in calls:
        call.cancel()


def test_a_subscriber_that_is_too_slow_reads_on_by_itself_and_misses_nothing(
    server: DevServer, channel: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscribing, "MOST_WAITING", 2)
    offer, kept_up = subscribing._Live.offer, list[bool]()

    def watched(live: Any, records: Sequence[Record]) -> bool:
        kept_up.append(offer(live, records))
        return kept_up[-1]

    monkeypatch.setattr(subscribing._Live, "offer", watched)
    follow: Json = {"all": {"end": {}}, "subscription": {}, "no_filter": {}, "uuid_option": {"string": {}}}
    call = streams_pb2_grpc.StreamsStub(channel).Read(streams_pb2.ReadReq(options=follow), timeout=100)
    assert [next(call).WhichOneof("content") for _ in range(2)] == ["confirmation", "caught_up"]

    client = EventStoreDBClient(server.url)
    large = "x" * 400_000  # together more than the connection holds
    for number in range(100):
        client.append_to_stream("orders-1", current_version=StreamState.ANY, events=[event(f"{number} {large}")])
    client.close()

    events = (answer.event.event for answer in call if answer.WhichOneof("content") == "event")
    assert [it.stream_revision for it in islice(events, 100)] == list(range(100))
    assert False in kept_up
    call.cancel()


def test_pings_without_a_call_are_welcome(server: DevServer) -> None:
    options = [
        ("grpc.keepalive_time_ms", 1_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
    ]
    with grpc.insecure_channel(f"{server.host}:{server.port}", options=options) as channel:
        states: list[Any] = []
        channel.subscribe(states.append, try_to_connect=True)
        grpc.channel_ready_future(channel).result(timeout=100)
        threading.Event().wait(4.5)  # more pings than a server bears that does not welcome them

        assert states[-1] is grpc.ChannelConnectivity.READY


class Counting(SqliteStore):
    """Counts transactions; the first one waits until it is let go."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.transactions = 0
        self.begun, self.go_on = threading.Event(), threading.Event()

    def append_many(self, blocks: Sequence[Block], lease: Consumer | None = None) -> Sequence[Appended | StoreError]:
        self.transactions += 1
        self.begun.set()
        self.go_on.wait(100)
        return super().append_many(blocks, lease)


def append(stream: str, id_: str, done: Any) -> Write:
    def plan(rules: Rules) -> Any:
        return rules.append(stream, [new_record(id_, "Happened", b"{}")], Expected.ANY)

    return Write(stream, plan, done)


def test_writes_that_wait_share_a_transaction_and_keep_the_order_of_each_stream(tmp_path: Path) -> None:
    store = Counting(tmp_path / "store.db")
    writer, outcomes = Writer(Log(store)), list[Outcome]()
    writer.submit(append("first", IDS[0], outcomes.append))
    assert store.begun.wait(100)
    for number in range(1, 101):
        writer.submit(append(f"stream-{number % 50}", IDS[number], outcomes.append))
    store.go_on.set()
    writer.close()

    assert [type(it) for it in outcomes] == [Written] * 101
    assert store.transactions == 3  # the first, and two rounds of fifty streams
    assert [it.id for it in store.read_stream("stream-7")] == [IDS[7], IDS[57]]
    store.close()


class Full(MemoryStore):
    """A store without room."""

    def append_many(self, blocks: Sequence[Block], lease: Consumer | None = None) -> Sequence[Appended | StoreError]:
        raise StoreFull("no room")


def test_a_store_that_fails_is_the_answer_and_the_writer_lives_on() -> None:
    writer, outcomes = Writer(Log(Full())), list[Outcome]()
    for id_ in IDS[:2]:
        writer.submit(append("orders-1", id_, outcomes.append))
    writer.close()

    assert [type(it) for it in outcomes] == [StoreFull, StoreFull]


def test_an_address_that_others_reach_needs_security() -> None:
    with pytest.raises(ValueError, match="TLS"):
        serve(MemoryStore(), "0.0.0.0")  # noqa: S104  it is refused
