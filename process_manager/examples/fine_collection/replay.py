"""Replays the recorded log against the process: events from outside are published day by day, recorded results answer its commands.

When a penalty is due the process finds out by its own deadline; nothing in the log tells it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from itertools import groupby, zip_longest
from typing import Any, NamedTuple

import orjson

from process_manager import Command
from process_manager.core.codec import dumps, encode
from process_manager.core.identity import new_record
from process_manager.core.records import NewRecord, Record
from process_manager.errors import StoreError
from process_manager.examples.fine_collection.messages import AddPenalty
from process_manager.examples.fine_collection.process import ROME, midnight
from process_manager.examples.fine_collection.recording import ANSWERS, Recording, Row
from process_manager.ports import Block, EventStore, Filter, StreamState
from process_manager.runtime.counters import Counters
from process_manager.runtime.time_driver import TimeDriver
from process_manager.runtime.worker import Worker

CATEGORY = "fine"
"""Everything that happens to a fine stands in the stream `fine-<case>`."""

FOLLOW = 2_000
"""Records read at once."""

RESULTS = {"fines.fine-sent", "fines.penalty-added", "fines.appeal-forwarded", "fines.offender-notified", "fines.sent-to-collection"}


class OtherReplay(RuntimeError):
    """The store holds the replay of another part of the log, or of another file."""


class Asked(NamedTuple):
    """A command that waits for its answer."""

    id: str
    correlation: str


@dataclass
class Desk:
    """The process's commands that the recorded log has not answered yet, read from the store."""

    store: EventStore
    open: dict[tuple[str, str], Asked] = field(default_factory=dict)  # by case and command type
    penalties: dict[str, list[date]] = field(default_factory=dict)  # issued: the dates by case
    uncaused: int = 0  # recorded results that nobody had asked for

    def __post_init__(self) -> None:
        self._commands = {command.message_type: command for command in ANSWERS.values()}
        self._subscription = self.store.subscribe(where=Filter(types=frozenset({*self._commands, *RESULTS})))

    def catch_up(self) -> None:
        while records := self._subscription.next_batch(FOLLOW):
            for record in records:
                self._take(record, orjson.loads(record.data)["case"], orjson.loads(record.metadata))

    def _take(self, record: Record, case: str, metadata: Mapping[str, Any]) -> None:
        if record.type in self._commands:
            self.open[case, record.type] = Asked(record.id, metadata["$correlationId"])
            if record.type == AddPenalty.message_type:
                issued = datetime.fromisoformat(metadata["time"]).astimezone(ROME).date()
                self.penalties.setdefault(case, []).append(issued)
        elif "$causationId" not in metadata:
            self.uncaused += 1
        else:
            self.open.pop((case, metadata["command"]), None)

    def asked(self, case: str, command: type[Command]) -> Asked | None:
        return self.open.get((case, command.message_type))


class Replay:
    """Drives one recording through a store and its worker, whose clock is driven. On a store that holds a part of it, the rest follows."""

    def __init__(self, worker: Worker, store: EventStore, recording: Recording, progress: Callable[[date, int], None]) -> None:
        self.desk = Desk(store)
        self._store = store
        self._recording = recording
        self._progress = progress
        self._worker = worker
        self._time = TimeDriver(store)
        self._stored = _stored(store)
        self._length: dict[str, int] = {}  # rows of each case so far
        self._done = 0

    def run(self) -> None:
        """Live through all days. Raises OtherReplay, StoreError."""
        self._settle()
        for day, rows in groupby(self._recording.rows, key=lambda row: row.day):
            self._live(day, list(rows))
        self.desk.catch_up()

    @property
    def counters(self) -> Counters:
        """What the worker has done."""
        return self._worker.counters

    def _live(self, day: date, rows: list[Row]) -> None:
        """Deadlines pass first, then come the day's rows; what a row causes is settled before the case's next row."""
        self._pass_to(midnight(day))
        for rows_of_round in _rounds(rows):
            blocks = self._blocks(rows_of_round)
            if blocks:
                self._publish(blocks, day)
                self._settle()
        self._done += len(rows)
        self._progress(day, self._done)

    def _pass_to(self, time: datetime) -> None:
        assert self._worker.deadlines is not None
        while (due := self._worker.deadlines.next_due()) is not None and due < time:
            self._time.pass_to(due)
            self._settle()
        if self._time.now is None or self._time.now < time:
            self._time.pass_to(time)
            self._settle()

    def _settle(self) -> None:
        self._worker.run(until_idle=True)

    def _blocks(self, rows: Iterable[Row]) -> list[Block]:
        """The rows that are not in the store yet, each at the exact version that makes it the next of its case."""
        self.desk.catch_up()
        blocks = []
        for row in rows:
            length = self._length.get(row.case, 0)
            self._length[row.case] = length + 1
            if length >= self._stored.get(row.case, 0):
                stream = f"{CATEGORY}-{row.case}"
                expected = length - 1 if length else StreamState.NO_STREAM
                blocks.append(Block(stream, [self._record(stream, row)], expected))
        return blocks

    def _record(self, stream: str, row: Row) -> NewRecord:
        event = row.event()
        metadata: dict[str, Any] = {"time": midnight(row.day).astimezone(UTC), "version": event.message_version}
        if row.answers is not None and (asked := self.desk.asked(row.case, row.answers)) is not None:
            metadata |= {"$correlationId": asked.correlation, "$causationId": asked.id, "command": row.answers.message_type}
        data, raw = encode(event), dumps(metadata)
        return new_record(stream, "", str(row.pos), event.message_type, data, raw)

    def _publish(self, blocks: list[Block], day: date) -> None:
        assert self._time.now is not None
        if midnight(day) < self._time.now:
            raise OtherReplay(
                f"{blocks[0].stream} lacks an event of {day}, but there it is {self._time.now:%Y-%m-%d}: give this replay its own store"
            )
        for answer in self._store.append_many(blocks):
            if isinstance(answer, StoreError):
                raise OtherReplay(f"the store holds something else than this file says: {answer}") from answer


def _stored(store: EventStore) -> dict[str, int]:
    """How many rows of each case are in the store."""
    found: dict[str, int] = {}
    for record in store.read_all(where=Filter(stream_prefixes=(f"{CATEGORY}-",))):
        case = record.stream.partition("-")[2]
        found[case] = found.get(case, 0) + 1
    return found


def _rounds(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """The first rows of all cases, then the second ones, and so on."""
    by_case = [list(group) for _, group in groupby(rows, key=lambda row: row.case)]
    for each in zip_longest(*by_case):
        yield [row for row in each if row is not None]


def compare(recording: Recording, desk: Desk) -> dict[str, Any]:
    """What the manager issued, beside what the log recorded."""
    issued = {case: sorted(desk.penalties.get(case, ())) for case in recording.cases}
    recorded = {case: sorted(each.penalties) for case, each in recording.cases.items()}
    return {
        "cases": len(recording.cases),
        "events": len(recording.rows),
        "penalties_issued": sum(map(len, issued.values())),
        "penalties_matching": sum(len(set(issued[case]) & set(recorded[case])) for case in recording.cases),
        "deviations": sum(issued[case] != recorded[case] for case in recording.cases),
        "outcomes": recording.outcomes(),
    }
