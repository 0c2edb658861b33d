"""A snapshot: the whole instance as one fact of its own stream, so that a long stream need not be folded from its start.

Events and commands are not copied into it: they stand in the stream, and the snapshot names their revisions.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import orjson
from pydantic import BaseModel

from process_manager.core.block import read_fact
from process_manager.core.facts import Receipt, SnapshotTaken, StepStarted
from process_manager.core.instance import Instance, Kept, Payload, Run, Timer
from process_manager.core.messages import Json
from process_manager.core.records import Record
from process_manager.errors import UndecodableMessage

LIMIT = 512 * 1024
"""Bytes of a snapshot's state; an instance that needs more is folded from an earlier snapshot or from its start."""

_TIMES = ("taken_at", "started_at", "ended_at")
_PLAIN = (
    "status", "life", "definition_version", "correlation", "revision", "started_position", "ended_position", "taken_position",
    "outcome", "suspended", "culprit", "compensates", "settlements", "floor",
)  # fmt: skip


def snapshot(instance: Instance, fold_version: str) -> SnapshotTaken | None:
    """The fact that follows the instance's last record; None when it would be over the limit."""
    state: Json = {name: getattr(instance, name) for name in _PLAIN}
    state |= {name: _text(getattr(instance, name)) for name in _TIMES}
    state |= {
        "data": instance.data.model_dump(mode="json") if isinstance(instance.data, BaseModel) else instance.data,
        "events": {type_: payload.revision for type_, payload in instance.events.items()},
        "runs": [_run_to_json(run) for run in instance.runs.values()],
        "commands": _by_operation(instance.commands),
        "timers": {name: [timer.generation, _text(timer.due)] for name, timer in instance.timers.items()},
        "joins": instance.joins.copy(),
        "reactions": sorted(instance.reactions),
        "kept": [[kept.revision, kept.reason, _text(kept.until)] for kept in instance.kept.values()],
        "seen": [[id_, position] for id_, position in instance.seen.items()],
    }
    if len(orjson.dumps(state)) > LIMIT:
        return None
    return SnapshotTaken(fold_version=fold_version, state=state)


def references(fact: SnapshotTaken) -> set[int]:
    """The revisions of the records that `restore` needs."""
    state = fact.state
    runs = state["runs"]
    found = {run["command"] for run in runs} | {run["outcome"] for run in runs if run["outcome"] is not None}
    return found | set(state["events"].values()) | {revision for revision, _, _ in state["kept"]}


def restore(fact: SnapshotTaken, fold_version: str, records: Mapping[int, Record], process: str, key: str) -> Instance | None:
    """The instance as of the snapshot's record, from it and the records that it refers to, by revision.

    None when another fold version wrote it. The definition's own state stays JSON until it is asked for.
    Raises UndecodableMessage when a record that it refers to is missing or holds something else.
    """
    if fact.fold_version != fold_version:
        return None
    state = fact.state
    payload = _reader(records)
    scalars: Json = {name: state[name] for name in _PLAIN} | {name: _time(state[name]) for name in _TIMES}
    instance = Instance(process, key, **scalars)
    instance.revision += 1
    instance.data = state["data"]
    instance.events = {type_: payload(revision) for type_, revision in state["events"].items()}
    instance.runs = {run.operation: run for run in (_run_from_json(raw, payload) for raw in state["runs"])}
    instance.commands = {id_: operation for operation, ids in state["commands"].items() for id_ in ids}
    instance.timers = {name: Timer(generation, _time(due)) for name, (generation, due) in state["timers"].items()}
    instance.joins = dict(state["joins"])
    instance.reactions = set(state["reactions"])
    instance.kept = dict(_kept_from_json(raw, records) for raw in state["kept"])
    instance.seen = dict(state["seen"])
    return instance


def _text(when: datetime | None) -> str | None:
    return None if when is None else when.isoformat()


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _by_operation(commands: Mapping[str, str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for id_, operation in commands.items():
        found.setdefault(operation, []).append(id_)
    return found


def _run_to_json(run: Run) -> Json:
    outcome = run.outcome and run.outcome.revision
    return run._asdict() | {"command": run.command.revision, "outcome": outcome, "due": _text(run.due)}


def _run_from_json(raw: Json, payload: Callable[[int], Payload]) -> Run:
    outcome = None if raw["outcome"] is None else payload(raw["outcome"])
    return Run(**raw | {"command": payload(raw["command"]), "outcome": outcome, "due": _time(raw["due"])})


def _kept_from_json(raw: list[Any], records: Mapping[int, Record]) -> tuple[str, Kept]:
    revision, reason, until = raw
    fact = read_fact(_record(records, revision))
    assert isinstance(fact, Receipt)
    return fact.input.id, Kept(fact.input, reason, _time(until), revision)


def _reader(records: Mapping[int, Record]) -> Callable[[int], Payload]:
    """Each referred record is read once: an event may be an outcome too."""
    known: dict[int, Payload] = {}

    def read(revision: int) -> Payload:
        if revision not in known:
            known[revision] = _payload(_record(records, revision), revision)
        return known[revision]

    return read


def _record(records: Mapping[int, Record], revision: int) -> Record:
    if revision not in records:
        raise UndecodableMessage(SnapshotTaken.fact_type, f"the record at revision {revision}, which it refers to, is missing")
    return records[revision]


def _payload(record: Record, revision: int) -> Payload:
    fact = read_fact(record)
    match fact:
        case StepStarted():
            return Payload(fact.type, fact.command_version, fact.data, revision)
        case Receipt(input=taken):
            return Payload(taken.type, taken.version, taken.data, revision)
        case _:
            raise UndecodableMessage(SnapshotTaken.fact_type, f"the record at revision {revision} holds no message")
