"""What consumer groups owe: delivery, acks, retries, parking, and one active member with others standing by."""

from datetime import timedelta

import pytest

from process_manager.errors import GroupExists, GroupNotFound, LeaseLost, StoreError
from process_manager.ports import (
    BEFORE_ALL,
    EVERYTHING,
    Block,
    Consumer,
    EventStore,
    Filter,
    GroupSettings,
    Nack,
    StreamState,
)
from process_manager.testing.contract.support import (
    PATIENCE,
    ContractPart,
    eventually,
    ids,
    needs,
    new,
    only,
    put,
    some,
    take,
    unique,
)

LONG = timedelta(minutes=5)


class GroupPart(ContractPart):
    """A group of its own for each test."""

    @pytest.fixture
    def group(self, store: EventStore, type_: str) -> str:
        name = unique("group")
        settings = GroupSettings(message_timeout=LONG, lease=LONG)
        store.create_group(name, where=only(type_), after=store.last_position(), settings=settings)
        return name


def nothing_more(consumer: Consumer) -> None:
    assert list(consumer.fetch(100, timeout=0.1)) == []


class GroupContract(GroupPart):
    """Delivery and acks."""

    def test_matching_records_are_delivered_in_order(self, store: EventStore, group: str, type_: str) -> None:
        records = put(store, unique("order"), [new(type_), new(), new(type_), new(), new(type_)])
        consumer = store.join(group, "one")
        found = take(consumer, 3)
        assert [it.record for it in found] == records[::2]
        assert [it.retries for it in found] == [0, 0, 0]
        consumer.ack(found)
        nothing_more(consumer)
        consumer.leave()

    def test_a_fetch_gives_no_more_than_asked_for(self, store: EventStore, group: str, type_: str) -> None:
        put(store, unique("order"), some(5, type_))
        consumer = store.join(group, "one")
        found = list(consumer.fetch(2, timeout=PATIENCE))
        assert 1 <= len(found) <= 2
        found += take(consumer, 5 - len(found))
        assert [it.record.revision for it in found] == [0, 1, 2, 3, 4]
        consumer.leave()

    def test_a_group_starts_after_a_position(self, store: EventStore, type_: str) -> None:
        records = put(store, unique("order"), some(4, type_))
        for after, expected in [(records[1].position, records[2:]), (BEFORE_ALL, records), (records[3].position, [])]:
            name = unique("group")
            store.create_group(name, where=only(type_), after=after)
            consumer = store.join(name, "one")
            assert [it.record for it in take(consumer, len(expected))] == expected
            nothing_more(consumer)
            consumer.leave()
            store.delete_group(name)

    def test_groups_do_not_know_each_other(self, store: EventStore, type_: str) -> None:
        groups = [unique("group"), unique("group")]
        for name in groups:
            store.create_group(name, where=only(type_), after=store.last_position())
        put(store, unique("order"), some(2, type_))
        for name in groups:
            consumer = store.join(name, "one")
            consumer.ack(take(consumer, 2))
            consumer.leave()

    def test_a_group_is_known_by_its_name(self, store: EventStore, type_: str) -> None:
        name, where = unique("group"), Filter(frozenset([type_]))
        settings = GroupSettings(timedelta(seconds=7), 3, timedelta(seconds=2))
        store.create_group(name, where=where, after=store.last_position(), settings=settings)
        with pytest.raises(GroupExists):
            store.create_group(name, where=EVERYTHING)
        info = store.group(name)
        assert (info.name, info.settings.message_timeout, info.settings.max_retries) == (name, settings.message_timeout, 3)
        assert name in store.group_names()
        assert name in [it.name for it in store.groups()]
        store.delete_group(name)
        assert name not in store.group_names()

    def test_a_group_can_get_other_settings(self, store: EventStore, group: str, type_: str) -> None:
        records = put(store, unique("order"), some(4, type_))
        first = store.join(group, "one")
        found = take(first, 3)
        first.nack(found[:1], Nack.PARK, "broken")
        first.ack(found[1:2])
        eventually(lambda: store.group(group).checkpoint >= records[1].position)
        first.leave()
        store.update_group(group, GroupSettings(message_timeout=timedelta(seconds=9), max_retries=7))
        info = store.group(group)
        assert (info.settings.message_timeout, info.settings.max_retries, info.where) == (timedelta(seconds=9), 7, only(type_))
        assert (info.lag, info.parked) == (2, 1)
        second = store.join(group, "two")
        rest = take(second, 2)
        assert sorted(it.record.revision for it in rest) == [2, 3]
        second.ack(rest)
        nothing_more(second)
        second.leave()

    def test_a_member_outlives_new_settings(self, store: EventStore, group: str, type_: str) -> None:
        consumer = store.join(group, "one")
        put(store, unique("order"), some(1, type_))
        consumer.ack(take(consumer, 1))
        eventually(lambda: store.group(group).lag == 0)
        store.update_group(group, GroupSettings(message_timeout=timedelta(seconds=9)))
        put(store, unique("order"), [new(type_, b"after")])
        seen: list[bytes] = []

        def comes() -> bool:
            deliveries = consumer.fetch(10, timeout=0.1)
            consumer.ack(deliveries)
            seen.extend(it.record.data for it in deliveries)
            return b"after" in seen

        eventually(comes)
        consumer.leave()

    def test_a_group_is_never_done_before_its_last_record_is(self, store: EventStore, group: str, type_: str) -> None:
        consumer = store.join(group, "one")
        for _ in range(10):
            put(store, unique("order"), some(2, type_))
            assert store.group(group).lag > 0
            found = take(consumer, 2)
            consumer.ack(found[:1])
            assert store.group(group).lag > 0
            consumer.ack(found[1:])
            eventually(lambda: store.group(group).lag == 0)
        consumer.leave()

    def test_a_group_that_is_not_there_is_not_found(self, store: EventStore) -> None:
        name = unique("group")

        def update(it: str) -> None:
            store.update_group(it, GroupSettings())

        for act in (store.group, store.delete_group, store.parked, store.replay_parked, update, lambda it: store.join(it, "one")):
            with pytest.raises(GroupNotFound):
                act(name)

    def test_a_deleted_group_delivers_no_more(self, store: EventStore, group: str, type_: str) -> None:
        consumer = store.join(group, "one")
        store.delete_group(group)
        put(store, unique("order"), some(1, type_))
        with pytest.raises(StoreError):
            eventually(lambda: list(consumer.fetch(1, timeout=0.1)))
        consumer.leave()

    def test_the_counts_of_a_group_follow_what_happens(self, store: EventStore, group: str, type_: str) -> None:
        def counts() -> tuple[int, int, int]:
            info = store.group(group)
            return info.lag, info.in_flight, info.parked

        records = put(store, unique("order"), some(4, type_))
        assert (store.group(group).oldest, store.group(group).members) == (records[0].created, [])
        consumer = store.join(group, "one")
        found = take(consumer, 4)
        eventually(lambda: store.group(group).in_flight == 4)
        assert len(store.group(group).members) == 1
        consumer.nack(found[1:2], Nack.PARK, "broken")
        consumer.ack([found[0], *found[2:]])
        eventually(lambda: counts() == (0, 0, 1))
        eventually(lambda: store.group(group).checkpoint >= records[-1].position)
        assert store.group(group).oldest is None
        consumer.leave()

    def test_acks_may_come_in_any_order(self, store: EventStore, group: str, type_: str) -> None:
        put(store, unique("order"), some(6, type_))
        consumer = store.join(group, "one")
        found = take(consumer, 6)
        for number in (4, 0, 5, 2, 1):
            consumer.ack([found[number]])
        consumer.ack(found[:2])  # once more: ignored
        eventually(lambda: store.group(group).in_flight == 1)
        consumer.leave()
        successor = store.join(group, "two")
        again = take(successor, 1)
        assert (ids(again), again[0].retries) == (ids(found[3:4]), 1)
        successor.ack(again)
        nothing_more(successor)
        successor.leave()

    def test_what_was_not_acknowledged_in_time_is_delivered_again(self, store: EventStore, type_: str) -> None:
        name = unique("group")
        settings = GroupSettings(message_timeout=timedelta(milliseconds=100))
        store.create_group(name, where=only(type_), after=store.last_position(), settings=settings)
        put(store, unique("order"), some(1, type_))
        consumer = store.join(name, "one")
        (first,) = take(consumer, 1)
        (second,) = take(consumer, 1)
        assert (second.record, second.retries) == (first.record, 1)
        consumer.leave()


class MembershipContract(GroupPart):
    """Who is active, and who takes over."""

    def test_who_leaves_hands_over_at_once(self, store: EventStore, group: str, type_: str) -> None:
        put(store, unique("order"), some(4, type_))
        first = store.join(group, "one")
        found = take(first, 2)
        first.ack(found[:1])
        pushed = store.features.pushes
        eventually(lambda: store.group(group).in_flight == (3 if pushed else 1))
        first.leave()
        first.leave()
        second = store.join(group, "two")
        rest = sorted(take(second, 3), key=lambda it: it.record.position)
        assert [(it.record.revision, it.retries) for it in rest] == [(1, 1), (2, int(pushed)), (3, int(pushed))]
        second.leave()

    def test_who_has_left_gets_nothing(self, store: EventStore, group: str, type_: str) -> None:
        put(store, unique("order"), some(1, type_))
        consumer = store.join(group, "one")
        consumer.leave()
        with pytest.raises(LeaseLost):
            consumer.fetch(1)

    def test_one_is_active_and_the_others_stand_by(self, store: EventStore, group: str, type_: str) -> None:
        needs(store, "single_active")
        first, second = store.join(group, "one"), store.join(group, "two")
        assert (first.active, second.active) == (True, False)
        put(store, unique("order"), some(2, type_))
        nothing_more(second)
        assert len(take(first, 2)) == 2
        first.leave()
        assert [it.retries for it in take(second, 2)] == [1, 1]
        assert second.active
        second.leave()

    def test_only_the_active_member_may_append_for_its_group(self, store: EventStore, group: str) -> None:
        needs(store, "single_active")
        first, second = store.join(group, "one"), store.join(group, "two")
        block = Block(unique("order"), some(1), StreamState.NO_STREAM)
        before = store.last_position()
        with pytest.raises(LeaseLost):
            store.append_many([block], lease=second)
        assert store.last_position() == before
        store.append_many([block], lease=first)
        assert store.last_position() > before
        first.leave()
        with pytest.raises(LeaseLost):
            store.append_many([Block(unique("order"), some(1), StreamState.NO_STREAM)], lease=first)
        second.leave()

    def test_members_that_are_all_active_share_the_work(self, store: EventStore, group: str, type_: str) -> None:
        members = [store.join(group, name) for name in ("one", "two", "three")]
        put(store, unique("order"), some(60, type_))
        found: list[str] = []

        def work() -> bool:
            for member in members:
                deliveries = member.fetch(5, timeout=0.02)
                member.ack(deliveries)
                found.extend(ids(deliveries))
            return len(found) >= 60

        eventually(work)
        assert len(set(found)) == len(found) == 60
        for member in members:
            member.leave()
