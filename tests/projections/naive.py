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
    """What stands in an instance's stream of one of its lives; times in microseconds."""

    process: str
    status: str = ""  # at its end
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


def lives(records: list[Record]) -> dict[str, list[Life]]:
    """By stream, in their order."""
    found: dict[str, list[Life]] = {}
    for record in records:
        meta = orjson.loads(record.metadata) or {}
        if record.type.startswith("pm.") or "attempt" in meta:
            before, data = found.setdefault(record.stream, []), orjson.loads(record.data)
            if not before or (record.type == "pm.started" and data["life"] > 1):
                before.append(Life(record.stream.split("-")[0]))
            _take(before, record, time_of(record), meta, data)
    return found


def _take(lives: list[Life], record: Record, time: int, meta: dict[str, Any], data: dict[str, Any]) -> None:
    life = lives[-1]
    if "attempt" in meta:
        _ask(lives, meta.get("operation") or record.id, time, meta)
    if record.type == "pm.started":
        life.started, life.ended, life.version = time, None, data["definition_version"]
    if record.type == "pm.ended":
        life.ended, life.status = time, data["status"]
    if record.type == "pm.decided":
        life.decisions.append((time, data["question"], data["answer"]))
    how = {"pm.step-completed": "done", "pm.step-failed": "failed", "pm.step-overdue": "overdue"}.get(record.type)
    if how:
        for each in lives:
            each.commands.pop((data["operation"], data["attempt"]), None)
            if data["operation"] in each.asked and not (how == "overdue" and data.get("retrying")):
                each.answered[data["operation"]] = how, time
    if record.type in RECEIPTS and data["input"]["type"] not in OWN:
        _receive(lives, data["input"])


def _ask(lives: list[Life], operation: str, time: int, meta: dict[str, Any]) -> None:
    asking = next((each for each in lives if operation in each.asked), lives[-1])
    first, step, _ = asking.asked.get(operation, (time, meta["step"], 0))
    asking.asked[operation] = first, step, meta["attempt"]
    asking.answered.pop(operation, None)
    lives[-1].commands[operation, meta["attempt"]] = step


def _receive(lives: list[Life], taken: dict[str, Any]) -> None:
    event = micros(taken["time"]), taken["position"], taken["type"]
    for each in lives:
        if event in each.events:
            each.events.remove(event)  # it had waited
    lives[-1].events.append(event)
