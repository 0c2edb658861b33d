"""What is kept of all groups: one record that defines them, in a stream of the server's own."""

import uuid
from collections.abc import Sequence

from process_manager.errors import StreamNotFound
from process_manager.interfaces.devserver.groups.definition import CONFIG_STREAM, CONFIG_TYPE, Definition, from_json, to_json
from process_manager.interfaces.devserver.log import Log
from process_manager.interfaces.devserver.wire import new_record
from process_manager.interfaces.devserver.write_rules import Written
from process_manager.interfaces.devserver.writer import Writer
from process_manager.ports import StreamState


def load(log: Log) -> list[Definition]:
    """The groups as they were when the server last ran."""
    try:
        newest = next(log.stream(CONFIG_STREAM, None, backwards=True), None)
    except StreamNotFound:
        return []
    return [] if newest is None else from_json(newest.data)


def save(writer: Writer, definitions: Sequence[Definition]) -> None:
    """Keep these. Raises the store's error when that fails."""
    record = new_record(str(uuid.uuid4()), CONFIG_TYPE, to_json(definitions))
    outcome = writer.append(CONFIG_STREAM, [record], StreamState.ANY)
    if not isinstance(outcome, Written):
        raise outcome
