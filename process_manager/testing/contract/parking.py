"""What consumer groups owe for what they set aside: it is kept with its reason, and replayed or dropped."""

from uuid import uuid4

from process_manager.ports import EventStore, GroupSettings, Nack
from process_manager.testing.contract.groups import LONG, GroupPart, nothing_more
from process_manager.testing.contract.support import eventually, ids, only, put, some, take, unique


class ParkingContract(GroupPart):
    """What becomes of deliveries that were not handled."""

    def test_a_retry_is_delivered_again_before_what_is_new(self, store: EventStore, group: str, type_: str) -> None:
        put(store, unique("order"), some(3, type_))
        consumer = store.join(group, "one")
        (first,) = take(consumer, 1)
        for retries in (1, 2):
            consumer.nack([first], Nack.RETRY)
            (first,) = take(consumer, 1)
            assert (first.record.revision, first.retries) == (0, retries)
        consumer.ack([first, *take(consumer, 2)])
        nothing_more(consumer)
        consumer.leave()

    def test_a_skipped_delivery_is_gone(self, store: EventStore, group: str, type_: str) -> None:
        put(store, unique("order"), some(2, type_))
        consumer = store.join(group, "one")
        found = take(consumer, 2)
        consumer.nack(found[:1], Nack.SKIP, "not mine")
        consumer.ack(found[1:])
        nothing_more(consumer)
        assert list(store.parked(group)) == []
        consumer.leave()

    def test_what_is_parked_is_kept_with_its_reason(self, store: EventStore, group: str, type_: str) -> None:
        records = put(store, unique("order"), some(3, type_))
        consumer = store.join(group, "one")
        found = take(consumer, 3)
        consumer.nack(found[1:2], Nack.PARK, "cannot be decoded")
        eventually(lambda: len(store.parked(group)) == 1)
        consumer.nack(found[:1], Nack.PARK, "neither")
        consumer.ack(found[2:])
        parked = eventually(lambda: store.parked(group) if len(store.parked(group)) == 2 else None)
        assert [(it.record, it.reason) for it in parked or ()] == [(records[1], "cannot be decoded"), (records[0], "neither")]
        nothing_more(consumer)
        consumer.leave()

    def test_too_many_retries_park(self, store: EventStore, type_: str) -> None:
        name = unique("group")
        settings = GroupSettings(message_timeout=LONG, max_retries=2)
        store.create_group(name, where=only(type_), after=store.last_position(), settings=settings)
        put(store, unique("order"), some(1, type_))
        consumer = store.join(name, "one")
        for retries in (0, 1, 2):
            found = take(consumer, 1)
            assert found[0].retries == retries
            consumer.nack(found, Nack.RETRY, "still broken")
        eventually(lambda: len(store.parked(name)) == 1)
        nothing_more(consumer)
        consumer.leave()

    def test_what_is_replayed_is_delivered_as_if_new(self, store: EventStore, group: str, type_: str) -> None:
        put(store, unique("order"), some(4, type_))
        consumer = store.join(group, "one")
        found = take(consumer, 4)
        consumer.nack(found[:3], Nack.PARK, "broken")
        consumer.ack(found[3:])
        eventually(lambda: len(store.parked(group)) == 3)
        assert store.replay_parked(group) == 3
        again = sorted(take(consumer, 3), key=lambda it: it.record.position)
        assert [(it.record, it.retries) for it in again] == [(it.record, 0) for it in found[:3]]
        consumer.ack(again)
        eventually(lambda: not store.parked(group))
        nothing_more(consumer)
        assert store.replay_parked(group) == 0
        consumer.leave()

    def test_what_is_dropped_is_settled(self, store: EventStore, group: str, type_: str) -> None:
        records = put(store, unique("order"), some(3, type_))
        consumer = store.join(group, "one")
        found = take(consumer, 3)
        consumer.ack(found[:1])
        consumer.nack(found[1:], Nack.PARK, "broken")
        eventually(lambda: len(store.parked(group)) == 2)
        assert store.drop_parked(group, [records[1].id, str(uuid4())]) == 1
        assert [it.record.id for it in store.parked(group)] == [records[2].id]
        assert store.replay_parked(group) == 1
        again = take(consumer, 1)
        assert ids(again) == [records[2].id]
        consumer.ack(again)
        nothing_more(consumer)
        assert store.drop_parked(group, [records[1].id]) == 0
        eventually(lambda: store.group(group).lag == 0)
        consumer.leave()
        other = store.join(group, "two")
        nothing_more(other)
        other.leave()
