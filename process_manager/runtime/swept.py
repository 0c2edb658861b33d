"""Up to where all that a group has been through was looked at, as the log says: everything there has its receipt or its outcome, or is
from before the group's start."""

from contextlib import suppress

import orjson

from process_manager.errors import WrongExpectedVersion
from process_manager.ports import EventStore
from process_manager.runtime.notes import note, read_notes

SWEPT = "pm.swept"
"""The record that says it."""

MISSED = "pm.missed"
"""The record that says which worker deals with what was missed."""


def swept(store: EventStore, group: str) -> int | None:
    """The position; None where nothing says so."""
    newest = read_notes(store, _stream(group), newest=True)
    return int(orjson.loads(newest[0].data)["until"]) if newest else None


def note_swept(store: EventStore, group: str, until: int) -> None:
    """Say so, unless somebody else says something just now."""
    newest = read_notes(store, _stream(group), newest=True)
    with suppress(WrongExpectedVersion):
        store.append(note(_stream(group), newest[0].revision if newest else -1, SWEPT, {"until": until}))


def claim_missed(store: EventStore, group: str, worker: str, since: int) -> bool:
    """Note in the log that a worker deals with what the group has missed; not where another one has noted that since a time, in
    microseconds since 1970. Returns whether it may."""
    stream = f"pm.missed-{group}"
    newest = next(iter(read_notes(store, stream, newest=True)), None)
    if newest and newest.created > since and orjson.loads(newest.data)["worker"] != worker:
        return False
    try:
        store.append(note(stream, newest.revision if newest else -1, MISSED, {"worker": worker}))
    except WrongExpectedVersion:
        return False
    return True


def _stream(group: str) -> str:
    return f"pm.swept-{group}"
