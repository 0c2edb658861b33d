"""What an append owes: expected versions, idempotency by id, blocks that are all or nothing."""

import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from uuid import uuid4

import pytest

from process_manager.core.records import NewRecord
from process_manager.errors import AppendTooLarge, StoreError, StreamNotFound, WrongExpectedVersion
from process_manager.ports import MAX_APPEND, Appended, Block, EventStore, ExpectedVersion, StreamState
from process_manager.testing.contract.support import ContractPart, ids, new, only, put, some, unique

NO_STREAM, ANY, EXISTS = StreamState.NO_STREAM, StreamState.ANY, StreamState.EXISTS


def refused(store: EventStore, block: Block) -> WrongExpectedVersion:
    """Append what must be a conflict, and make sure that it left no trace."""
    before = stored(store, block.stream)
    with pytest.raises(WrongExpectedVersion) as caught:
        store.append(block)
    assert stored(store, block.stream) == before
    return caught.value


def stored(store: EventStore, stream: str) -> list[str]:
    try:
        return ids(list(store.read_stream(stream)))
    except StreamNotFound:
        return []


class AppendContract(ContractPart):
    """One append."""

    def test_an_append_says_where_its_last_record_stands(self, store: EventStore, stream: str) -> None:
        first = store.append(Block(stream, some(3), NO_STREAM))
        second = store.append(Block(stream, some(2), 2))
        assert (first.revision, second.revision) == (2, 4)
        records = list(store.read_stream(stream))
        assert [records[2].position, records[4].position] == [first.position, second.position]

    def test_what_is_read_is_what_was_appended(self, store: EventStore) -> None:
        stream = unique("Straße/ключ-∞")
        appended = [
            NewRecord(str(uuid4()), "test.Größe", b'{"a": "\xc3\xa4"}', b"{}"),
            NewRecord(str(uuid4()), "test.Bytes", bytes(range(256)), b""),
            NewRecord(str(uuid4()), "test.Empty", b"", b'{"$correlationId":"x"}'),
        ]
        before = time.time()
        records = put(store, stream, appended)
        assert [NewRecord(*record[:4]) for record in records] == appended
        assert [(record.stream, record.revision) for record in records] == [(stream, 0), (stream, 1), (stream, 2)]
        assert all(before - 60 < record.created / 1e6 < time.time() + 60 for record in records)

    def test_positions_increase_over_all_streams(self, store: EventStore) -> None:
        places = [store.append(Block(unique("order"), some(2), NO_STREAM)).position for _ in range(5)]
        assert all(earlier < later for earlier, later in pairwise(places))

    @pytest.mark.parametrize("expected", [0, 7, EXISTS])
    def test_without_a_stream_no_version_is_right(self, store: EventStore, stream: str, expected: ExpectedVersion) -> None:
        error = refused(store, Block(stream, some(1), expected))
        assert (error.stream, error.expected, error.actual) == (stream, expected, None)

    @pytest.mark.parametrize("expected", [NO_STREAM, 0, 2, 9])
    def test_another_version_than_the_current_is_a_conflict(self, store: EventStore, stream: str, expected: ExpectedVersion) -> None:
        put(store, stream, some(2))
        assert refused(store, Block(stream, some(1), expected)).actual == 1

    @pytest.mark.parametrize("expected", [ANY, EXISTS, 1])
    def test_the_current_version_and_what_admits_it_is_right(self, store: EventStore, stream: str, expected: ExpectedVersion) -> None:
        put(store, stream, some(2))
        assert store.append(Block(stream, some(1), expected)).revision == 2

    @pytest.mark.parametrize("expected", [ANY, NO_STREAM])
    def test_a_stream_begins(self, store: EventStore, stream: str, expected: ExpectedVersion) -> None:
        assert store.append(Block(stream, some(1), expected)).revision == 0

    def test_a_repeat_answers_with_the_original_place(self, store: EventStore, stream: str) -> None:
        first, second = Block(stream, some(3), NO_STREAM), Block(stream, some(2), 2)
        original = [store.append(first), store.append(second)]
        put(store, stream, some(4))
        assert [store.append(first), store.append(second)] == original
        assert len(stored(store, stream)) == 9

    def test_a_repeat_of_the_beginning_of_a_block_is_a_repeat(self, store: EventStore, stream: str) -> None:
        records = some(3)
        places = put(store, stream, records)
        assert store.append(Block(stream, records[:2], NO_STREAM)) == Appended(1, places[1].position)

    def test_ids_that_differ_later_are_a_conflict(self, store: EventStore, stream: str) -> None:
        records = some(3)
        put(store, stream, records)
        refused(store, Block(stream, [*records[:2], new()], NO_STREAM))

    def test_a_repeat_that_runs_past_the_end_is_a_conflict(self, store: EventStore, stream: str) -> None:
        records = some(2)
        put(store, stream, records)
        refused(store, Block(stream, [*records, new()], NO_STREAM))

    def test_a_repeat_at_another_version_is_a_conflict(self, store: EventStore, stream: str) -> None:
        records = some(3)
        put(store, stream, records)
        refused(store, Block(stream, records[:1], 0))

    def test_one_input_decided_differently_at_one_version_is_a_conflict(self, store: EventStore, stream: str) -> None:
        put(store, stream, [new(data=b"the input"), new(data=b"decided this")])
        put(store, stream, [new(data=b"the next input"), new(data=b"decided this")])
        refused(store, Block(stream, [new(data=b"the next input"), new(data=b"decided that")], 1))

    def test_content_is_never_compared(self, store: EventStore, stream: str) -> None:
        """As EventStoreDB: stored ids with other content are answered with success, and nothing is written."""
        put(store, stream, [new(id="00000000-0000-4000-8000-00000000000a", data=b"one")])
        put(store, stream, some(1))
        again = new("test.Other", b"another", id="00000000-0000-4000-8000-00000000000a")
        assert store.append(Block(stream, [again], NO_STREAM)).revision == 0
        assert [record.data for record in store.read_stream(stream, limit=1)] == [b"one"]

    def test_ids_are_not_compared_across_streams(self, store: EventStore) -> None:
        records = some(2)
        places = [store.append(Block(unique("order"), records, NO_STREAM)) for _ in range(2)]
        assert places[0].position < places[1].position

    def test_an_append_has_a_largest_size(self, store: EventStore, stream: str) -> None:
        with pytest.raises(AppendTooLarge) as caught:
            store.append(Block(stream, [new(data=b"x" * (MAX_APPEND // 2)) for _ in range(2)], NO_STREAM))
        assert (caught.value.stream, caught.value.limit) == (stream, MAX_APPEND)
        assert stored(store, stream) == []
        store.append(Block(stream, [new(data=b"x" * (MAX_APPEND - 1024))], NO_STREAM))
        assert len(stored(store, stream)) == 1

    @pytest.mark.parametrize(
        ("records", "expected"),
        [([], NO_STREAM), ([new("")], NO_STREAM), ([new(id="no UUID")], NO_STREAM), ([new(id="x" * 36)], NO_STREAM), ([new()], -1)],
        ids=["none", "no type", "no UUID", "nearly a UUID", "negative"],
    )
    def test_nonsense_is_a_value_error(self, store: EventStore, stream: str, records: list[NewRecord], expected: ExpectedVersion) -> None:
        with pytest.raises(ValueError, match=r".+"):
            store.append(Block(stream, records, expected))
        assert stored(store, stream) == []

    def test_of_many_who_expect_one_version_one_wins(self, store: EventStore, stream: str) -> None:
        def race(version: int) -> int:
            blocks = [Block(stream, some(1), NO_STREAM if version < 0 else version) for _ in range(6)]
            return sum(isinstance(answer, Appended) for answer in pool.map(attempt, blocks))

        def attempt(block: Block) -> Appended | StoreError:
            try:
                return store.append(block)
            except WrongExpectedVersion as error:
                return error

        with ThreadPoolExecutor(6) as pool:
            assert [race(version) for version in range(-1, 9)] == [1] * 10
        assert len(stored(store, stream)) == 10


class AppendManyContract(ContractPart):
    """Many blocks at once."""

    def test_answers_come_in_the_order_of_the_blocks(self, store: EventStore) -> None:
        blocks = [Block(unique("order"), some(size), NO_STREAM) for size in (1, 3, 2)]
        answers = store.append_many(blocks)
        assert [answer.revision for answer in answers if isinstance(answer, Appended)] == [0, 2, 1]
        assert [stored(store, block.stream) for block in blocks] == [ids(block.records) for block in blocks]

    def test_nothing_is_nothing(self, store: EventStore) -> None:
        assert list(store.append_many([])) == []

    def test_a_refused_block_leaves_the_others_alone(self, store: EventStore, type_: str) -> None:
        taken = unique("order")
        put(store, taken, some(1))
        blocks = [
            Block(unique("order"), some(1, type_), NO_STREAM),
            Block(taken, some(1, type_), NO_STREAM),
            Block(unique("order"), [new(type_, b"x" * MAX_APPEND)], NO_STREAM),
            Block(unique("order"), some(1, type_), 5),
            Block(unique("order"), some(2, type_), ANY),
        ]
        answers = store.append_many(blocks)
        kinds = [type(answer) for answer in answers]
        assert kinds == [Appended, WrongExpectedVersion, AppendTooLarge, WrongExpectedVersion, Appended]
        assert [record.stream for record in store.read_all(where=only(type_))] == [blocks[0].stream, *[blocks[4].stream] * 2]

    def test_repeats_and_new_blocks_may_be_mixed(self, store: EventStore) -> None:
        repeated = Block(unique("order"), some(2), NO_STREAM)
        original = store.append(repeated)
        put(store, repeated.stream, some(1))
        fresh = Block(unique("order"), some(1), NO_STREAM)
        answers = store.append_many([fresh, repeated])
        assert answers[1] == original
        assert [len(stored(store, block.stream)) for block in (fresh, repeated)] == [1, 3]

    def test_a_stream_may_be_named_once(self, store: EventStore, stream: str) -> None:
        with pytest.raises(ValueError, match="one stream"):
            store.append_many([Block(stream, some(1), ANY), Block(unique("order"), some(1), ANY), Block(stream, some(1), ANY)])
        assert stored(store, stream) == []

    def test_threads_do_not_disturb_each_other(self, store: EventStore, type_: str) -> None:
        def run(_: int) -> None:
            streams = [unique("order") for _ in range(5)]
            for version in range(5):
                expected = NO_STREAM if version == 0 else version * 2 - 1
                answers = store.append_many([Block(stream, some(2, type_), expected) for stream in streams])
                assert all(isinstance(answer, Appended) for answer in answers)

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(run, range(4)))
        records = list(store.read_all(where=only(type_)))
        assert len(records) == 4 * 5 * 5 * 2
        assert all(earlier.position < later.position for earlier, later in pairwise(records))
        for stream in {record.stream for record in records}:
            assert [record.revision for record in records if record.stream == stream] == list(range(10))
