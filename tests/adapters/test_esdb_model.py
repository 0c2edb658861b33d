"""Over gRPC, streams and the log give the answers that the memory store gives, whatever is asked of them in whatever order."""

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest

pytest.importorskip("esdbclient", reason="the esdb extra is not installed")

from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from process_manager.adapters.esdb.store import EsdbStore
from process_manager.adapters.memory import MemoryStore
from process_manager.core.records import NewRecord, Record
from process_manager.errors import StoreError
from process_manager.ports import Appended, Block, EventStore, ExpectedVersion, Filter, StreamState
from tests.adapters.esdb_server import server_url

STREAMS = st.sampled_from(["order-1", "order-2", "bill-1"])
TYPES = st.sampled_from(["A", "B", "AB"])
EXACT: st.SearchStrategy[ExpectedVersion] = st.one_of(st.just(StreamState.NO_STREAM), st.integers(0, 6))
LOOSE = st.sampled_from([StreamState.ANY, StreamState.EXISTS])
FEW_IDS = st.integers(1, 6).map(lambda number: str(UUID(int=number)))
DATA = st.binary(max_size=3)
MOST = 4
"""Records that a read with a limit asks for."""


class Streams(RuleBasedStateMachine):
    """Names are this run's own, so that all runs may share a server."""

    def __init__(self) -> None:
        super().__init__()
        self.run = uuid4().hex
        self.memory, self.esdb = MemoryStore(), EsdbStore(server_url())
        self.start = self.esdb.last_position()
        self.places = {-1: self.start}  # from a position in memory to the one on the server
        self.append("order-0", [NewRecord(str(uuid4()), type_, b"", b"") for type_ in ["A", "B", "AB"] * MOST], StreamState.NO_STREAM)
        self.first = max(self.places)  # a read backwards ends before it, not at the beginning of a log that others have written to

    def named(self, stream: str) -> str:
        return f"{self.run}.{stream}"

    def same(self, ask: Callable[[EventStore, Callable[[int], int]], Any]) -> Any:
        """Ask both; what they answer, or refuse with, is the same but for positions and times."""
        answers = [self._answer(ask, self.memory, lambda at: at), self._answer(ask, self.esdb, self.places.__getitem__)]
        assert self._plain(answers[0]) == self._plain(answers[1])
        return answers

    def _answer(self, ask: Callable[[EventStore, Callable[[int], int]], Any], store: EventStore, place: Callable[[int], int]) -> Any:
        try:
            return ask(store, place)
        except StoreError as error:
            return type(error), getattr(error, "actual", None)

    def _plain(self, answer: Any) -> Any:
        if isinstance(answer, list):
            return [it._replace(position=0, created=0) if isinstance(it, Record) else it for it in answer]
        return answer.revision if isinstance(answer, Appended) else answer

    def append(self, stream: str, records: list[NewRecord], expected: ExpectedVersion) -> None:
        block = Block(self.named(stream), [it._replace(type=f"{self.run}.{it.type}") for it in records], expected)
        self.same(lambda store, _: store.append(block))
        mine, theirs = (list(store.read_stream(block.stream)) if self._exists(store, block) else [] for store in (self.memory, self.esdb))
        self.places |= {ours.position: other.position for ours, other in zip(mine, theirs, strict=True)}

    def _exists(self, store: EventStore, block: Block) -> bool:
        return bool(self._answer(lambda it, _: len(list(it.read_stream(block.stream, limit=1))), store, lambda at: at) == 1)

    @rule(stream=STREAMS, expected=EXACT, records=st.lists(st.builds(NewRecord, FEW_IDS, TYPES, DATA, DATA), min_size=1, max_size=3))
    def append_exactly(self, stream: str, expected: ExpectedVersion, records: list[NewRecord]) -> None:
        self.append(stream, records, expected)

    @rule(stream=STREAMS, expected=LOOSE, type_=TYPES, data=st.lists(DATA, min_size=1, max_size=3))
    def append_loosely(self, stream: str, expected: StreamState, type_: str, data: list[bytes]) -> None:
        self.append(stream, [NewRecord(str(uuid4()), type_, each, b"") for each in data], expected)

    @rule(stream=STREAMS, start=st.none() | st.integers(0, 9), backwards=st.booleans(), limit=st.none() | st.integers(0, 4))
    def read_stream(self, stream: str, start: int | None, limit: int | None, *, backwards: bool) -> None:
        self.same(lambda store, _: list(store.read_stream(self.named(stream), start=start, backwards=backwards, limit=limit)))

    @rule(
        data=st.data(),
        where=st.builds(
            lambda types, prefixes, streams: (types, prefixes or ["A"], streams),
            st.frozensets(TYPES, max_size=2),
            st.lists(TYPES, max_size=1),
            st.lists(st.sampled_from(["order-", "bill-1"]), max_size=1),
        ),
        limit=st.none() | st.integers(0, MOST),
        backwards=st.booleans(),
    )
    def read_log(self, data: Any, where: Any, limit: int | None, *, backwards: bool) -> None:
        after = data.draw(st.sampled_from(sorted(self.places)))
        types, prefixes, streams = ([self.named(it) for it in part] for part in where)
        wanted = Filter(frozenset(types), tuple(prefixes), tuple(streams))
        back = backwards and after > self.first
        most = MOST if back and limit is None else limit
        self.same(lambda store, place: list(store.read_all(after=place(after), where=wanted, limit=most, backwards=back)))

    def teardown(self) -> None:
        self.esdb.close()


TestStreams = Streams.TestCase
TestStreams.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
