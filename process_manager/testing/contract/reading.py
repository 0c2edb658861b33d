"""What reading owes: streams both ways, the log with a filter, subscriptions without gaps."""

import time
from itertools import pairwise
from threading import Thread

import pytest

from process_manager.errors import StreamNotFound
from process_manager.ports import BEFORE_ALL, EVERYTHING, Block, EventStore, Filter, StreamState
from process_manager.testing.contract.support import PATIENCE, ContractPart, eventually, ids, new, only, put, some, unique


class ReadStreamContract(ContractPart):
    """One stream."""

    @pytest.mark.parametrize(
        ("start", "backwards", "limit", "revisions"),
        [
            (None, False, None, [0, 1, 2, 3, 4]),
            (2, False, None, [2, 3, 4]),
            (2, False, 2, [2, 3]),
            (None, True, None, [4, 3, 2, 1, 0]),
            (2, True, None, [2, 1, 0]),
            (2, True, 1, [2]),
            (None, True, 1, [4]),
            (99, True, 2, [4, 3]),
            (99, False, None, []),
            (None, False, 0, []),
        ],
    )
    def test_a_stream_is_read_from_a_revision_both_ways(
        self, store: EventStore, stream: str, start: int | None, *, backwards: bool, limit: int | None, revisions: list[int]
    ) -> None:
        put(store, stream, some(5))
        put(store, unique("order"), some(2))
        records = store.read_stream(stream, start=start, backwards=backwards, limit=limit)
        assert [record.revision for record in records] == revisions

    @pytest.mark.parametrize("backwards", [False, True])
    def test_a_stream_that_never_was_is_not_found(self, store: EventStore, stream: str, *, backwards: bool) -> None:
        with pytest.raises(StreamNotFound) as caught:
            list(store.read_stream(stream, backwards=backwards))
        assert caught.value.stream == stream

    def test_a_long_stream_is_read_whole(self, store: EventStore, stream: str) -> None:
        for _ in range(5):
            put(store, stream, some(500))
        assert [record.revision for record in store.read_stream(stream)] == list(range(2500))
        assert [record.revision for record in store.read_stream(stream, backwards=True)] == list(range(2499, -1, -1))


class ReadAllContract(ContractPart):
    """The log."""

    def test_the_log_is_read_after_and_before_a_position(self, store: EventStore, type_: str) -> None:
        records = [put(store, unique("order"), some(1, type_))[0] for _ in range(5)]
        where = only(type_)
        assert list(store.read_all(where=where)) == records
        assert list(store.read_all(where=where, after=BEFORE_ALL)) == records
        assert list(store.read_all(where=where, after=records[1].position)) == records[2:]
        assert list(store.read_all(where=where, after=records[1].position, limit=2)) == records[2:4]
        assert list(store.read_all(where=where, backwards=True)) == records[::-1]
        assert list(store.read_all(where=where, after=records[3].position, backwards=True)) == records[2::-1]
        assert list(store.read_all(where=where, backwards=True, limit=2)) == records[:2:-1]
        assert list(store.read_all(where=where, after=records[4].position)) == []
        assert list(store.read_all(where=where, after=records[0].position, backwards=True)) == []
        assert list(store.read_all(where=where, limit=0)) == []

    def test_a_filter_asks_for_types_type_prefixes_and_stream_prefixes(self, store: EventStore) -> None:
        shop, bank, before = unique("shop"), unique("bank"), store.last_position()
        put(store, f"{shop}-1", [new(f"{shop}.Placed"), new(f"{shop}.Paid")])
        put(store, f"{bank}-1", [new(f"{bank}.Charged"), new(f"{shop}.Seen")])
        put(store, unique("other"), [new(f"{bank}.Other"), new(f"{bank}_2")])

        def found(**where: tuple[str, ...] | frozenset[str]) -> list[str]:
            wanted = Filter(**where)  # type: ignore[arg-type]  # every test names its fields
            return [record.type.replace(shop, "s").replace(bank, "b") for record in store.read_all(after=before, where=wanted)]

        assert found(types=frozenset([f"{shop}.Placed", f"{bank}.Other"])) == ["s.Placed", "b.Other"]
        assert found(type_prefixes=(f"{shop}.",)) == ["s.Placed", "s.Paid", "s.Seen"]
        assert found(type_prefixes=(f"{shop}.P", f"{bank}.")) == ["s.Placed", "s.Paid", "b.Charged", "b.Other"]
        assert found(stream_prefixes=(f"{bank}-",)) == ["b.Charged", "s.Seen"]
        assert found(types=frozenset([f"{bank}.Other"]), stream_prefixes=(f"{shop}-",)) == ["s.Placed", "s.Paid", "b.Other"]

    def test_everything_leaves_out_what_is_the_stores_own(self, store: EventStore, type_: str) -> None:
        records = put(store, unique("order"), [new(type_), new("$" + type_), new(type_)])
        after = records[0].position
        assert ids([it for it in store.read_all(after=after, where=EVERYTHING) if type_ in it.type]) == [records[2].id]
        assert ids(list(store.read_all(where=only("$" + type_)))) == [records[1].id]

    def test_reading_holds_up_nobody(self, store: EventStore, stream: str) -> None:
        """An append goes through while somebody is in the middle of reading."""
        before = store.last_position()
        put(store, stream, some(5))
        for reading in (store.read_all(after=before), store.read_stream(stream), store.read_all(backwards=True, limit=5)):
            next(iter(reading))
            put(store, stream, some(1))
            list(reading)

    def test_a_long_log_is_read_whole(self, store: EventStore, type_: str) -> None:
        for _ in range(5):
            blocks = [Block(unique("order"), [*some(5, type_), *some(5)], StreamState.NO_STREAM) for _ in range(50)]
            store.append_many(blocks)
        records = list(store.read_all(where=only(type_)))
        assert len(records) == 1250
        assert all(earlier.position < later.position for earlier, later in pairwise(records))
        assert list(store.read_all(where=only(type_), backwards=True)) == records[::-1]

    def test_the_last_position_is_the_newest_records(self, store: EventStore, stream: str) -> None:
        before = store.last_position()
        (record,) = put(store, stream, some(1))
        assert before < record.position <= store.last_position()


class SubscriptionContract(ContractPart):
    """Following the log."""

    def test_a_subscription_gives_what_is_there_and_what_comes(self, store: EventStore, type_: str) -> None:
        records = put(store, unique("order"), some(3, type_))
        subscription = store.subscribe(where=only(type_), after=records[0].position)
        found = list(subscription.next_batch(1, timeout=PATIENCE)) + list(subscription.next_batch(5, timeout=PATIENCE))
        assert found == records[1:]
        records += put(store, unique("order"), some(2, type_))
        while len(found) < 4:
            more = subscription.next_batch(5, timeout=PATIENCE)
            assert more
            found += more
        assert found == records[1:]
        assert list(subscription.next_batch(5)) == []
        subscription.close()

    def test_a_subscription_resumes_from_its_position(self, store: EventStore, type_: str) -> None:
        put(store, unique("order"), [new(type_), new(), new(type_), new()])
        first = store.subscribe(where=only(type_))
        found = list(first.next_batch(1, timeout=PATIENCE))
        first.close()
        second = store.subscribe(where=only(type_), after=first.position)
        found += second.next_batch(5, timeout=PATIENCE)
        second.close()
        assert ids(found) == ids(list(store.read_all(where=only(type_))))

    def test_the_position_passes_what_does_not_match(self, store: EventStore, type_: str) -> None:
        (record, *_) = put(store, unique("order"), [new(type_), *some(5)])
        subscription = store.subscribe(where=only(type_))
        assert ids(subscription.next_batch(1, timeout=PATIENCE)) == [record.id]
        (last,) = put(store, unique("order"), some(1))
        eventually(lambda: not subscription.next_batch(5) and subscription.position >= last.position)
        subscription.close()

    def test_a_waiting_subscription_is_woken(self, store: EventStore, type_: str) -> None:
        subscription = store.subscribe(where=only(type_), after=store.last_position())
        thread = Thread(target=lambda: put(store, unique("order"), some(1, type_)))
        thread.start()
        assert len(subscription.next_batch(5, timeout=PATIENCE)) == 1
        thread.join()
        subscription.close()

    def test_waiting_ends_with_a_record_or_with_the_time(self, store: EventStore) -> None:
        last = store.last_position()
        put(store, unique("order"), some(1))
        assert store.wait(last, PATIENCE)
        start = time.monotonic()
        assert not store.wait(store.last_position() + 10**12, 0.05)  # so far that nobody else who writes here ends it
        assert time.monotonic() - start >= 0.04

    def test_waiting_is_ended_by_another_thread(self, store: EventStore) -> None:
        last = store.last_position()
        thread = Thread(target=lambda: put(store, unique("order"), some(1)))
        thread.start()
        assert store.wait(last, PATIENCE)
        thread.join()
