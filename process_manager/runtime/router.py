"""Finds the instances that a record of the log concerns."""

import logging
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import orjson

from process_manager.core.codec import decode, decode_json
from process_manager.core.definition import Definition
from process_manager.core.facts import Input
from process_manager.core.identity import new_record
from process_manager.core.messages import Event, Json
from process_manager.core.metadata import read_metadata, time_of, version_of
from process_manager.core.records import Record
from process_manager.core.routing import correlation_of
from process_manager.core.signals import ADDRESSED
from process_manager.errors import NewerFact, NotCorrelated, StreamNotFound, UndecodableMessage
from process_manager.ports import Block, EventStore, StreamState
from process_manager.runtime.refusals import allow_conflicts

log = logging.getLogger(__name__)

CORRELATED = "pm.correlated"
"""The record that says which instance carries a correlation id."""

KEYS = 10_000
"""Correlation ids whose instance is remembered."""


class Target(NamedTuple):
    """An instance that an input concerns."""

    definition: Definition
    key: str

    @property
    def stream(self) -> str:
        return f"{self.definition.name}-{self.key}"


class Incoming(NamedTuple):
    """A record, decoded once, and where it goes; `unrouted` says why it goes to no instance of another process that takes it too."""

    input: Input
    message: Event | None
    targets: Sequence[Target]
    unrouted: UndecodableMessage | None = None


def input_types(definitions: Mapping[str, Definition]) -> frozenset[str]:
    """The types of records that concern these processes."""
    return frozenset(ADDRESSED).union(*(definition.handled for definition in definitions.values()))


class Router:
    """Decodes inputs and finds their instances.

    A process that routes some events by `$correlationId` and starts by key has a record of its correlation id in a stream
    named by it, written by `write_notes` before the turn that starts the instance: it follows from the starting event alone, so a crash
    in between leaves nothing wrong behind.
    """

    def __init__(self, definitions: Mapping[str, Definition], store: EventStore) -> None:
        self._definitions = definitions
        self._store = store
        self._notes: dict[str, Block] = {}  # to be written, by stream
        self._keys: dict[str, str] = {}  # of correlation ids that were looked up: a note is for ever
        self._shared: set[str] = set()  # processes in whose instances' streams events were found
        self._correlating = {name for name, each in definitions.items() if each.has_correlation_routes}
        self._by_type: dict[str, list[Definition]] = {}
        for definition in definitions.values():
            for type_ in definition.handled:
                self._by_type.setdefault(type_, []).append(definition)

    def incoming(self, record: Record) -> Incoming:
        """Decode a record. Raises NewerFact, and UndecodableMessage, its NotCorrelated among them, when no process can take it."""
        metadata = read_metadata(record.type, record.metadata)
        decode_json(record.type, record.data)
        taken = input_of(record, metadata)
        if record.type in ADDRESSED:
            return Incoming(taken, None, self._addressed(taken))
        definitions = self._by_type.get(record.type, [])
        if not definitions:
            return Incoming(taken, None, [])
        self._warn_of_shared(record.stream)
        message = decode(definitions[0].handled[record.type].event, taken.version, record.data)
        return self._routed(definitions, taken, message, metadata)

    def _routed(self, definitions: Sequence[Definition], taken: Input, message: Event, metadata: Json) -> Incoming:
        """Where the message goes, one entry for each process. A process that finds no instance does not hold up the others."""
        targets: list[Target] = []
        unrouted: UndecodableMessage | None = None
        for each in definitions:
            try:
                targets.append(Target(each, self._key(each, taken, message, metadata)))
            except UndecodableMessage as error:
                unrouted = unrouted or error
        if unrouted is not None and not targets:
            raise unrouted
        return Incoming(taken, message, targets, unrouted)

    def _warn_of_shared(self, stream: str) -> None:
        """Warn, once for each process, of domain events in an instance's stream. It works, but readers of either see the other's."""
        process = stream.partition("-")[0]
        if process in self._definitions and process not in self._shared:
            self._shared.add(process)
            told = "events stand in streams where instances of %s keep what they know, such as %s: name the domain's streams otherwise"
            log.warning(told, process, stream, extra={"action": "shared_stream", "stream": stream})

    def write_notes(self) -> None:
        """Note which instances carry which correlation ids, as far as the inputs since the last time say so; the first note stands."""
        if self._notes:
            allow_conflicts(self._store.append_many(list(self._notes.values())))
            self._notes = {}

    def starts_new(self, definition: Definition, taken: Input) -> bool:
        """Whether an input starts an instance that can start only once, so that it is probably not there yet."""
        handled = definition.handled.get(taken.type)
        return handled is not None and handled.starts is not None and not handled.starts.mark.again

    def _addressed(self, taken: Input) -> list[Target]:
        signal = ADDRESSED[taken.type]
        if taken.version > signal.version:
            raise NewerFact(taken.type, taken.version, signal.version)
        try:
            process, _, key = signal.read(taken.data).instance.partition("-")
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise UndecodableMessage(taken.type, f"{type(error).__name__}: {error}") from error
        return [Target(self._definitions[process], key)] if process in self._definitions else []

    def _key(self, definition: Definition, taken: Input, message: Event, metadata: Json) -> str:
        route = definition.routes[taken.type]
        if route.by_correlation:
            return self._correlated(definition, correlation_of(taken.type, metadata))
        key = route.key(message)
        if definition.name in self._correlating and definition.handled[taken.type].starts is not None:
            self._note(definition, str(metadata.get("$correlationId") or taken.id), key)
        return key

    def _correlated(self, definition: Definition, correlation: str) -> str:
        self.write_notes()
        alias = _alias(definition, correlation)
        if alias in self._keys:
            return self._keys[alias]
        try:
            (record,) = self._store.read_stream(alias, limit=1)
        except StreamNotFound:
            starts = [type_ for type_, handled in definition.handled.items() if handled.starts is not None]
            if any(definition.routes[type_].by_correlation for type_ in starts):
                return correlation
            raise NotCorrelated(
                definition.name, f"no instance carries the correlation id {correlation!r} yet; replay it when there is one"
            ) from None
        key = str(orjson.loads(record.data)["key"])
        if len(self._keys) >= KEYS:
            del self._keys[next(iter(self._keys))]
        self._keys[alias] = key
        return key

    def _note(self, definition: Definition, correlation: str, key: str) -> None:
        stream = _alias(definition, correlation)
        data = orjson.dumps({"process": definition.name, "key": key})
        metadata = orjson.dumps({"$correlationId": correlation, "version": 1})
        record = new_record(stream, correlation, "", CORRELATED, data, metadata)
        self._notes.setdefault(stream, Block(stream, [record], StreamState.NO_STREAM))


def _alias(definition: Definition, correlation: str) -> str:
    return f"pm.correlation-{definition.name}/{correlation}"


def input_of(record: Record, metadata: Json) -> Input:
    """The record as an input. Raises UndecodableMessage for a version or a time that is none."""
    return Input(
        record.id, record.type, version_of(record, metadata), record.data, record.metadata or b"null", record.stream, record.revision,
        record.position, time_of(record, metadata), metadata,
    )  # fmt: skip
