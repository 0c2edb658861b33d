"""One run of an app from its inputs to its end, by workers that may die on the way, and what it came to."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import orjson

from process_manager.adapters.clock import DrivenClock
from process_manager.adapters.deadline_index import SqliteDeadlineIndex
from process_manager.core.block import read_fact
from process_manager.core.codec import dumps, encode
from process_manager.core.definition import Definition
from process_manager.core.facts import FACTS, Receipt, StepStarted
from process_manager.core.identity import derive
from process_manager.core.inputs import Input
from process_manager.core.instance import Instance
from process_manager.core.messages import Message
from process_manager.core.records import NewRecord, Record
from process_manager.core.signals import OPERATOR_ACTION, OperatorAction
from process_manager.errors import StoreUnavailable
from process_manager.ports import Block, EventStore, StreamState
from process_manager.runtime.app import App
from process_manager.runtime.inbox import RETRY
from process_manager.runtime.instances import load
from process_manager.runtime.time_driver import TimeDriver
from process_manager.runtime.wiring import build_worker
from process_manager.runtime.worker import Worker
from process_manager.testing.faults import Crash, Faults, FaultyStore
from process_manager.testing.invariants import broken_promises

START = datetime(2026, 1, 1, tzinfo=UTC)
"""When a trial's clock starts."""

ONCE = replace(RETRY, attempts=1)
"""A handler that raises has given up: it would do so again, and time is driven."""


@dataclass(frozen=True)
class Published:
    """A message from outside, published `after` the start of the run, to `stream` or else a stream of its own. An operator's action goes
    to the stream that its request names."""

    message: Message | OperatorAction
    after: timedelta = timedelta()
    stream: str = ""


def type_of(kind: type[Message] | type[OperatorAction]) -> str:
    """The type of such messages in the log."""
    return OPERATOR_ACTION if issubclass(kind, OperatorAction) else kind.message_type


def published_id(number: int) -> str:
    """The id of the input with this number."""
    return derive("published", str(number))


_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")

Outcome = Counter[str]
"""What a run came to, as lines of text with their counts: commands, events, instances' states, parked records."""


class Trial:
    """An app on a store in driven time. `run` it with faults, as often as it takes until nothing crashes. The inputs are numbered,
    for each keeps its number, and so its id, when it is published at another place. Handlers run one after the other, in the order of
    their commands, so that the same faults find the same run again."""

    def __init__(self, app: App, inputs: Sequence[tuple[int, Published]], store: EventStore) -> None:
        self.store = store
        self._app = app
        self._left = sorted(inputs, key=lambda each: each[1].after)

    def run(self, faults: Faults) -> None:
        """Run one worker from its start to the end of all work. Raises Crash when the faults say so; run again then, with other faults."""
        store = FaultyStore(self.store, faults)
        index = SqliteDeadlineIndex()
        try:
            worker = build_worker(self._app, store.as_store, DrivenClock(), index, threads=0, retry=ONCE)
            self._feed(worker, TimeDriver(store.as_store), faults)
            worker.close()
        finally:
            store.abandon()
            index.close()

    def _feed(self, worker: Worker, driver: TimeDriver, faults: Faults) -> None:
        while self._left:
            time = START + self._left[0][1].after
            _pass_time(worker, driver, faults, time)
            while self._left and START + self._left[0][1].after == time:
                self._publish(*self._left.pop(0))
        _pass_time(worker, driver, faults, None)

    def _publish(self, number: int, published: Published) -> None:
        message, stream, version = published.message, published.stream or f"published-{number}", 1
        if isinstance(message, OperatorAction):
            stream, data = message.stream, dumps(message)
        else:
            version, data = message.message_version, encode(message)
        metadata = orjson.dumps({"time": START + published.after, "version": version})
        record = NewRecord(published_id(number), type_of(type(message)), data, metadata)
        self.store.append(Block(stream, [record], StreamState.ANY))

    # -- what it came to ----------------------------------------------------------------------------------------

    def outcome(self) -> Outcome:
        """What the store holds now, in lines that two runs can be compared by. The ids that a handler is called with stand there as names,
        since they derive from the inputs, also from the one that happened to be the last of a join."""
        names = self._names()
        return Counter(_ID.sub(lambda found: names.get(found[0], found[0]), line) for line in self._lines())

    def _lines(self) -> Iterator[str]:
        for stream, records in self.instances().items():
            yield from (f"command of {stream}: {each.type} {each.data.decode()}" for each in records if each.type not in FACTS)
            yield from (f"instance {stream}: {line}" for line in _state(self.instance(stream)))
        for record in self.store.read_all():
            if record.stream.partition("-")[0] not in self._app.definitions and not record.type.startswith("pm."):
                yield f"event: {record.type} {record.data.decode()}"
        for group in self.store.group_names():
            yield from (f"parked: {each.record.type} {each.record.data.decode()}" for each in self.store.parked(group))

    def _names(self) -> dict[str, str]:
        """By the id of each operation and command, which of its step's operations it is, and which attempt of that."""
        names: dict[str, str] = {}
        operations: Counter[str] = Counter()
        for stream, records in self.instances().items():
            for fact in map(read_fact, records):
                if isinstance(fact, StepStarted):
                    step, operation = f"{fact.step}[{fact.run}] of {stream}", fact.operation or fact.id
                    if operation not in names:
                        operations[step] += 1
                        names[operation] = f"<operation {operations[step]} of {step}>"
                    names.setdefault(fact.id, f"<attempt {fact.attempt} of {names[operation]}>")
        return names

    def broken(self, ends: Mapping[str, AbstractSet[str]]) -> list[str]:
        """Promises that do not hold, whatever the outcome is: of each instance's stream, and that nothing is left undone. An instance
        may be suspended where its `ends` say so."""
        found = [f"the group {each.name} has {each.lag} records left" for each in self.store.groups() if each.lag - each.parked > 0]
        for stream, records in self.instances().items():
            found += broken_promises(*self._named(stream), records)
            if (error := self.instance(stream).suspended) and "suspended" not in ends.get(stream, ()):
                found.append(f"{stream} is suspended: {error}")
        return found

    def instances(self) -> dict[str, list[Record]]:
        """The records of each instance, by stream."""
        found: dict[str, list[Record]] = {}
        for record in self.store.read_all():
            if record.stream.partition("-")[0] in self._app.definitions:
                found.setdefault(record.stream, []).append(record)
        return found

    def arrivals(self) -> dict[str, list[Input]]:
        """By instance, its inputs in the order in which they came to it."""
        return {stream: list(_arrivals(records)) for stream, records in self.instances().items()}

    def instance(self, stream: str) -> Instance:
        return load(self.store, *self._named(stream))

    def _named(self, stream: str) -> tuple[Definition, str]:
        process, _, key = stream.partition("-")
        return self._app.definitions[process], key


def _pass_time(worker: Worker, driver: TimeDriver, faults: Faults, until: datetime | None) -> None:
    """As `run_through`, but what the faults hold back may be delivered before time moves."""
    while True:
        worker.run(until_idle=True)
        due = None if worker.deadlines is None else worker.deadlines.next_due()
        comes_first = until is not None and (due is None or due > until)
        if faults.let_go(publishing=comes_first):
            continue
        if comes_first or due is None:
            break
        driver.pass_to(due)
    if until is not None:
        driver.pass_to(until)


def _arrivals(records: Sequence[Record]) -> Iterator[Input]:
    for fact in map(read_fact, records):
        if isinstance(fact, Receipt) and not fact.kept:
            yield fact.input


def _state(instance: Instance) -> Iterator[str]:
    yield f"{instance.status}, life {instance.life}" + (f", outcome {instance.outcome!r}" if instance.outcome else "")
    if instance.data is not None:
        yield f"state {instance.data!r}"
    for run in instance.runs.values():
        yield f"step {run.step}[{run.key}] of life {run.life} is {run.status}" + (f", its undo {run.undo}" if run.undo else "")
    for name, timer in instance.timers.items():
        if timer.due is not None and "/" not in name:
            yield f"deadline {name} is due {timer.due}"
    for kept in instance.kept.values():
        yield f"{kept.input.type} waits: {kept.reason}"


def surviving(trial: Trial, faults: Faults) -> None:
    """Run with these faults; if they end the process, run again without any."""
    with suppress(Crash, StoreUnavailable):
        return trial.run(faults)
    return trial.run(Faults())
