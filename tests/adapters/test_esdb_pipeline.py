"""The pipeline of appends when calls break, answers come in odd order, or never: asked of a server that does as the test says."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from queue import SimpleQueue
from threading import Event, Thread
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import pytest

pytest.importorskip("esdbclient", reason="the esdb extra is not installed")

import grpc
from esdbclient.protos.Grpc import shared_pb2, streams_pb2
from google.protobuf.empty_pb2 import Empty

from process_manager.adapters.esdb import backoff, pipeline as module
from process_manager.adapters.esdb.client import Client
from process_manager.adapters.esdb.pipeline import WINDOW, Pipeline
from process_manager.errors import AccessDenied, AppendTooLarge, StoreUnavailable, StreamDeleted, WrongExpectedVersion
from process_manager.ports import Appended, Block, StreamState
from process_manager.testing.contract.support import PATIENCE, eventually, new, some, unique
from tests.adapters.esdb_status import Status

Answers = list[Any]
Behaviour = Callable[[Any], Answers]
"""What a call answers to a request: messages, or an error that ends it."""

POSITIONS = count(100)
LOST = Status(grpc.StatusCode.UNAVAILABLE, "Socket closed")
NO_STREAM = StreamState.NO_STREAM


def success(request: Any, *, structured: bool = False) -> Any:
    correlation = request.correlation_id
    if structured:
        number = UUID(correlation.string).int
        halves = shared_pb2.UUID.Structured(
            most_significant_bits=_signed(number >> 64), least_significant_bits=_signed(number & (1 << 64) - 1)
        )
        correlation = shared_pb2.UUID(structured=halves)
    place = shared_pb2.AllStreamPosition(commit_position=next(POSITIONS))
    done = streams_pb2.BatchAppendResp.Success(current_revision=len(request.proposed_messages) - 1, position=place)
    return streams_pb2.BatchAppendResp(correlation_id=correlation, success=done)


def _signed(half: int) -> int:
    return half - (1 << 64) if half >= 1 << 63 else half


def refusal(request: Any, detail: Any, said: str = "") -> Any:
    answer = streams_pb2.BatchAppendResp(correlation_id=request.correlation_id)
    answer.error.message = said
    answer.error.details.Pack(detail)
    return answer


class FakeCall:
    """A BatchAppend call: takes requests in a thread, answers as told."""

    def __init__(self, behave: Behaviour, seen: list[Any]) -> None:
        self._requests: SimpleQueue[Any] = SimpleQueue()
        self._answers: SimpleQueue[Any] = SimpleQueue()
        self._behave, self._seen = behave, seen
        Thread(target=self._serve, daemon=True).start()

    def send(self, request: Any) -> None:
        self._requests.put(request)

    def _serve(self) -> None:
        for request in iter(self._requests.get, None):
            self._seen.append(request)
            for answer in self._behave(request):
                self._answers.put(answer)

    def cancel(self) -> None:
        self._requests.put(None)
        self._answers.put(Status(grpc.StatusCode.CANCELLED, "Locally cancelled by application!"))

    def __iter__(self) -> Iterator[Any]:
        while True:
            answer = self._answers.get()
            if isinstance(answer, Exception):
                raise answer
            yield answer


class FakeClient:
    """Each call behaves as the next of `behaviours`; the last one goes for all that follow."""

    def __init__(self, *behaviours: Behaviour) -> None:
        self._behaviours = list(behaviours)
        self.seen: list[list[Any]] = []
        self.followed: list[str | None] = []
        self.closed = False

    def batch_append(self) -> FakeCall:
        behave = self._behaviours.pop(0) if len(self._behaviours) > 1 else self._behaviours[0]
        self.seen.append([])
        return FakeCall(behave, self.seen[-1])

    def receive(self, name: str, work: Callable[[], None]) -> None:
        Thread(target=work, name=name, daemon=True).start()

    def follow(self, leader: str | None) -> None:
        self.followed.append(leader)

    def check_open(self) -> None:
        if self.closed:
            raise StoreUnavailable("this store was closed")

    def close(self) -> None:
        self.closed = True


def works(request: Any) -> Answers:
    return [success(request)]


def breaks(_: Any) -> Answers:
    return [LOST]


def opened(*behaviours: Behaviour, patience: float = PATIENCE) -> tuple[Pipeline, FakeClient]:
    client = FakeClient(*behaviours)
    return Pipeline(cast("Client", client), patience), client


def blocks(number: int, expected: StreamState = NO_STREAM) -> list[Block]:
    return [Block(unique("order"), some(1), expected) for _ in range(number)]


class TestAnswers:
    """Which answer is whose."""

    def test_answers_in_any_order_find_their_block(self) -> None:
        held: list[Any] = []

        def all_at_the_end(request: Any) -> Answers:
            held.append(request)
            return [success(it) for it in reversed(held)] if len(held) == 3 else []

        pipeline, _ = opened(all_at_the_end)
        found = pipeline.append([Block(unique("order"), some(size), NO_STREAM) for size in (1, 2, 3)])
        assert [answer.revision for answer in found if isinstance(answer, Appended)] == [0, 1, 2]
        pipeline.close()

    def test_an_id_may_come_back_as_two_halves(self) -> None:
        pipeline, _ = opened(lambda request: [success(request, structured=True)])
        assert all(isinstance(answer, Appended) for answer in pipeline.append(blocks(3)))
        pipeline.close()

    def test_what_is_refused_leaves_the_others_alone(self) -> None:
        def answer(request: Any) -> Answers:
            size = len(request.proposed_messages)
            if size == 1:
                return [refusal(request, shared_pb2.WrongExpectedVersion(current_stream_revision=7))]
            if size == 2:
                return [refusal(request, shared_pb2.StreamDeleted())]
            return [success(request)]

        pipeline, _ = opened(answer)
        found = pipeline.append([Block(unique("order"), some(size), NO_STREAM) for size in (1, 2, 3)])
        assert [type(it) for it in found] == [WrongExpectedVersion, StreamDeleted, Appended]
        assert isinstance(found[0], WrongExpectedVersion)
        assert found[0].actual == 7
        pipeline.close()

    def test_a_success_without_a_place_wrote_nothing(self) -> None:
        """So a server answers ids that a deleted stream once held."""

        def answer(request: Any) -> Answers:
            done = success(request)
            done.success.no_position.SetInParent()
            return [done]

        pipeline, _ = opened(answer)
        assert isinstance(pipeline.append(blocks(1))[0], StreamDeleted)
        pipeline.close()

    def test_a_server_that_holds_less_in_an_append_says_how_much(self) -> None:
        pipeline, _ = opened(lambda request: [refusal(request, shared_pb2.MaximumAppendSizeExceeded(maxAppendSize=4))])
        (refused,) = pipeline.append(blocks(1))
        assert isinstance(refused, AppendTooLarge)
        assert refused.limit == 4
        pipeline.close()

    def test_the_window_holds_back_what_is_unanswered(self) -> None:
        released, unanswered, most = Event(), SimpleQueue[Any](), [0]

        def slow(request: Any) -> Answers:
            unanswered.put(request)
            most[0] = max(most[0], unanswered.qsize())
            if unanswered.qsize() >= WINDOW:
                released.set()
            return [success(unanswered.get()) for _ in range(unanswered.qsize())] if released.is_set() else []

        pipeline, _ = opened(slow)
        assert len(pipeline.append(blocks(WINDOW * 3))) == WINDOW * 3
        assert most[0] == WINDOW
        pipeline.close()


class TestBrokenCalls:
    """A call that breaks leaves open what became of its blocks."""

    def test_the_same_bytes_go_out_again(self) -> None:
        pipeline, client = opened(breaks, breaks, works)
        asked = blocks(1)
        assert isinstance(pipeline.append(asked)[0], Appended)
        sent = [[request.SerializeToString(deterministic=True) for request in call] for call in client.seen]
        assert len(sent) == 3
        assert sent[0] == sent[1] == sent[2]
        assert client.seen[0][0].proposed_messages[0].id.string == asked[0].records[0].id
        pipeline.close()

    def test_what_is_answered_is_not_sent_again(self) -> None:
        answered = count()
        pipeline, client = opened(lambda request: [success(request)] if next(answered) < 2 else [LOST], works)
        assert all(isinstance(it, Appended) for it in pipeline.append(blocks(4)))
        first = {it.correlation_id.string for it in client.seen[0][:2]}
        again = {it.correlation_id.string for it in client.seen[1]}
        assert len(again) == 2
        assert not first & again
        pipeline.close()

    @pytest.mark.parametrize("expected", [StreamState.ANY, StreamState.EXISTS])
    def test_what_might_be_written_twice_is_left_to_the_caller(self, expected: StreamState) -> None:
        pipeline, client = opened(breaks, works)
        with pytest.raises(StoreUnavailable, match="may or may not be written"):
            pipeline.append(blocks(1, expected))
        assert [len(call) for call in client.seen] == [1]
        assert isinstance(pipeline.append(blocks(1, expected))[0], Appended)
        pipeline.close()

    def test_a_timeout_in_an_answer_is_asked_again(self) -> None:
        answers = iter([shared_pb2.Timeout(), None])
        pipeline, client = opened(lambda request: [refusal(request, it) if (it := next(answers)) else success(request)])
        assert isinstance(pipeline.append(blocks(1))[0], Appended)
        assert len(client.seen) == 1
        pipeline.close()

    def test_a_node_without_a_leader_is_asked_again_then_another_one(self) -> None:
        """It says so in its answers, while a cluster elects or when it is cut off from it: that is no refusal."""
        leaderless: Behaviour = lambda request: [refusal(request, Empty(), "No leader info available in response")]  # noqa: E731
        pipeline, client = opened(leaderless, works)
        assert [type(it) for it in pipeline.append(blocks(2))] == [Appended, Appended]
        assert [len(call) for call in client.seen] == [4, 2]
        assert client.followed == [None]
        pipeline.close()

    def test_an_append_fails_at_the_end_of_the_patience(self, monkeypatch: pytest.MonkeyPatch) -> None:
        slept: list[float] = []
        monkeypatch.setattr(backoff, "time", SimpleNamespace(monotonic=lambda: sum(slept), sleep=slept.append))
        pipeline, client = opened(breaks, patience=10.0)
        with pytest.raises(StoreUnavailable, match="Socket closed"):
            pipeline.append(blocks(2))
        assert len(client.seen) > 1
        pipeline.close()

    def test_the_leader_is_followed(self) -> None:
        class Trailer:
            def __init__(self, key: str, value: str) -> None:
                self.key, self.value = key, value

        trailers = (Trailer("leader-endpoint-host", "db2"), Trailer("leader-endpoint-port", "2113"))
        pipeline, client = opened(lambda _: [Status(grpc.StatusCode.NOT_FOUND, "Leader info available", trailers)], works)
        assert isinstance(pipeline.append(blocks(1))[0], Appended)
        assert client.followed == ["db2:2113"]
        pipeline.close()

    def test_what_no_repeat_helps_is_told_at_once(self) -> None:
        pipeline, client = opened(lambda _: [Status(grpc.StatusCode.UNAUTHENTICATED, "Unauthenticated")])
        with pytest.raises(AccessDenied, match="password"):
            pipeline.append(blocks(1))
        assert len(client.seen) == 1
        pipeline.close()

    def test_a_call_that_falls_silent_is_broken(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "SILENCE", 0.2)
        pipeline, client = opened(lambda _: [], works)
        begin = client.batch_append

        def begun() -> FakeCall:
            if client.seen:  # the first is silent, the second only slow
                monkeypatch.setattr(module, "SILENCE", PATIENCE)
            return begin()

        monkeypatch.setattr(client, "batch_append", begun)
        assert isinstance(pipeline.append(blocks(1))[0], Appended)
        eventually(lambda: [len(call) for call in client.seen] == [1, 1])
        pipeline.close()

    def test_every_thread_gets_its_answers_when_calls_break(self) -> None:
        sent = count()
        pipeline, client = opened(*[lambda request: [success(request)] if next(sent) % 7 else [LOST]] * 8, works)

        def run(_: int) -> int:
            return sum(isinstance(it, Appended) for it in pipeline.append(blocks(20)))

        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(run, range(4))) == [20] * 4
        assert len(client.seen) > 2
        pipeline.close()


class TestClosing:
    """The end."""

    def test_after_closing_nothing_is_sent(self) -> None:
        pipeline, client = opened(works)
        pipeline.append(blocks(1))
        pipeline.close()
        with pytest.raises(StoreUnavailable, match="closed"):
            pipeline.append(blocks(1))
        assert sum(len(call) for call in client.seen) == 1

    def test_who_waits_is_told(self) -> None:
        asked = Event()

        def silent(_: Any) -> Answers:
            asked.set()
            return []

        pipeline, _ = opened(silent)
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(pipeline.append, blocks(1))
            assert asked.wait(PATIENCE)
            pipeline.close()
            with pytest.raises(StoreUnavailable, match="closed"):
                waiting.result(PATIENCE)

    def test_what_is_too_large_is_not_sent(self) -> None:
        pipeline, client = opened(works)
        pipeline.append([Block(unique("order"), [new(data=b"x" * 2_000_000)], NO_STREAM)])
        assert client.seen == []
        pipeline.close()
