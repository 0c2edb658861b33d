"""What a store owes that outlives its process, or that several use at once."""

from datetime import timedelta
from pathlib import Path

import pytest

from process_manager.errors import StoreError, WrongExpectedVersion
from process_manager.ports import Block, EventStore, GroupSettings, Nack, StreamState
from process_manager.testing.contract.support import PATIENCE, ContractPart, eventually, ids, needs, only, put, some, take, unique


class SharingContract(ContractPart):
    """Opening the same place again, later or at the same time."""

    def test_a_closed_store_refuses(self, tmp_path: Path, stream: str) -> None:
        store = self.open_store(tmp_path)
        store.close()
        store.close()
        with pytest.raises(StoreError):
            store.append(Block(stream, some(1), StreamState.ANY))

    def test_what_was_appended_is_there_after_reopening(self, store: EventStore, tmp_path: Path, stream: str) -> None:
        needs(store, "durable")
        block = Block(stream, some(3), StreamState.NO_STREAM)
        place = store.append(block)
        put(store, stream, some(1))
        store.close()
        again = self.open_store(tmp_path)
        assert ids(list(again.read_stream(stream, limit=3))) == ids(block.records)
        assert again.append(block) == place
        again.close()

    def test_a_group_is_there_after_reopening(self, store: EventStore, tmp_path: Path, type_: str) -> None:
        needs(store, "durable")
        name = unique("group")
        store.create_group(name, where=only(type_), after=store.last_position())
        put(store, unique("order"), some(4, type_))
        consumer = store.join(name, "one")
        found = take(consumer, 3)
        consumer.ack(found[:1])
        consumer.nack(found[1:2], Nack.PARK, "broken")
        eventually(lambda: len(store.parked(name)) == 1)
        store.close()
        again = self.open_store(tmp_path)
        assert [(it.record, it.reason) for it in again.parked(name)] == [(found[1].record, "broken")]
        rest = sorted(take(again.join(name, "two"), 2), key=lambda it: it.record.position)
        assert [it.record.revision for it in rest] == [2, 3]
        again.close()

    def test_two_stores_at_one_place_see_each_other(self, store: EventStore, tmp_path: Path, stream: str, type_: str) -> None:
        needs(store, "shared")
        other = self.open_store(tmp_path)
        subscription = other.subscribe(where=only(type_), after=other.last_position())
        for version in range(0, 10, 2):
            put(store, stream, some(1, type_), version - 1 if version else StreamState.NO_STREAM)
            with pytest.raises(WrongExpectedVersion):
                other.append(Block(stream, some(1, type_), version - 1 if version else StreamState.NO_STREAM))
            put(other, stream, some(1, type_), version)
        seen: list[str] = []
        while len(seen) < 10:
            more = subscription.next_batch(100, timeout=PATIENCE)
            assert more
            seen += ids(more)
        assert seen == ids(list(store.read_stream(stream)))
        other.close()

    def test_a_standby_elsewhere_takes_over_from_who_leaves(self, store: EventStore, tmp_path: Path, type_: str) -> None:
        needs(store, "shared")
        name = unique("group")
        settings = GroupSettings(lease=timedelta(seconds=60))
        store.create_group(name, where=only(type_), after=store.last_position(), settings=settings)
        other = self.open_store(tmp_path)
        first = store.join(name, "one")
        put(store, unique("order"), some(2, type_))
        found = take(first, 2)
        second = other.join(name, "two")
        first.ack(found[:1])
        first.leave()
        (delivery,) = take(second, 1)
        assert (delivery.record.revision, delivery.retries) == (1, 1)
        other.close()
