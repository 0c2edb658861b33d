"""Groups on EventStoreDB beyond the contract: what the server and our own records of a group make together."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

pytest.importorskip("esdbclient", reason="the esdb extra is not installed")

import grpc
from esdbclient.protos.Grpc import persistent_pb2

from process_manager.adapters.esdb import consumer as consumer_module, membership
from process_manager.adapters.esdb.address import read_server
from process_manager.adapters.esdb.backoff import Backoff
from process_manager.adapters.esdb.client import Client, connect
from process_manager.adapters.esdb.store import EsdbStore
from process_manager.errors import GroupExists, GroupNotFound, StoreError
from process_manager.ports import EVERYTHING, Delivery, Filter, GroupSettings, Nack
from process_manager.testing.contract.support import PATIENCE, eventually, forget_groups, ids, new, only, put, some, take, unique
from tests.adapters.esdb_proxy import Proxy
from tests.adapters.esdb_server import is_cluster, server_place, server_url, through as proxied
from tests.adapters.esdb_status import Status
from tests.adapters.server_processes import free_port, reachable, serving


@pytest.fixture
def type_() -> str:
    return unique("test.Happened")


@pytest.fixture
def store() -> Iterator[EsdbStore]:
    with closing(EsdbStore(server_url())) as store:
        yield store
        forget_groups(store)


@pytest.fixture
def group(store: EsdbStore, type_: str) -> str:
    name = unique("group")
    store.create_group(name, where=only(type_), after=store.last_position())
    return name


@pytest.fixture
def client() -> Iterator[Client]:
    with closing(connect(read_server(server_url()), "tests")) as client:
        yield client


class TestRecords:
    """What we write about groups."""

    def test_nobody_who_reads_everything_sees_it(self, store: EsdbStore, group: str, type_: str) -> None:
        before = store.last_position()
        put(store, unique("order"), some(2, type_))
        consumer = store.join(group, "one")
        consumer.nack(take(consumer, 2), Nack.PARK, "broken")
        store.replay_parked(group)
        types = {it.type for it in store.read_all(after=before) if it.stream.startswith("pm.") and group in it.stream}
        assert types == set()
        written = [it.type for it in store.read_stream(f"pm.parked-{group}")]
        assert written == [type_, type_, f"$pm.replayed.{group}", f"$pm.replayed.{group}"]  # the first two are links
        consumer.leave()

    def test_everything_leaves_out_what_the_server_writes_of_groups(self, store: EsdbStore, type_: str) -> None:
        before = store.last_position()
        store.create_group(unique("group"), where=only(type_), after=before)
        assert [it.type for it in store.read_all(after=before) if it.stream.startswith("$")] == []

    def test_groups_of_others_are_left_alone(self, store: EsdbStore, client: Client) -> None:
        name = unique("theirs")
        client.create_subscription_to_all(name)
        assert name not in [it.name for it in store.groups()]
        with pytest.raises(GroupExists):
            store.create_group(name, where=EVERYTHING)
        for act in (store.group, store.delete_group, lambda it: store.join(it, "one")):
            with pytest.raises(GroupNotFound):
                act(name)
        client.delete_subscription(name)

    def test_a_group_whose_creation_was_cut_short_can_be_created(self, store: EsdbStore, group: str, client: Client, type_: str) -> None:
        client.delete_subscription(group)  # as if only our record had been written
        with pytest.raises(GroupNotFound):
            store.group(group)
        store.create_group(group, where=only(type_), after=store.last_position())
        assert store.group(group).lag == 0

    def test_a_group_whose_deletion_was_cut_short_can_be_created(self, store: EsdbStore, type_: str) -> None:
        name = unique("group")
        store.create_group(name, where=only(type_), after=store.last_position())
        record = store._records.get(name)
        store._records.write(record.__class__(name, record.where, record.settings, record.after, deleted=True, version=record.version))
        assert name not in [it.name for it in store.groups()]
        store.create_group(name, where=only(type_), after=store.last_position(), settings=GroupSettings(max_retries=5))
        assert store.group(name).settings.max_retries == 5

    def test_a_change_that_was_cut_short_can_be_repeated(self, store: EsdbStore, group: str, client: Client, type_: str) -> None:
        put(store, unique("order"), some(1, type_))
        client.delete_subscription(group)  # as if the change had ended before the group was made again
        store.update_group(group, GroupSettings(max_retries=5))
        consumer = store.join(group, "one")
        assert len(take(consumer, 1)) == 1
        consumer.leave()

    def test_settings_that_the_server_refuses_leave_the_group_as_it_was(self, store: EsdbStore, group: str, type_: str) -> None:
        before = store.group(group).settings
        put(store, unique("order"), some(1, type_))
        with closing(EsdbStore(server_url(), patience=0.5)) as operator, pytest.raises(StoreError, match="Foo"):
            operator.update_group(group, replace(before, strategy="Foo"))
        assert store.group(group).settings == before
        consumer = store.join(group, "one")
        assert len(take(consumer, 1)) == 1
        consumer.leave()

    def test_a_new_group_of_an_old_name_has_nothing_parked(self, store: EsdbStore, group: str, type_: str) -> None:
        put(store, unique("order"), some(1, type_))
        consumer = store.join(group, "one")
        consumer.nack(take(consumer, 1), Nack.PARK, "broken")
        consumer.leave()
        store.delete_group(group)
        store.create_group(group, where=only(type_), after=store.last_position())
        assert list(store.parked(group)) == []

    def test_members_are_told_by_name(self, store: EsdbStore, group: str) -> None:
        members = [store.join(group, name) for name in ("host-a:1", "host-b:2")]
        info = store.group(group)
        assert (sorted(info.members), info.consumers) == (["host-a:1", "host-b:2"], 2)
        for member in members:
            member.leave()


class TestParking:
    """Parked and replayed records."""

    def test_a_replay_comes_to_its_group_alone(self, store: EsdbStore, group: str, type_: str) -> None:
        other = unique("group")
        store.create_group(other, where=only(type_), after=store.last_position())
        (record,) = put(store, unique("order"), some(1, type_))
        mine, theirs = store.join(group, "one"), store.join(other, "one")
        theirs.ack(take(theirs, 1))
        mine.nack(take(mine, 1), Nack.PARK, "broken")
        assert store.replay_parked(group) == 1
        assert store.group(group).lag > 0
        (delivery,) = take(mine, 1)
        assert (delivery.record, delivery.retries) == (record, 0)
        mine.ack([delivery])
        eventually(lambda: store.group(group).lag == 0)
        assert list(theirs.fetch(5, timeout=0.1)) == []
        for member in (mine, theirs):
            member.leave()

    @pytest.mark.parametrize("mixed", [False, True])
    def test_groups_by_stream_park_and_replay_too(self, store: EsdbStore, type_: str, *, mixed: bool) -> None:
        name, category = unique("group"), unique("shop")
        where = Filter(frozenset([type_] if mixed else []), stream_prefixes=(f"{category}-",))
        store.create_group(name, where=where, after=store.last_position())
        records = put(store, f"{category}-1", some(2)) + (put(store, unique("order"), some(1, type_)) if mixed else [])
        put(store, unique("order"), some(3))
        consumer = store.join(name, "one")
        found = take(consumer, len(records))
        assert [it.record for it in found] == records
        consumer.nack(found[:1], Nack.PARK, "broken")
        consumer.ack(found[1:])
        assert [it.record for it in store.parked(name)] == records[:1]
        assert store.replay_parked(name, [records[0].id]) == 1
        consumer.ack(take(consumer, 1))
        eventually(lambda: not consumer.fetch(5) and store.group(name).lag == 0)  # what others append comes to a mixed group too
        consumer.leave()

    def test_only_the_named_ones_are_replayed(self, store: EsdbStore, group: str, type_: str) -> None:
        records = put(store, unique("order"), some(3, type_))
        consumer = store.join(group, "one")
        consumer.nack(take(consumer, 3), Nack.PARK, "broken")
        assert store.replay_parked(group, [records[1].id, "nobody"]) == 1
        assert ids(take(consumer, 1)) == [records[1].id]
        assert [it.record.id for it in store.parked(group)] == [records[0].id, records[2].id]
        consumer.leave()

    def test_what_is_parked_again_is_parked_once(self, store: EsdbStore, group: str, type_: str) -> None:
        (record,) = put(store, unique("order"), some(1, type_))
        consumer = store.join(group, "one")
        for reason in ("first", "second"):
            consumer.nack(take(consumer, 1), Nack.PARK, reason)
            assert [(it.record, it.reason) for it in store.parked(group)] == [(record, reason)]
            store.replay_parked(group)
            assert list(store.parked(group)) == []
        consumer.leave()

    def test_what_the_group_has_left_out_is_parked_too(self, store: EsdbStore, group: str, type_: str) -> None:
        """As a server may after a restart; what it did deliver, on a connection that has ended since, comes again instead."""
        (record,) = put(store, unique("order"), some(1))
        consumer = store.join(group, "one")
        consumer.nack([Delivery(record)], Nack.PARK, "broken")
        assert [(it.record, it.reason) for it in store.parked(group)] == [(record, "broken")]
        consumer.leave()

    def test_many_records_are_parked_with_a_long_reason(self, store: EsdbStore, group: str, type_: str) -> None:
        """More than an append holds, as when an instance cannot be rebuilt and the error says much."""
        records = put(store, unique("order"), some(30, type_))
        consumer = store.join(group, "one")
        consumer.nack(take(consumer, 30), Nack.PARK, "long " * 10_000)
        assert [it.record for it in store.parked(group)] == records
        consumer.leave()

    def test_a_record_that_comes_by_several_markers_is_dealt_with_once(self, store: EsdbStore, type_: str) -> None:
        """As to a group that is made again from before its replays: none of them waits for the message timeout."""
        name, after = unique("group"), store.last_position()
        store.create_group(name, where=only(type_), after=after)
        put(store, unique("order"), some(1, type_))
        consumer = store.join(name, "one")
        for _ in range(3):
            consumer.nack(take(consumer, 1), Nack.PARK, "broken")
            store.replay_parked(name)
        consumer.ack(take(consumer, 1))
        consumer.leave()
        store.delete_group(name)
        store.create_group(name, where=only(type_), after=after, settings=GroupSettings(message_timeout=timedelta(0)))
        consumer = store.join(name, "one")
        found = take(consumer, 4)
        consumer.ack(found[:1])
        eventually(lambda: store.group(name).in_flight == 0)
        consumer.ack(found)
        assert store.group(name).lag == 0
        consumer.leave()

    def test_what_the_server_parked_is_shown_taken_over_and_replayed(self, store: EsdbStore, type_: str, client: Client) -> None:
        name = unique("group")
        store.create_group(name, where=only(type_), after=store.last_position())
        records = put(store, unique("order"), some(2, type_))
        with client.read_subscription_to_all(name) as subscription:
            for _, event in zip(records, subscription, strict=False):
                subscription.nack(event, "park")
        eventually(lambda: len(store.parked(name)) == 2)
        assert [it.record for it in store.parked(name)] == records
        assert store.replay_parked(name, [records[0].id]) == 1
        assert [it.record for it in store.parked(name)] == records[1:]
        store.update_group(name, GroupSettings(max_retries=9))
        assert [it.record for it in store.parked(name)] == records[1:]
        consumer = store.join(name, "one")
        assert ids(take(consumer, 1)) == [records[0].id]
        consumer.leave()

    def test_both_outlive_the_server(self, tmp_path: Path, type_: str) -> None:
        port, name = free_port(), unique("group")
        with serving(port, tmp_path / "a.db"):
            eventually(lambda: reachable(port))
            with closing(EsdbStore(f"esdb://127.0.0.1:{port}?tls=false")) as store:
                store.create_group(name, where=only(type_))
                records = put(store, unique("order"), some(2, type_))
                consumer = store.join(name, "one")
                consumer.nack(take(consumer, 2), Nack.PARK, "broken")
                consumer.leave()
                assert store.replay_parked(name, [records[1].id]) == 1
        with serving(port, tmp_path / "a.db"):
            eventually(lambda: reachable(port))
            with closing(EsdbStore(f"esdb://127.0.0.1:{port}?tls=false")) as store:
                assert [(it.record, it.reason) for it in store.parked(name)] == [(records[0], "broken")]
                consumer = store.join(name, "one")
                eventually(lambda: records[1].id in ids(consumer.fetch(5, timeout=0.1)))
                consumer.leave()


class TestBrokenMemberships:
    """A member whose connection breaks is back by itself."""

    @pytest.fixture
    def proxy(self) -> Iterator[Proxy]:
        if is_cluster(server_url()):
            pytest.skip("the nodes of a cluster are found around a proxy")
        with Proxy(*server_place()) as running:
            yield running

    @pytest.fixture
    def through(self, proxy: Proxy) -> Iterator[EsdbStore]:
        with closing(EsdbStore(proxied(proxy.port, "keepAliveInterval=300&keepAliveTimeout=3000"))) as store:
            yield store

    @pytest.mark.parametrize("how", ["cut", "stall"])
    def test_what_was_not_acknowledged_comes_again(
        self, store: EsdbStore, through: EsdbStore, proxy: Proxy, group: str, type_: str, how: str
    ) -> None:
        put(store, unique("order"), some(3, type_))
        consumer = through.join(group, "one")
        found = take(consumer, 3)
        consumer.ack(found[:1])
        eventually(lambda: store.group(group).in_flight == 2)
        getattr(proxy, how)()
        again = sorted(take(consumer, 2), key=lambda it: it.record.revision)
        assert [(it.record.revision, it.retries) for it in again] == [(1, 1), (2, 1)]
        consumer.ack(again)
        eventually(lambda: store.group(group).lag == 0)
        consumer.leave()

    def test_a_late_ack_of_an_ended_connection_is_ignored(
        self, store: EsdbStore, through: EsdbStore, proxy: Proxy, group: str, type_: str
    ) -> None:
        put(store, unique("order"), some(1, type_))
        consumer = through.join(group, "one")
        found = take(consumer, 1)
        before = proxy.accepted
        proxy.cut()
        eventually(lambda: proxy.accepted > before and store.group(group).members)
        consumer.ack(found)
        (again,) = take(consumer, 1)
        assert again.retries == 1
        consumer.leave()

    def test_a_member_of_a_deleted_group_is_told(self, store: EsdbStore, through: EsdbStore, group: str) -> None:
        consumer = through.join(group, "one")
        store.delete_group(group)
        with pytest.raises(GroupNotFound):
            consumer.fetch(1, timeout=PATIENCE)
        with pytest.raises(GroupNotFound):
            consumer.fetch(1)
        consumer.leave()

    def test_everything_is_delivered_whatever_breaks(
        self, store: EsdbStore, through: EsdbStore, proxy: Proxy, group: str, type_: str
    ) -> None:
        consumer, seen = through.join(group, "one"), set[str]()
        for _ in range(5):
            put(store, unique("order"), some(20, type_))
            wanted = len(seen) + 20
            proxy.cut()
            while len(seen) < wanted:
                found = consumer.fetch(10, timeout=PATIENCE)
                assert found
                seen.update(ids(found))
                consumer.ack(found)

        def settled() -> bool:
            consumer.ack(consumer.fetch(10))  # whose acks the last cut has swallowed
            return store.group(group).lag == 0

        eventually(settled)
        consumer.leave()


class Silent:
    """A call that a server took and never answers."""

    def __init__(self) -> None:
        self._cancelled = Event()

    def send(self, request: object) -> None:
        """It goes nowhere."""

    def __next__(self) -> object:
        assert self._cancelled.wait(PATIENCE)
        raise Status(grpc.StatusCode.CANCELLED, "Locally cancelled by application!")

    def cancel(self) -> None:
        self._cancelled.set()


def test_a_leader_that_is_not_ready_and_says_nothing_is_asked_again(
    store: EsdbStore, group: str, type_: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one does that has just been elected."""
    read_group, asked = Client.read_group, list[str]()

    def silent_at_first(client: Client) -> object:
        asked.append(group)
        monkeypatch.setattr(membership, "CONFIRMED_WITHIN", 0.1 if len(asked) == 1 else PATIENCE)  # which is read next
        return Silent() if len(asked) == 1 else read_group(client)

    monkeypatch.setattr(Client, "read_group", silent_at_first)
    consumer = store.join(group, "one")
    put(store, unique("order"), some(1, type_))
    assert len(take(consumer, 1)) == 1
    assert len(asked) == 2
    consumer.leave()


class Ended(Silent):
    """A call that a server ended before it had answered, as one does that shuts down."""

    def __iter__(self) -> "Ended":
        return self

    def __next__(self) -> object:
        raise StopIteration


def test_a_membership_that_ends_before_it_is_confirmed_is_asked_for_again(
    store: EsdbStore, group: str, type_: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, read_group = iter([Ended(), Ended()]), Client.read_group
    monkeypatch.setattr(Client, "read_group", lambda client: next(calls, None) or read_group(client))
    consumer = store.join(group, "one")
    put(store, unique("order"), some(1, type_))
    assert len(take(consumer, 1)) == 1
    consumer.leave()


class Dropped(Silent):
    """A call that a server confirms and then drops, as it does when the group's place in the log is no record's."""

    def __init__(self) -> None:
        super().__init__()
        self._messages = iter([persistent_pb2.ReadResp()])

    def __iter__(self) -> "Dropped":
        return self

    def __next__(self) -> object:
        if (confirmation := next(self._messages, None)) is None:
            raise Status(grpc.StatusCode.CANCELLED, "Subscription group g on stream $all was dropped.")
        return confirmation


def test_a_member_that_is_dropped_again_and_again_comes_back_more_and_more_slowly(
    store: EsdbStore, group: str, type_: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, read_group, pauses = iter([Dropped() for _ in range(6)]), Client.read_group, list[float]()
    pause = Backoff.next

    def noted(backoff: Backoff) -> float | None:
        pauses.append(pause(backoff) or 0.0)
        return pauses[-1]

    monkeypatch.setattr(Client, "read_group", lambda client: next(calls, None) or read_group(client))
    monkeypatch.setattr(consumer_module, "HELD", PATIENCE)
    monkeypatch.setattr(Backoff, "next", noted)
    consumer = store.join(group, "one")
    put(store, unique("order"), some(1, type_))
    assert len(take(consumer, 1)) == 1
    assert pauses[5] > 8 * pauses[0]
    consumer.leave()


def test_a_subscription_that_ends_before_it_is_confirmed_is_asked_for_again(
    store: EsdbStore, type_: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that records are pushed, and need not be looked for."""
    read, asked = Client.read, list[str]()

    def ended_at_first(client: Client, **options: Any) -> Any:
        if "subscribe" not in options:
            return read(client, **options)
        asked.append(type_)
        return next(Ended()) if len(asked) == 1 else read(client, **options)

    monkeypatch.setattr(Client, "read", ended_at_first)
    subscription = store.subscribe(where=only(type_), after=store.last_position())
    put(store, unique("order"), some(1, type_))
    eventually(lambda: not subscription._arrived.empty())
    assert len(asked) == 2
    subscription.close()


def test_what_is_out_is_waited_for_wherever_the_checkpoint_stands(
    store: EsdbStore, group: str, type_: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Servers may write it too far."""
    records = put(store, unique("order"), some(2, type_))
    consumer = store.join(group, "one")
    found = take(consumer, 2)
    info = store._groups._info

    def too_far(name: str) -> object:
        server = info(name)
        server.last_checkpointed_event_position = f"C:{records[-1].position}/P:{records[-1].position}"
        return server

    monkeypatch.setattr(store._groups, "_info", too_far)
    assert store.group(group).lag == 2
    consumer.ack(found)
    eventually(lambda: store.group(group).lag == 0)
    consumer.leave()


def test_waiting_ends_when_a_delivery_arrives(store: EsdbStore, group: str, type_: str) -> None:
    consumer = store.join(group, "one")
    last = store.last_position() + 10**12  # so that only the delivery can end it
    thread = Thread(target=lambda: put(store, unique("order"), [new(type_)]))
    thread.start()
    assert store.wait(last, PATIENCE)
    assert len(take(consumer, 1)) == 1
    thread.join()
    consumer.leave()
