"""What the reports should say, from the records' JSON alone, read once in the order of the log. It knows no table and no fold."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson

from process_manager.core.records import Record
from projections.reports import Scope

RECEIPTS = {"pm.started", "pm.step-completed", "pm.step-failed", "pm.event-taken", "pm.input-ignored", "pm.input-kept", "pm.suspended"}
OWN = {"pm.operator-action", "pm.deadline-passed", "pm.command-parked"}


@dataclass
class Life:
    """What stands in an instance's stream; times in microseconds."""

    process: str
    version: int = 0
    started: int | None = None
    ended: int | None = None
    events: list[tuple[int, int, str]] = field(default_factory=list)  # time, position, type
    decisions: list[tuple[int, str, str]] = field(default_factory=list)
    asked: dict[str, tuple[int, str, int]] = field(default_factory=dict)  # by operation: first time, step, attempts
    answered: dict[str, tuple[str, int]] = field(default_factory=dict)  # by operation: how and when for good
    commands: dict[tuple[str, int], str] = field(default_factory=dict)  # outstanding, by operation and attempt

    def within(self, scope: Scope) -> bool:
        """Whether it started in the span of a scope."""
        if scope.since is None and scope.until is None:
            return True
        return self.started is not None and (scope.since or 0) <= self.started and (scope.until is None or self.started < scope.until)


def micros(text: str) -> int:
    return round((datetime.fromisoformat(text) - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1e6)


def time_of(record: Record) -> int:
    """Its own time, or the store's where it has none."""
    text = (orjson.loads(record.metadata) or {}).get("time")
    return micros(text) if text else record.created


def lives(records: list[Record]) -> dict[str, Life]:
    """By stream."""
    found: dict[str, Life] = {}
    for record in records:
        meta = orjson.loads(record.metadata) or {}
        if record.type.startswith("pm.") or "attempt" in meta:
            life = found.setdefault(record.stream, Life(record.stream.split("-")[0]))
            _take(life, record, time_of(record), meta, orjson.loads(record.data))
    return found


def _take(life: Life, record: Record, time: int, meta: dict[str, Any], data: dict[str, Any]) -> None:
    if "attempt" in meta:
        operation = meta.get("operation") or record.id
        first, step, _ = life.asked.get(operation, (time, meta["step"], 0))
        life.asked[operation] = first, step, meta["attempt"]
        life.commands[operation, meta["attempt"]] = step
        life.answered.pop(operation, None)
    if record.type == "pm.started":
        life.started, life.ended, life.version = time, None, data["definition_version"]
    if record.type == "pm.ended":
        life.ended = time
    if record.type == "pm.decided":
        life.decisions.append((time, data["question"], data["answer"]))
    how = {"pm.step-completed": "done", "pm.step-failed": "failed", "pm.step-overdue": "overdue"}.get(record.type)
    if how:
        life.commands.pop((data["operation"], data["attempt"]), None)
        if not (how == "overdue" and data.get("retrying")):
            life.answered[data["operation"]] = how, time
    if record.type in RECEIPTS and not data.get("kept") and data["input"]["type"] not in OWN:
        taken = data["input"]
        life.events.append((micros(taken["time"]), taken["position"], taken["type"]))
