"""`Client`: for the application around the processes, to publish events and to ask where an instance stands."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from threading import Lock
from types import MappingProxyType, TracebackType
from typing import Any, Self
from uuid import uuid4

import orjson

from process_manager.core.codec import decode, encode
from process_manager.core.definition import Definition
from process_manager.core.explain import Explainer, Explanation
from process_manager.core.identity import derive
from process_manager.core.messages import Command, Event
from process_manager.core.metadata import read_metadata, version_of
from process_manager.core.process import ProcessManager
from process_manager.core.records import NewRecord, Record
from process_manager.errors import BadEvent, MessageError, NotAStore, StoreUnavailable, StreamNotFound
from process_manager.interfaces import bootstrap
from process_manager.interfaces.address import read_address, shown
from process_manager.interfaces.publishing.event_lines import COMMAND, Addressed, checked
from process_manager.interfaces.publishing.publisher import Publisher
from process_manager.interfaces.reading.histories import until
from process_manager.ports import MAX_APPEND, EventStore

log = logging.getLogger(__name__)

NO_METADATA: Mapping[str, str] = MappingProxyType({})


class Client:
    """An open store, for a web service or a script; workers run the processes. Any thread may use it, and no process that was forked
    since: open one there. Its calls wait for the store. Close it, or use `with`."""

    def __init__(self, store: str) -> None:
        """Open the store at an address such as `pm --store` takes; a file that is not there yet is created by the first `publish`.

        Raises BadAddress, NotAStore, StoreTooNew, StoreUnavailable, and StoreReadOnly for a file of imported histories.
        """
        self._url = store
        self._lock = Lock()
        self._closed = False
        self._opened = None if _missing(store) else _open(store, create=False)

    def publish(self, stream: str, *events: Event, request: str = "", metadata: Mapping[str, str] = NO_METADATA) -> None:
        """Append events to a stream of your domain, as one append; as several, in their order, where they come to more than 1 MiB.

        With your own id of the `request`, the same request published again, after an error or by a second process, changes nothing.
        The stream's records are read for that: keep a stream for each order or claim, not one for all. `metadata` may name the
        `$causationId` and `$correlationId`: the id of the command that the events answer, and the one that its record carries.
        Raises BadEvent for a command, a reserved stream, an event that is too large, and a `request` that was published with other
        events before; TypeError and ValueError for what are no events; StoreError.
        """
        _refuse_no_events(stream, events)
        said = {**metadata, "time": datetime.now(UTC)}
        id_ = request or str(uuid4())
        offered = [checked(Addressed(stream, _record(event, derive(stream, id_, str(n)), said))) for n, event in enumerate(events)]
        same = _same_request(id_, dict(zip((record for _, record in offered), events, strict=True)), derive(stream, id_, str(len(events))))
        publisher = Publisher(self._store(create=True), same)
        publisher.publish(offered)
        for misplaced in publisher.misplaced:
            log.warning("events went into %s, where an instance keeps what it knows: give events streams of your domain", misplaced)

    def explain(self, process: type[ProcessManager[Any]], key: str) -> Explanation | None:
        """Where an instance stands, what was decided, and what it waits for; None where nothing is known of it.

        Its whole stream is read. Raises MessageError for a record that cannot be read, TypeError for what is no ProcessManager class,
        NotAStore where the file is not there, StoreError.
        """
        definition = getattr(process, "definition", None)
        if not isinstance(definition, Definition):
            raise TypeError(f"{process!r:.60} is no ProcessManager class: write explain(the process class, key)")
        store = self._store(create=False)
        explainer = Explainer(definition.name, key, definition)
        try:
            explainer.take(until(store, f"{definition.name}-{key}"))
        except StreamNotFound:
            return None
        return explainer.explanation(datetime.now(UTC))

    def _store(self, *, create: bool) -> EventStore:
        with self._lock:
            if self._closed:
                raise StoreUnavailable(f"{shown(self._url)}: this client was closed: open another one")
            if self._opened is None:
                if not create and _missing(self._url):
                    raise NotAStore(f"there is no store {self._url}: the first publish creates it, or name another one")
                self._opened = _open(self._url, create=create)
            return self._opened

    def close(self) -> None:
        with self._lock:
            self._closed = True
            if self._opened is not None:
                self._opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()


def _record(event: Event, id_: str, metadata: Mapping[str, object]) -> NewRecord:
    return NewRecord(id_, event.message_type, encode(event), orjson.dumps({**metadata, "version": event.message_version}))


def _missing(url: str) -> bool:
    path = read_address(url).path
    return path is not None and not path.exists()


def _open(url: str, *, create: bool) -> EventStore:
    store = bootstrap.open_store(url, create=create)
    try:
        bootstrap.refuse_imported(store, url)
    except BaseException:
        store.close()
        raise
    return store


def _refuse_no_events(stream: object, events: Sequence[object]) -> None:
    if not isinstance(stream, str):
        raise TypeError(f"{stream!r:.60} is no name of a stream: write publish(stream, event)")
    if not events:
        raise ValueError("there is no event to publish: write publish(stream, event)")
    for event in events:
        if isinstance(event, Command):
            raise BadEvent(f"{type(event).__name__} {COMMAND}")
        if not isinstance(event, Event):
            raise TypeError(f"{event!r:.60} is no event: publish objects of Event classes")
        if not event.message_type:
            raise BadEvent(f"{type(event).__name__} has no written name, so it cannot be published: give its class type=...")


def _same_request(request: str, offered: Mapping[NewRecord, Event], beyond: str) -> Callable[[Iterable[Record]], Iterator[Record]]:
    """Reads a stream through; BadEvent where the request stands there with other events, `beyond` being the id of one more.

    Of events that need several appends there may be only the first ones, after an error.
    """
    expected = {record.id: event for record, event in offered.items()}
    in_one_append = sum(each.size for each in offered) <= MAX_APPEND
    other = BadEvent(f"the request {request!r} was published with other events before: give another one an id of its own")

    def read(records: Iterable[Record]) -> Iterator[Record]:
        found = 0
        for record in records:
            if record.id == beyond or (record.id in expected and not _says(record, expected[record.id])):
                raise other
            found += record.id in expected
            yield record
        if in_one_append and 0 < found < len(expected):
            raise other

    return read


def _says(record: Record, event: Event) -> bool:
    """Whether a record holds this event, compared as messages: order of sets, time zones and older versions do not matter."""
    if record.type != event.message_type:
        return False
    if record.data == encode(event):
        return True
    try:
        version = version_of(record, read_metadata(record.type, record.metadata))
        return decode(type(event), version, record.data) == event
    except MessageError:
        return False
