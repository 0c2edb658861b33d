"""Who handles a command: one app, noted in the store, since two would both carry it out."""

from collections.abc import Iterable, Mapping

import orjson

from process_manager.core.records import Record
from process_manager.errors import CommandOwned, StoreError, WrongExpectedVersion
from process_manager.ports import EventStore
from process_manager.runtime.notes import note, read_notes

OWNER = "pm.owner"
"""The record that says which app handles a command type, from here on."""


def own(store: EventStore, app: str, commands: Iterable[str], *, take_over: bool = False) -> None:
    """Note an app as the owner of command types that have none, or, with `take_over`, another one.

    One short read for each type, and one append where something is new. Raises CommandOwned, with nothing noted.
    """
    wanted = sorted(commands)
    while True:
        found = {command: _newest(store, command) for command in wanted}
        others = _others(app, found)
        if others and not take_over:
            raise CommandOwned(app, others)
        blocks = [
            note(_stream(command), -1 if record is None else record.revision, OWNER, {"app": app, "command": command})
            for command, record in found.items()
            if record is None or command in others
        ]
        answers = store.append_many(blocks) if blocks else []
        errors = [answer for answer in answers if isinstance(answer, StoreError)]
        if not errors:
            return
        if not isinstance(errors[0], WrongExpectedVersion):
            raise errors[0]


def check_owner(store: EventStore, app: str, commands: Iterable[str]) -> None:
    """Raise CommandOwned where another app is noted as the owner of one of these command types."""
    if others := _others(app, {command: _newest(store, command) for command in sorted(commands)}):
        raise CommandOwned(app, others)


def _others(app: str, found: Mapping[str, Record | None]) -> dict[str, str]:
    return {command: owner for command, record in found.items() if record is not None and (owner := _owner(record)) != app}


def _newest(store: EventStore, command: str) -> Record | None:
    return next(iter(read_notes(store, _stream(command), newest=True)), None)


def _stream(command: str) -> str:
    return f"pm.owner-{command}"


def _owner(record: Record) -> str:
    return str(orjson.loads(record.data)["app"])
