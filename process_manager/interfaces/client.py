"""What the application around the processes does in its own code: publish events, and ask where an instance stands."""

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType, TracebackType
from typing import Any, Self
from uuid import uuid4

import orjson

from process_manager.core.codec import encode
from process_manager.core.explain import Explainer, Explanation
from process_manager.core.identity import derive
from process_manager.core.messages import Event
from process_manager.core.process import ProcessManager
from process_manager.core.records import NewRecord
from process_manager.errors import StreamNotFound
from process_manager.interfaces import bootstrap
from process_manager.interfaces.histories import until
from process_manager.interfaces.lines import Addressed, checked
from process_manager.interfaces.publishing import Publisher

log = logging.getLogger(__name__)

NO_METADATA: Mapping[str, str] = MappingProxyType({})


class Client:
    """An open store, for a web service or a script; workers run the processes. Any thread may use it, and no process that was forked
    since: open one there. Its calls wait for the store. Close it, or use `with`."""

    def __init__(self, store: str) -> None:
        """Open the store at an address such as `pm --store` takes.

        Raises BadAddress, NotAStore, StoreTooNew, StoreUnavailable, and StoreReadOnly for a file of imported histories.
        """
        self._store = bootstrap.open_store(store)
        try:
            bootstrap.refuse_imported(self._store, store)
        except BaseException:
            self._store.close()
            raise

    def publish(self, stream: str, *events: Event, request: str = "", metadata: Mapping[str, str] = NO_METADATA) -> None:
        """Append events to a stream of your domain, as one append; as several, in their order, where they come to more than 1 MiB.

        With your own id of the `request`, the same request published again, after an error or by a second process, changes nothing.
        The stream's records are read for that: keep a stream for each order or claim, not one for all. `metadata` may name the
        `$causationId` and `$correlationId`: the id of the command that the events answer, and the one that its record carries.
        Raises BadEvent for a reserved stream or an event that is too large, StoreError.
        """
        request = request or str(uuid4())
        said = {**metadata, "time": datetime.now(UTC)}
        publisher = Publisher(self._store)
        publisher.publish(
            [
                checked(Addressed(stream, _record(event, derive(stream, request, str(ordinal)), said)))
                for ordinal, event in enumerate(events)
            ]
        )
        for misplaced in publisher.misplaced:
            log.warning("events went into %s, where an instance keeps what it knows: give events streams of your domain", misplaced)

    def explain(self, process: type[ProcessManager[Any]], key: str) -> Explanation | None:
        """Where an instance stands, what was decided, and what it waits for; None where nothing is known of it.

        Its whole stream is read. Raises MessageError for a record that cannot be read, StoreError.
        """
        definition = process.definition
        explainer = Explainer(definition.name, key, definition)
        try:
            explainer.take(until(self._store, f"{definition.name}-{key}"))
        except StreamNotFound:
            return None
        return explainer.explanation(datetime.now(UTC))

    def close(self) -> None:
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()


def _record(event: Event, id_: str, metadata: Mapping[str, object]) -> NewRecord:
    return NewRecord(id_, event.message_type, encode(event), orjson.dumps({**metadata, "version": event.message_version}))
