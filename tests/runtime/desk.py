"""Boxes, a phone and their handlers, and a desk where a test drives them by hand."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import uuid4

import orjson

from process_manager import Aggregate, Call, Command, Event, Refused, Repository, Retry, applies, handles, seconds
from process_manager.adapters.clock import ManualClock
from process_manager.core.codec import encode
from process_manager.core.records import NewRecord, Record
from process_manager.errors import StreamNotFound
from process_manager.ports import Block, Consumer, EventStore, Filter, GroupSettings, StreamState
from process_manager.runtime.call_runner import CallRunner
from process_manager.runtime.counters import Counters
from process_manager.runtime.handler_runner import HandlerRunner
from process_manager.runtime.handlers import bind_handlers, check_handlers, command_types
from process_manager.testing.contract.support import PATIENCE
from tests.runtime.shop import START

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
        self.rings: Callable[[str], object] = lambda _: None
        self.answered = threading.Event()

    def keep_ringing(self, only: str = "") -> None:
        """Answer nothing until `answered` is set, or only this number."""
        self.rings = lambda number: self.answered.wait(PATIENCE) if only in {"", number} else None

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
        self._group(functions)
        options = {"retry": Retry(3, wait=timedelta(seconds=1)), "monotonic": lambda: self.now, "rejoin": self.join, **options}
        runner = HandlerRunner(self.store, consumer or self.join(), handlers, self.clock, self.counters, **options)
        self.opened.append(runner)
        return runner

    def calls(self, phone: Phone, *functions: Callable[..., Any], **options: Any) -> CallRunner:
        functions = functions or (ring,)
        handlers = bind_handlers(functions, [phone])
        self._group(functions, [phone])
        options = {"retry": Retry(3, wait=timedelta(seconds=1)), "monotonic": lambda: self.now, "rejoin": self.join, **options}
        runner = CallRunner(self.store, self.join(), handlers, self.clock, self.counters, wake=self.ended.release, **options)
        self.opened.append(runner)
        return runner

    def _group(self, functions: Sequence[Callable[..., Any]], resources: Sequence[object] = ()) -> None:
        assert check_handlers(functions, resources) == []
        if GROUP not in {group.name for group in self.store.groups()}:
            where = Filter(types=command_types(bind_handlers(functions, resources)))
            self.store.create_group(GROUP, where=where, settings=GroupSettings(lease=timedelta(seconds=60)))

    def join(self) -> Consumer:
        return self.store.join(GROUP, "worker")

    def send(self, command: Command, id_: str = "", instance: str = "", **metadata: Any) -> str:
        """Append a command as an instance would; its id."""
        id_ = id_ or str(uuid4())
        stream = instance or f"sender-{id_}"
        record = NewRecord(id_, command.message_type, encode(command), orjson.dumps({"instance": stream, **metadata}))
        self.store.append(Block(stream, [record], StreamState.ANY))
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
            assert self.ended.acquire(timeout=PATIENCE)
            runner.step()

    def close(self) -> None:
        for runner in self.opened:
            runner.close()
