"""Memory and SQLite give the same answers, whatever is asked of them in whatever order."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from process_manager.adapters.memory import MemoryStore
from process_manager.adapters.sqlite import SqliteStore
from process_manager.core.records import NewRecord, Record
from process_manager.errors import ProcessManagerError
from process_manager.ports import (
    EVERYTHING,
    Block,
    Consumer,
    Delivery,
    EventStore,
    ExpectedVersion,
    Filter,
    GroupInfo,
    GroupSettings,
    Nack,
    Parked,
    StreamState,
)

STREAMS = st.sampled_from(["order-1", "order-2", "bill-1"])
EXPECTED: st.SearchStrategy[ExpectedVersion] = st.one_of(st.sampled_from(StreamState), st.integers(0, 6))
RECORDS = st.lists(
    st.builds(
        lambda number, type_, data: NewRecord(str(UUID(int=number)), type_, data, b""),
        st.integers(1, 6),
        st.sampled_from(["test.A", "test.B", "$own"]),
        st.binary(max_size=3),
    ),
    min_size=1,
    max_size=3,
)
BLOCKS = st.builds(Block, STREAMS, RECORDS, EXPECTED)
POSITIONS = st.one_of(st.none(), st.integers(-1, 12))
FILTERS = st.sampled_from(
    [
        EVERYTHING,
        Filter(types=frozenset(["test.A"])),
        Filter(type_prefixes=("test.", "$")),
        Filter(stream_prefixes=("bill-",)),
        Filter(types=frozenset(["test.B"]), stream_prefixes=("order-1",)),
        Filter(stream_prefixes=("",)),
    ]
)


def plain(answer: Any) -> Any:
    """An answer without the store's own times, and errors by what they say."""
    match answer:
        case Record():
            return answer._replace(created=0)
        case Delivery(record, retries):
            return record._replace(created=0), retries
        case Parked(record, reason, _):
            return record._replace(created=0), reason
        case GroupInfo():
            return replace(answer, oldest=None if answer.oldest is None else 0)
        case ProcessManagerError() | ValueError():
            return type(answer), str(answer), vars(answer)
        case list() | tuple():
            return [plain(item) for item in answer]
        case _:
            return answer


def asked(question: Callable[[], Any]) -> Any:
    try:
        return plain(question())
    except (ProcessManagerError, ValueError) as error:
        return plain(error)


class Stores(RuleBasedStateMachine):
    """The same questions to both, and to a second SQLite store on the same file."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = TemporaryDirectory()
        path = Path(self.directory.name) / "store.db"
        self.memory = MemoryStore()
        self.sqlite = SqliteStore(path)
        self.other = SqliteStore(path)  # another process, as it were
        self.consumers: list[Consumer] = []
        self.held: list[list[Delivery]] = []

    def same(self, ask: Callable[[EventStore], Any], *, other: bool = False) -> Any:
        ours = asked(lambda: ask(self.other if other else self.sqlite))
        assert ours == asked(lambda: ask(self.memory))
        return ours

    @rule(block=BLOCKS, other=st.booleans())
    def append(self, block: Block, other: bool) -> None:
        self.same(lambda store: store.append(block), other=other)

    @rule(blocks=st.lists(BLOCKS, max_size=3), other=st.booleans())
    def append_many(self, blocks: list[Block], other: bool) -> None:
        self.same(lambda store: list(store.append_many(blocks)), other=other)

    @rule(stream=STREAMS, start=st.one_of(st.none(), st.integers(0, 8)), backwards=st.booleans(), limit=st.sampled_from([None, 0, 1, 3]))
    def read_stream(self, stream: str, start: int | None, backwards: bool, limit: int | None) -> None:
        self.same(lambda store: list(store.read_stream(stream, start=start, backwards=backwards, limit=limit)))

    @rule(after=POSITIONS, backwards=st.booleans(), limit=st.sampled_from([None, 0, 1, 3]), where=FILTERS, other=st.booleans())
    def read_all(self, after: int | None, backwards: bool, limit: int | None, where: Filter, other: bool) -> None:
        self.same(lambda store: list(store.read_all(after=after, backwards=backwards, limit=limit, where=where)), other=other)

    @rule(after=st.integers(-1, 12), where=FILTERS, limit=st.integers(1, 4), other=st.booleans())
    def subscribe(self, after: int, where: Filter, limit: int, other: bool) -> None:
        def follow(store: EventStore) -> Any:
            subscription = store.subscribe(after=after, where=where)
            found = [list(subscription.next_batch(limit)) for _ in range(3)]
            return found, subscription.position if found[-1] == [] else None

        self.same(follow, other=other)

    @rule(where=FILTERS, after=st.integers(-1, 6), most=st.integers(0, 2))
    def create_group(self, where: Filter, after: int, most: int) -> None:
        settings = GroupSettings(timedelta(hours=1), most, timedelta(hours=1))
        self.same(lambda store: store.create_group("group", where=where, after=after, settings=settings))

    @rule()
    def delete_group(self) -> None:
        self.leave()
        self.same(lambda store: store.delete_group("group"))

    @precondition(lambda self: not self.consumers)
    @rule(other=st.booleans())
    def join(self, other: bool) -> None:
        with suppress(ProcessManagerError):
            self.consumers = [self.memory.join("group", "a"), (self.other if other else self.sqlite).join("group", "a")]
            self.held = [[], []]

    @rule()
    def leave(self) -> None:
        for consumer in self.consumers:
            consumer.leave()
        self.consumers = []

    @precondition(lambda self: self.consumers)
    @rule(limit=st.integers(1, 5))
    def fetch(self, limit: int) -> None:
        answers = [list(consumer.fetch(limit)) for consumer in self.consumers]
        assert plain(answers[0]) == plain(answers[1])
        self.held = [held + answer for held, answer in zip(self.held, answers, strict=True)]

    @precondition(lambda self: self.consumers)
    @rule(choice=st.sets(st.integers(0, 8), max_size=4), action=st.one_of(st.none(), st.sampled_from(Nack)))
    def answer(self, choice: set[int], action: Nack | None) -> None:
        for consumer, held in zip(self.consumers, self.held, strict=True):
            chosen = [held[number] for number in sorted(choice) if number < len(held)]
            if action:
                consumer.nack(chosen, action, "because")
            else:
                consumer.ack(chosen)

    @rule(ids=st.one_of(st.none(), st.sets(st.integers(1, 6), max_size=3)), other=st.booleans())
    def replay(self, ids: set[int] | None, other: bool) -> None:
        chosen = None if ids is None else [str(UUID(int=number)) for number in ids]
        self.same(lambda store: store.replay_parked("group", chosen), other=other)

    @rule(ids=st.sets(st.integers(1, 6), max_size=3), other=st.booleans())
    def drop(self, ids: set[int], other: bool) -> None:
        self.same(lambda store: store.drop_parked("group", [str(UUID(int=number)) for number in ids]), other=other)

    @invariant()
    def agree(self) -> None:
        self.same(lambda store: store.last_position(), other=True)
        self.same(lambda store: sorted(map(repr, plain(list(store.parked("group"))))))
        self.same(lambda store: [replace(it, checkpoint=0, lag=0) for it in store.groups()], other=True)

    @precondition(lambda self: self.consumers)
    @rule()
    def drain(self) -> None:
        """In the end both have handed out everything, and nothing is left."""
        while True:
            self.fetch(3)
            if not any(self.held):
                break
            for consumer, held in zip(self.consumers, self.held, strict=True):
                consumer.ack(held)
                held.clear()
        with suppress(ProcessManagerError):
            assert plain(self.memory.group("group")) == plain(self.sqlite.group("group"))

    def teardown(self) -> None:
        self.sqlite.close()
        self.other.close()
        self.directory.cleanup()


TestStores = Stores.TestCase
TestStores.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
