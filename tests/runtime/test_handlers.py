"""What becomes of a command: one outcome, recorded once, whatever is delivered how often."""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Protocol
from uuid import uuid4

import orjson
import pytest
from conftest import START

from process_manager import Aggregate, Call, Command, Event, Refused, Repository, Retry, applies, handles, seconds
from process_manager.adapters.clock import ManualClock
from process_manager.core.codec import encode
from process_manager.core.records import NewRecord, Record
from process_manager.core.signals import COMMAND_PARKED, CommandParked
from process_manager.errors import LeaseLost, StoreError, StoreFull, StoreUnavailable, StreamNotFound
from process_manager.ports import Appended, Block, Consumer, EventStore, GroupSettings, StreamState
from process_manager.runtime import handler_runner, unit_of_work
from process_manager.runtime.call_runner import CallRunner
from process_manager.runtime.counters import Counters
from process_manager.runtime.handler_runner import HandlerRunner
from process_manager.runtime.handlers import bind_handlers, check_handlers, command_filter, group_settings

GROUP = "test.handlers"


class Put(Command, type="test.put"):
    box: str
    what: str


class Move(Command, type="test.move"):
    box: str
    to: str


class Look(Command, type="test.look"):
    box: str
    at: str


class Break(Command, type="test.break"):
    box: str


class Ring(Command, type="test.ring"):
    number: str


class Filled(Event, type="test.filled"):
    what: str


class Full(Event, type="test.full"):
    what: str


class Answered(Event, type="test.answered"):
    by: str


class Busy(Event, type="test.busy"):
    number: str


class Box(Aggregate, category="box"):
    """Holds three things; a fourth is refused."""

    def __init__(self, id: str) -> None:
        super().__init__(id)
        self.content: list[str] = []

    def put(self, what: str) -> None:
        if len(self.content) == 3:
            raise Refused(Full(what=what))
        self.record(Filled(what=what))

    @applies
    def was_filled(self, event: Filled) -> None:
        self.content.append(event.what)


@handles(Put)
def put(command: Put, boxes: Repository[Box]) -> None:
    with boxes.edit(command.box) as box:
        box.put(command.what)


class Phone:
    """The outside world, as a test tells it to behave."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.rings: Callable[[str], None] = lambda _: None

    def ring(self, number: str, operation: str) -> str:
        self.calls.append(operation)
        self.rings(number)
        return "an answering machine"


@handles(Ring, takes=seconds(60))
def ring(command: Ring, call: Call, phone: Phone) -> Answered | Busy:
    if command.number == "engaged":
        raise Refused(Busy(number=command.number))
    return Answered(by=phone.ring(command.number, call.operation_id))


@dataclass
class Desk:
    """Handlers on a store, driven by hand; `now` is the clock of their back-off."""

    store: EventStore
    clock: ManualClock = field(default_factory=lambda: ManualClock(START))
    counters: Counters = field(default_factory=Counters)
    now: float = 0.0
    opened: list[HandlerRunner | CallRunner] = field(default_factory=list)
    ended: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def runner(self, *functions: Callable[..., Any], consumer: Consumer | None = None, **options: Any) -> HandlerRunner:
        handlers = bind_handlers(functions)
        self._group([each.command.message_type for each in handlers], functions)
        options = {"retry": Retry(3, wait=timedelta(seconds=1)), "monotonic": lambda: self.now, "rejoin": self.join, **options}
        runner = HandlerRunner(self.store, consumer or self.join(), handlers, self.clock, self.counters, **options)
        self.opened.append(runner)
        return runner

    def calls(self, phone: Phone, *functions: Callable[..., Any], **options: Any) -> CallRunner:
        handlers = bind_handlers(functions or (ring,), [phone])
        self._group([], functions or (ring,), [phone])
        options = {"retry": Retry(3, wait=timedelta(seconds=1)), "monotonic": lambda: self.now, "rejoin": self.join, **options}
        runner = CallRunner(self.store, self.join(), handlers, self.clock, self.counters, wake=self.ended.release, **options)
        self.opened.append(runner)
        return runner

    def _group(self, _: Sequence[str], functions: Sequence[Callable[..., Any]], resources: Sequence[object] = ()) -> None:
        assert check_handlers(functions, resources) == []
        if GROUP not in {group.name for group in self.store.groups()}:
            where = command_filter(bind_handlers(functions, resources))
            self.store.create_group(GROUP, where=where, settings=GroupSettings(lease=timedelta(seconds=60)))

    def join(self) -> Consumer:
        return self.store.join(GROUP, "worker")

    def send(self, command: Command, id_: str = "", **metadata: Any) -> str:
        """Append a command; its id."""
        id_ = id_ or str(uuid4())
        record = NewRecord(id_, command.message_type, encode(command), orjson.dumps(metadata))
        self.store.append(Block(f"sender-{id_}", [record], StreamState.ANY))
        return id_

    def records(self, stream: str) -> list[Record]:
        try:
            return list(self.store.read_stream(stream))
        except StreamNotFound:
            return []

    def types(self, stream: str) -> list[str]:
        return [record.type for record in self.records(stream)]

    def settle(self, runner: CallRunner) -> None:
        """Step until no call is under way."""
        runner.step()
        while runner._flying:
            assert self.ended.acquire(timeout=10)
            runner.step()

    def close(self) -> None:
        for runner in self.opened:
            runner.close()


@pytest.fixture
def desk(store: EventStore) -> Iterator[Desk]:
    opened = Desk(store)
    yield opened
    opened.close()


# -- aggregates ---------------------------------------------------------------------------------------------------


def test_the_events_of_a_command_say_where_they_come_from(desk: Desk) -> None:
    """Correlation, causation, time, version and operation stand in the metadata of what a handler records."""
    runner = desk.runner(put)
    id_ = desk.send(Put(box="1", what="a"), **{"$correlationId": "whole"})

    assert runner.step() == 1
    (record,) = desk.records("box-1")
    assert orjson.loads(record.data) == {"what": "a"}
    assert orjson.loads(record.metadata) == {
        "$correlationId": "whole", "$causationId": id_, "time": START.isoformat(), "version": 1, "operation": id_,
    }  # fmt: skip
    assert not runner.busy
    assert desk.store.group(GROUP).lag == 0


def test_a_command_delivered_again_writes_nothing(desk: Desk) -> None:
    """Whether the worker remembers the command or has to read it from the stream."""
    runner = desk.runner(put)
    id_ = desk.send(Put(box="1", what="a"))
    runner.step()
    desk.send(Put(box="1", what="a"), id_)
    runner.step()
    runner.close()

    desk.send(Put(box="1", what="a"), id_)
    assert desk.runner(put).step() == 1
    assert desk.types("box-1") == ["test.filled"]
    assert desk.counters.duplicates == 2


def test_a_second_attempt_at_an_operation_writes_nothing(desk: Desk) -> None:
    """Another command with the same operation id ends where the aggregate holds an event of it, in one batch or in two."""
    runner = desk.runner(put)
    first = desk.send(Put(box="1", what="a"))
    desk.send(Put(box="1", what="a"), operation=first)
    assert runner.step() == 2
    desk.send(Put(box="1", what="a"), operation=first)
    assert runner.step() == 1

    assert desk.types("box-1") == ["test.filled"]


def test_an_operation_that_is_no_longer_remembered_is_looked_up(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory holds a window; below its floor the stream itself is asked."""
    monkeypatch.setattr(unit_of_work, "WINDOW", 1)
    runner = desk.runner(put)
    first, *_ = [desk.send(Put(box="1", what=what)) for what in "abc"]
    runner.step()
    desk.send(Put(box="1", what="a"), operation=first)
    runner.step()
    runner.close()
    desk.send(Put(box="1", what="a"), operation=first)
    desk.runner(put).step()

    assert desk.types("box-1") == ["test.filled"] * 3


def test_a_refusal_is_recorded_as_its_event(desk: Desk) -> None:
    """It is the outcome, and a repetition of it is recognised as well."""
    runner = desk.runner(put)
    for what in "abc":
        desk.send(Put(box="1", what=what))
    id_ = desk.send(Put(box="1", what="d"))
    runner.step()
    desk.send(Put(box="1", what="d"), id_)
    runner.step()

    assert desk.types("box-1") == ["test.filled"] * 3 + ["test.full"]
    assert not runner.busy


def test_a_refusal_takes_back_what_was_recorded_before_it(desk: Desk) -> None:
    """Only the refusal's event is appended, and what follows is decided without the rest."""

    @handles(Break)
    def fill_up(command: Break, boxes: Repository[Box]) -> None:
        with boxes.edit(command.box) as box:
            for what in "abcd":
                box.put(what)

    runner = desk.runner(put, fill_up)
    desk.send(Break(box="1"))
    desk.send(Put(box="1", what="x"))
    runner.step()

    assert desk.types("box-1") == ["test.full", "test.filled"]


def test_a_batch_shares_one_append_for_each_aggregate(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two aggregates, five commands, one call to the store."""
    runner = desk.runner(put)
    for box, what in ("1a", "2a", "1b", "2b", "1c"):
        desk.send(Put(box=box, what=what))
    appends: list[list[Block]] = []
    append_many = desk.store.append_many

    def noted(blocks: Sequence[Block], lease: Consumer | None = None) -> Sequence[Appended | StoreError]:
        appends.append(list(blocks))
        return append_many(blocks, lease)

    monkeypatch.setattr(desk.store, "append_many", noted)
    assert runner.step() == 5

    assert [[(block.stream, len(block.records)) for block in blocks] for blocks in appends] == [[("box-1", 3), ("box-2", 2)]]


def test_what_does_not_fit_one_append_goes_into_the_next(desk: Desk) -> None:
    """A block stays below the limit, however many commands meet in a batch."""
    runner = desk.runner(put)
    for letter in "abc":
        desk.send(Put(box="1", what=letter * 600_000))

    assert runner.step() == 3
    assert desk.types("box-1") == ["test.filled"] * 3


def test_after_a_conflict_the_command_is_decided_again(desk: Desk) -> None:
    """Somebody else filled the box behind this worker's back: what was possible is refused now."""
    runner = desk.runner(put)
    desk.send(Put(box="1", what="a"))
    runner.step()
    others = [NewRecord(str(uuid4()), "test.filled", encode(Filled(what=what)), b"") for what in "bc"]
    desk.store.append(Block("box-1", others, 0))
    desk.send(Put(box="1", what="d"))
    runner.step()

    assert desk.types("box-1") == ["test.filled"] * 3 + ["test.full"]
    assert desk.counters.conflicts == 1


def test_what_conflicts_again_and_again_waits_a_little(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The step comes to an end; the command is not lost and not blamed."""
    monkeypatch.setattr(handler_runner, "ROUNDS", 0)
    runner = desk.runner(put)
    desk.send(Put(box="1", what="a"))
    assert runner.step() == 0
    assert runner.busy

    monkeypatch.undo()
    desk.now += 1
    assert runner.step() == 1
    assert desk.types("box-1") == ["test.filled"]


def test_an_aggregate_that_was_let_go_of_is_read_again(desk: Desk) -> None:
    """The cache is bounded."""
    runner = desk.runner(put, cached=1)
    for box, what in ("1a", "2a", "1b", "1c", "2b", "1d"):
        desk.send(Put(box=box, what=what))
        runner.step()

    assert desk.types("box-1") == ["test.filled"] * 3 + ["test.full"]
    assert desk.types("box-2") == ["test.filled"] * 2


def test_an_outcome_may_answer_an_earlier_command(desk: Desk) -> None:
    """Its causation names that command; its operation is its own."""

    @handles(Look)
    def settle(command: Look, boxes: Repository[Box]) -> None:
        with boxes.edit(command.box) as box:
            box.record(Filled(what="late"), answers=command.at)

    runner = desk.runner(settle)
    asked = str(uuid4())
    id_ = desk.send(Look(box="1", at=asked))
    runner.step()

    metadata = orjson.loads(desk.records("box-1")[0].metadata)
    assert (metadata["$causationId"], metadata["operation"]) == (asked, id_)


# -- the rules of editing -------------------------------------------------------------------------------------------


@handles(Move)
def move(command: Move, boxes: Repository[Box]) -> None:
    with boxes.edit(command.box) as box:
        box.record(Filled(what="x"))
    with boxes.edit(command.to) as other:
        other.record(Filled(what="x"))


@handles(Move)
def do_nothing(command: Move, boxes: Repository[Box]) -> None:
    with boxes.edit(command.box):
        pass


@handles(Move)
def open_nothing(command: Move, boxes: Repository[Box]) -> None:
    assert boxes.get(command.to).content == []


@handles(Move)
def write_on_what_is_looked_at(command: Move, boxes: Repository[Box]) -> None:
    boxes.get(command.to).put("x")
    with boxes.edit(command.box) as box:
        box.put("x")


@handles(Move)
def write_too_much(command: Move, boxes: Repository[Box]) -> None:
    with boxes.edit(command.box) as box:
        box.put("x" * 2_000_000)


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (move, "one command edits one aggregate, once; split the command"),
        (do_nothing, "recorded nothing on box-1"),
        (open_nothing, "edited no aggregate"),
        (write_on_what_is_looked_at, "only got to look at"),
        (write_too_much, "over the limit"),
    ],
)
def test_a_handler_that_breaks_the_rules_writes_nothing_and_is_parked(desk: Desk, function: Callable[..., Any], reason: str) -> None:
    """The reason says what to do, and the instance is told."""
    runner = desk.runner(function)
    id_ = desk.send(Move(box="1", to="2"), instance="process-7")
    for _ in range(3):
        runner.step()
        desk.now += 60

    assert desk.types("box-1") == desk.types("box-2") == []
    (parked,) = desk.store.parked(GROUP)
    assert reason in parked.reason
    assert parked.record.id == id_
    assert not runner.busy


def test_looking_at_another_aggregate_shows_what_is_appended(desk: Desk) -> None:
    """What is only decided in the same batch is appended before somebody looks at it."""
    seen: list[list[str]] = []

    @handles(Look)
    def look(command: Look, boxes: Repository[Box]) -> None:
        with boxes.edit(command.box) as box:
            seen.append([*boxes.get(command.at).content])
            box.put("seen")

    runner = desk.runner(put, look)
    desk.send(Put(box="1", what="a"))
    desk.send(Look(box="2", at="1"))
    assert runner.step() == 2

    assert seen == [["a"]]
    assert desk.types("box-2") == ["test.filled"]


# -- failures -------------------------------------------------------------------------------------------------------


class Trouble:
    """Makes handlers raise."""

    def __init__(self) -> None:
        self.error: BaseException | None = ValueError("no")


def breaking(trouble: Trouble) -> Callable[..., Any]:
    @handles(Break)
    def break_(command: Break, boxes: Repository[Box]) -> None:
        with boxes.edit(command.box) as box:
            box.put("broken")
            if trouble.error:
                raise trouble.error

    return break_


def test_a_failing_handler_holds_up_nobody_and_is_tried_again_later(desk: Desk) -> None:
    """Others go on, even on the same aggregate; the time of the next attempt is kept."""
    trouble = Trouble()
    runner = desk.runner(put, breaking(trouble))
    desk.send(Put(box="1", what="a"))
    desk.send(Break(box="1"))
    desk.send(Put(box="1", what="b"))
    assert runner.step() == 2
    assert [orjson.loads(record.data)["what"] for record in desk.records("box-1")] == ["a", "b"]

    trouble.error = None
    assert runner.step() == 0
    assert runner.busy
    desk.now += 1
    assert runner.step() == 1
    assert [orjson.loads(record.data)["what"] for record in desk.records("box-1")] == ["a", "b", "broken"]


def test_a_command_that_fails_too_often_is_parked_and_its_instance_is_told(desk: Desk) -> None:
    """The signal is written before the command is set aside."""
    runner = desk.runner(breaking(Trouble()))
    id_ = desk.send(Break(box="1"), instance="process-7", **{"$correlationId": "whole"})
    for _ in range(3):
        runner.step()
        desk.now += 60

    reason = "break_: ValueError: no"
    assert [parked.reason for parked in desk.store.parked(GROUP)] == [reason]
    (signal,) = desk.records(f"pm.parked-{id_}")
    assert signal.type == COMMAND_PARKED
    assert CommandParked.read(signal.data) == CommandParked("process-7", id_, reason)
    assert orjson.loads(signal.metadata)["$correlationId"] == "whole"
    assert desk.counters.parked == 1


def test_a_parked_command_can_be_replayed_when_the_cause_is_gone(desk: Desk) -> None:
    """It is handled like a new one."""
    trouble = Trouble()
    runner = desk.runner(breaking(trouble))
    desk.send(Break(box="1"), instance="process-7")
    for _ in range(3):
        runner.step()
        desk.now += 60
    trouble.error = None
    desk.store.replay_parked(GROUP)

    assert runner.step() == 1
    assert desk.types("box-1") == ["test.filled"]


@pytest.mark.parametrize("metadata", [{"version": 0}, {"time": "yesterday"}])
def test_a_command_that_cannot_be_decoded_is_parked_at_once(desk: Desk, metadata: dict[str, Any]) -> None:
    """With the reason, and its instance is told as far as it can be named."""
    runner = desk.runner(put)
    id_ = desk.send(Put(box="1", what="a"), instance="process-7", **metadata)
    desk.store.append(Block("sender-x", [NewRecord(str(uuid4()), "test.put", b"no json", b"no json")], StreamState.ANY))
    desk.store.append(Block("sender-y", [NewRecord(str(uuid4()), "test.put", b"{}", b"{}")], StreamState.ANY))
    assert runner.step() == 3

    assert len(desk.store.parked(GROUP)) == 3
    assert desk.types(f"pm.parked-{id_}") == [COMMAND_PARKED]


def test_a_command_of_a_newer_version_is_left_to_others(desk: Desk) -> None:
    """It is neither parked nor answered, and does not count as work of this worker."""
    runner = desk.runner(put)
    desk.send(Put(box="1", what="a"), version=2)
    desk.send(Put(box="1", what="b"))
    assert runner.step() == 1
    assert not runner.busy

    desk.now += 3600 * 2
    runner.step()
    assert desk.store.parked(GROUP) == []
    assert desk.store.group(GROUP).lag == 1


def test_a_newer_event_in_the_aggregate_leaves_the_command_to_others(desk: Desk) -> None:
    """A worker that cannot read the whole aggregate does not decide about it."""
    newer = NewRecord(str(uuid4()), "test.filled", b'{"what": "a"}', b'{"version": 2}')
    desk.store.append(Block("box-1", [newer], StreamState.NO_STREAM))
    runner = desk.runner(put)
    desk.send(Put(box="1", what="b"))
    runner.step()

    assert desk.types("box-1") == ["test.filled"]
    assert desk.store.parked(GROUP) == []
    assert not runner.busy


def test_a_command_that_was_delivered_often_is_handled_alone(desk: Desk) -> None:
    """It may be what ended its worker: whatever else was delivered is appended and acknowledged first."""
    handled: list[list[str]] = []

    @handles(Break)
    def note(command: Break, boxes: Repository[Box]) -> None:
        with boxes.edit(command.box) as box:
            box.put("x")
        handled.append(desk.types("box-9"))

    for _ in range(2):  # two workers that die with the command in their hands
        runner = desk.runner(note, put)
        if not handled:
            desk.send(Break(box="1")) if desk.store.last_position() < 0 else None
        runner.consumer.fetch(10)
        runner.close()
    desk.send(Put(box="9", what="a"))
    runner = desk.runner(note, put)
    runner.step()
    runner.step()

    assert handled == [["test.filled"]]
    assert desk.types("box-1") == ["test.filled"]


# -- trouble with the store -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [StoreUnavailable("away"), StoreFull("full")])
@pytest.mark.parametrize("written", [True, False])
def test_an_append_of_unknown_result_is_repeated_with_the_same_bytes(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, error: StoreError, written: bool
) -> None:
    """Whether it was written or not, it is there once."""
    runner = desk.runner(put)
    desk.send(Put(box="1", what="a"))
    append_many = desk.store.append_many
    offered: list[bytes] = []

    def failing(blocks: Sequence[Block], lease: Consumer | None = None) -> Sequence[Appended | StoreError]:
        offered.append(blocks[0].records[0].metadata)
        if len(offered) > 1:
            return append_many(blocks, lease)
        if written:
            append_many(blocks, lease)
        raise error

    monkeypatch.setattr(desk.store, "append_many", failing)
    assert runner.step() == 0
    assert runner.busy
    desk.clock.advance(timedelta(hours=1))
    desk.now += 1
    assert runner.step() == 1

    assert desk.types("box-1") == ["test.filled"]
    assert offered[0] == offered[1]


def test_a_store_that_stays_away_ends_the_worker(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a bounded time; what is in the hands of the group comes again."""
    runner = desk.runner(put)
    desk.send(Put(box="1", what="a"))

    def failing(blocks: Sequence[Block], lease: Consumer | None = None) -> Sequence[Appended | StoreError]:
        raise StoreUnavailable("away")

    monkeypatch.setattr(desk.store, "append_many", failing)
    assert runner.step() == 0
    desk.now += 100
    with pytest.raises(StoreUnavailable):
        runner.step()


def test_a_store_that_fails_while_reading_blames_no_command(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was taken is handled once the store is back."""
    runner = desk.runner(put)
    desk.send(Put(box="1", what="a"))
    desk.send(Put(box="2", what="a"))
    read_stream = desk.store.read_stream
    failures = [StoreUnavailable("away")]

    def failing(stream: str, **options: Any) -> Iterator[Record]:
        if stream == "box-2" and failures:
            raise failures.pop()
        return read_stream(stream, **options)

    monkeypatch.setattr(desk.store, "read_stream", failing)
    assert runner.step() == 0
    desk.now += 1
    assert runner.step() == 2
    assert desk.types("box-1") == desk.types("box-2") == ["test.filled"]


def test_a_worker_that_lost_its_lease_forgets_everything_and_joins_again(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is written under a stale lease; the commands come again."""
    runner = desk.runner(put)
    desk.send(Put(box="1", what="a"))
    append_many = desk.store.append_many
    lost = [LeaseLost("gone")]

    def failing(blocks: Sequence[Block], lease: Consumer | None = None) -> Sequence[Appended | StoreError]:
        if lost:
            raise lost.pop()
        return append_many(blocks, lease)

    monkeypatch.setattr(desk.store, "append_many", failing)
    before = runner.consumer
    assert runner.step() == 0
    assert not runner.busy
    assert runner.step() == 1
    assert runner.consumer is not before
    assert desk.types("box-1") == ["test.filled"]


# -- calls ----------------------------------------------------------------------------------------------------------


def test_the_outcome_of_a_call_stands_in_a_stream_of_its_operation(desk: Desk) -> None:
    """Recorded once; the operation id is handed on."""
    phone = Phone()
    runner = desk.calls(phone)
    id_ = desk.send(Ring(number="1"), **{"$correlationId": "whole"})
    desk.settle(runner)

    (record,) = desk.records(f"pm.outcome-{id_}")
    assert record.type == "test.answered"
    metadata = orjson.loads(record.metadata)
    assert (metadata["$causationId"], metadata["$correlationId"], metadata["operation"]) == (id_, "whole", id_)
    assert phone.calls == [id_]
    assert not runner.busy
    assert desk.store.group(GROUP).lag == 0


def test_a_call_whose_outcome_is_known_is_not_made_again(desk: Desk) -> None:
    """Neither for the same command nor for another attempt at its operation."""
    phone = Phone()
    runner = desk.calls(phone)
    id_ = desk.send(Ring(number="1"))
    desk.settle(runner)
    desk.send(Ring(number="1"), id_)
    desk.send(Ring(number="1"), operation=id_)
    desk.settle(runner)

    assert phone.calls == [id_]
    assert desk.types(f"pm.outcome-{id_}") == ["test.answered"]


def test_two_attempts_at_one_operation_are_never_under_way_at_once(desk: Desk) -> None:
    """The second waits for the first and then finds its outcome."""
    phone, answered = Phone(), threading.Event()
    phone.rings = lambda _: None if answered.wait(10) else None
    runner = desk.calls(phone)
    id_ = desk.send(Ring(number="1"))
    desk.send(Ring(number="1"), operation=id_)
    runner.step()
    runner.step()
    answered.set()
    desk.settle(runner)
    desk.settle(runner)

    assert phone.calls == [id_]
    assert not runner.busy


def test_a_refusal_of_a_call_is_its_outcome(desk: Desk) -> None:
    """As with aggregates."""
    runner = desk.calls(Phone())
    id_ = desk.send(Ring(number="engaged"))
    desk.settle(runner)

    assert desk.types(f"pm.outcome-{id_}") == ["test.busy"]


def test_a_slow_call_holds_up_nobody(desk: Desk) -> None:
    """The others are made, recorded and acknowledged while it is under way, and `step` never waits for it."""
    phone, answered = Phone(), threading.Event()
    phone.rings = lambda number: None if number != "slow" or answered.wait(10) else None
    runner = desk.calls(phone)
    slow = desk.send(Ring(number="slow"))
    runner.step()
    quick = [desk.send(Ring(number=str(number))) for number in range(5)]
    runner.step()
    for _ in quick:
        assert desk.ended.acquire(timeout=10)
    runner.step()

    assert [desk.types(f"pm.outcome-{id_}") for id_ in quick] == [["test.answered"]] * 5
    assert desk.types(f"pm.outcome-{slow}") == []
    assert runner.busy
    answered.set()
    desk.settle(runner)
    assert desk.types(f"pm.outcome-{slow}") == ["test.answered"]


def test_no_more_calls_are_taken_than_can_be_made(desk: Desk) -> None:
    """What waits, waits in the group, where other workers can take it."""
    phone, answered = Phone(), threading.Event()
    phone.rings = lambda _: None if answered.wait(10) else None
    runner = desk.calls(phone, threads=2)
    ids = [desk.send(Ring(number="1")) for _ in range(5)]
    runner.step()
    assert desk.store.group(GROUP).in_flight == 2
    answered.set()
    while runner.busy or desk.store.group(GROUP).lag:
        desk.settle(runner)

    assert sorted(phone.calls) == sorted(ids)


def test_a_failing_call_is_tried_again_and_then_parked(desk: Desk) -> None:
    """With back-off, and its instance is told."""
    phone = Phone()

    def out_of_order(_: str) -> None:
        raise ConnectionError("out of order")

    phone.rings = out_of_order
    runner = desk.calls(phone)
    id_ = desk.send(Ring(number="1"), instance="process-7")
    for _ in range(3):
        desk.settle(runner)
        desk.now += 60
    desk.settle(runner)

    assert phone.calls == [id_] * 3
    assert [parked.reason for parked in desk.store.parked(GROUP)] == ["ring: ConnectionError: out of order"]
    assert desk.types(f"pm.parked-{id_}") == [COMMAND_PARKED]


def test_a_call_that_returns_something_else_than_it_says_is_a_failure(desk: Desk) -> None:
    """Nobody would understand the outcome."""

    @handles(Ring)
    def wrong(command: Ring) -> Answered:
        return Busy(number=command.number)  # type: ignore[return-value]

    runner = desk.calls(Phone(), wrong)
    id_ = desk.send(Ring(number="1"))
    for _ in range(4):
        desk.settle(runner)
        desk.now += 60

    assert desk.types(f"pm.outcome-{id_}") == []
    assert "which its annotation does not name" in desk.store.parked(GROUP)[0].reason


def test_the_outcome_of_a_call_is_kept_when_the_lease_was_lost_meanwhile(desk: Desk) -> None:
    """It was reached: another worker finds it instead of calling again."""
    phone, answered = Phone(), threading.Event()
    phone.rings = lambda _: None if answered.wait(10) else None
    runner = desk.calls(phone)
    id_ = desk.send(Ring(number="1"))
    runner.step()
    runner.consumer.leave()
    answered.set()
    desk.settle(runner)
    desk.settle(runner)

    assert phone.calls == [id_]
    assert desk.types(f"pm.outcome-{id_}") == ["test.answered"]
    assert not runner.busy


def test_closing_lets_a_call_under_way_come_to_its_end(desk: Desk) -> None:
    """Its outcome is recorded and its command acknowledged before the worker leaves."""
    phone, answered = Phone(), threading.Event()
    phone.rings = lambda _: None if answered.wait(10) else None
    runner = desk.calls(phone)
    id_ = desk.send(Ring(number="1"))
    runner.step()
    threading.Timer(0.05, answered.set).start()
    runner.close()

    assert desk.types(f"pm.outcome-{id_}") == ["test.answered"]
    assert desk.store.group(GROUP).lag == 0


def test_a_slow_handler_may_edit_an_aggregate(desk: Desk) -> None:
    """It says how long it takes, runs beside the others, and decides again on a conflict."""
    phone = Phone()

    @handles(Put, takes=seconds(5))
    def put_slowly(command: Put, boxes: Repository[Box], phone: Phone) -> None:
        with boxes.edit(command.box) as box:
            phone.ring(command.what, "")
            box.put(command.what)

    def interfere(what: str) -> None:
        if len(phone.calls) == 1:
            desk.store.append(Block("box-1", [NewRecord(str(uuid4()), "test.filled", encode(Filled(what="z")), b"")], StreamState.ANY))

    phone.rings = interfere
    runner = desk.calls(phone, put_slowly)
    id_ = desk.send(Put(box="1", what="a"))
    desk.settle(runner)
    desk.send(Put(box="1", what="a"), operation=id_)
    desk.settle(runner)

    assert [orjson.loads(record.data)["what"] for record in desk.records("box-1")] == ["z", "a"]
    assert len(phone.calls) == 2
    assert not runner.busy


def test_a_call_that_was_delivered_often_is_made_alone(desk: Desk) -> None:
    """Nothing else is under way while it is."""
    phone = Phone()
    under_way: list[int] = []
    desk.calls(phone)
    desk.opened.pop().close()
    suspect = desk.send(Ring(number="suspect"))
    for _ in range(2):
        consumer = desk.join()
        consumer.fetch(10)
        consumer.leave()
    runner = desk.calls(phone)
    phone.rings = lambda _: under_way.append(len(runner._flying))
    others = [desk.send(Ring(number="1")) for _ in range(3)]
    while runner.busy or desk.store.group(GROUP).lag:
        desk.settle(runner)

    assert sorted(phone.calls) == sorted([suspect, *others])
    assert under_way[phone.calls.index(suspect)] == 1


# -- what is checked at start ---------------------------------------------------------------------------------------


class Unwritten(Command):
    pass


class Plain(Aggregate):
    pass


class Crate(Aggregate, category="box"):
    pass


class Ringing(Protocol):
    def ring(self, number: str, operation: str) -> str: ...


def unmarked(command: Put) -> None: ...


@handles("Put")  # type: ignore[arg-type]
def no_command(command: Put) -> None: ...


@handles(Unwritten)
def unwritten(command: Unwritten) -> Answered: ...  # type: ignore[empty-body]


@handles(Put)
def no_annotation(command: Put, boxes) -> Answered: ...  # type: ignore[no-untyped-def,empty-body]


@handles(Put)
def no_parameter() -> Answered: ...  # type: ignore[empty-body]


@handles(Put)
def unknown(command: Put, phone: Phone) -> Answered: ...  # type: ignore[empty-body]


@handles(Put)
def protocol(command: Put, phone: Ringing) -> Answered: ...  # type: ignore[empty-body]


@handles(Put)
def returns(command: Put, boxes: Repository[Box]) -> Answered: ...  # type: ignore[empty-body]


@handles(Put)
def says_nothing(command: Put) -> None: ...


@handles(Put)
def plain(command: Put, boxes: Repository[Plain]) -> None: ...


@handles(Put)
async def waits(command: Put) -> Answered: ...  # type: ignore[empty-body]


@handles(Put)
def positional(command: Put, /) -> Answered: ...  # type: ignore[empty-body]


@handles(Put, takes=seconds(0))
def no_time(command: Put) -> Answered: ...  # type: ignore[empty-body]


@handles(Put)
def vague(command: Put, anything: object) -> Answered: ...  # type: ignore[empty-body]


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        (unmarked, "the handler unmarked is not marked: put @handles(SomeCommand) above it"),
        (no_command, "handles 'Put', which is no Command class"),
        (unwritten, "handles Unwritten, which has no written name"),
        (no_annotation, "says no type for boxes: annotate it"),
        (no_parameter, "has no parameter annotated Put"),
        (unknown, "asks for phone: Phone, and the app has no such thing: add it to resources"),
        (protocol, "asks for phone: Ringing, which is neither a class nor a runtime_checkable Protocol"),
        (returns, "edits an aggregate and returns something"),
        (says_nothing, "has neither a Repository nor an event as its return type"),
        (plain, "which is no Aggregate class with a category"),
        (waits, "is async or a generator: write a plain function"),
        (positional, "cannot be handed over by name"),
        (no_time, "takes 0:00:00"),
        (vague, "asks for anything: object, and 2 resources are one"),
    ],
)
def test_what_is_wrong_with_a_handler_is_said_at_start(function: Callable[..., Any], problem: str) -> None:
    """One sentence that names the handler and the mend."""
    problems = check_handlers([function], [1, "x"])

    assert any(problem in each for each in problems), problems
    assert all(function.__name__ in each for each in problems)


def test_two_handlers_of_one_command_are_refused() -> None:
    """A command type has one owner."""

    @handles(Put)
    def another(command: Put, boxes: Repository[Box]) -> None: ...

    assert check_handlers([put, another]) == ["put and another both handle Put: keep one of them"]


def test_two_aggregates_of_one_category_are_refused() -> None:
    """Their streams would be the same."""

    @handles(Break)
    def crate(command: Break, crates: Repository[Crate]) -> None: ...

    assert check_handlers([put, crate]) == ["Crate and Box share the category 'box': rename one"]


def test_a_parameter_with_a_default_need_not_be_handed_over() -> None:
    """What the app does not have keeps its default."""

    @handles(Ring)
    def quiet(command: Ring, phone: Phone | None = None) -> Answered:
        return Answered(by=str(phone))

    (handler,) = bind_handlers([quiet])
    assert check_handlers([quiet]) == []
    assert handler.resources == {}


def test_no_command_comes_again_while_its_call_may_still_run() -> None:
    """The group's message timeout is longer than the longest call says it takes."""
    handlers = bind_handlers([ring, put], [Phone()])

    assert group_settings(handlers).message_timeout > timedelta(seconds=60)
    assert [handler.inline for handler in handlers] == [False, True]
    assert command_filter(handlers).types == {"test.ring", "test.put"}
