"""The list of instances, found by scanning the log. `instance_list` is quicker where there are views."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from process_manager.core import facts
from process_manager.core.block import read_fact
from process_manager.core.facts import FACTS, Fact
from process_manager.core.instance import ENDED, Instance
from process_manager.core.metadata import read_metadata, time_of
from process_manager.core.records import Record
from process_manager.core.view import called
from process_manager.errors import MessageError
from process_manager.interfaces.reading.histories import without_class
from process_manager.ports import EventStore, Filter

_DECISIVE = {
    fact.fact_type
    for fact in (
        facts.Started, facts.CompensationStarted, facts.CompensationFailed, facts.Ended, facts.Suspended, facts.InputKept,
        facts.OperatorActed,
    )
}  # fmt: skip
_BETWEEN = frozenset(FACTS) - {facts.SnapshotTaken.fact_type}


class InstanceSummary:
    """What the list says of one instance; `take` updates it with each fact."""

    __slots__ = ("life", "outcome", "stage", "started", "stream", "suspended", "undo_failed", "updated", "version")

    def __init__(self, stream: str) -> None:
        self.stream = stream
        self.stage = ""
        self.suspended = ""
        self.undo_failed = False
        self.life = 0
        self.version = 0
        self.started: datetime | None = None
        self.updated: datetime | None = None
        self.outcome = ""

    def take(self, fact: Fact, time: datetime) -> None:
        match fact:
            case facts.Started():
                self.stage, self.life, self.version, self.started, self.outcome = "running", fact.life, fact.definition_version, time, ""
                self.undo_failed = False
            case facts.CompensationStarted():
                self.stage, self.outcome, self.undo_failed = "compensating", fact.reason, False
            case facts.CompensationFailed():
                self.undo_failed, self.outcome = True, fact.reason
            case facts.Ended():
                self.undo_failed = self.undo_failed and self.stage != "completed"  # recorded again where an undo that failed is settled
                self.stage, self.outcome = fact.status, facts.outcome_told(fact.outcome, fact.left_undone)
            case facts.Suspended():
                self.stage, self.suspended = self.stage or "not_started", fact.error
            case facts.OperatorActed(action="suspend"):
                self.suspended = f"by {fact.actor}: {fact.reason}"
            case facts.OperatorActed(action=action) if self.suspended and not action.endswith("-deadline"):
                self.suspended = ""
            case facts.OperatorActed(action="retry" | "skip"):
                self.undo_failed = False
            case facts.InputKept() if not self.stage:
                self.stage = "not_started"
            case _:
                pass

    @property
    def status(self) -> str:
        """`suspended` goes before every other status; "" where no fact has told one yet."""
        failed = self.undo_failed and self.stage in {"compensating", "compensated", "completed"}
        return "suspended" if self.suspended else "compensation_failed" if failed else self.stage

    def row(self) -> dict[str, Any]:
        process, _, key = self.stream.partition("-")
        return {
            "instance": self.stream, "process": process, "key": key, "status": self.status, "life": self.life, "version": self.version,
            "started": self.started, "updated": self.updated, "outcome": self.suspended or self.outcome,
        }  # fmt: skip


def scan(store: EventStore, process: str = "", status: str = "") -> Iterator[dict[str, Any]]:
    """A row for each instance, in the order of their first records. One small object for each is held in memory."""
    found: dict[str, InstanceSummary] = {}
    where = Filter(types=_BETWEEN, stream_prefixes=())
    for record in store.read_all(where=where):
        if process and not record.stream.startswith(f"{process}-"):
            continue
        _take(found.setdefault(record.stream, InstanceSummary(record.stream)), record)
    return (each.row() for each in found.values() if each.status and status in {"", each.status})


def summaries(store: EventStore, streams: Iterable[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows of those streams that are instances', with what they wait for, each with the position of its first record."""
    for stream in streams:
        records = [record for record in store.read_stream(stream) if record.type in _BETWEEN]
        summary = InstanceSummary(stream)
        for record in records:
            _take(summary, record)
        if summary.status:
            yield from ((records[0].position, row) for row in with_waits(store, [summary.row()]))


def with_waits(store: EventStore, rows: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The rows, each with the steps and deadlines that its instance waits for, which are read from its stream."""
    for row in rows:
        yield row | {"waits_for": [] if row["status"] in ENDED else sorted(_waits_for(without_class(store, row["instance"])))}


def _waits_for(instance: Instance) -> Iterator[str]:
    if instance.ended_at is None:
        yield from (called(run) for run in instance.runs.values() if run.is_open and run.life == instance.life)
        yield from (f"deadline {name}" for name, timer in instance.timers.items() if timer.due is not None)


def _take(instance: InstanceSummary, record: Record) -> None:
    try:
        time = time_of(record, read_metadata(record.type, record.metadata))
        if record.type in _DECISIVE:
            instance.take(read_fact(record), time)
    except MessageError:
        return
    instance.updated = time
