"""Reading streams and the log. A read that breaks goes on behind the last record it gave, for as long as the patience lasts."""

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from itertools import islice
from typing import Any, TypeVar

from process_manager.adapters.esdb.backoff import Backoff
from process_manager.adapters.esdb.client import QUERY_DEADLINE, Client
from process_manager.adapters.esdb.errors import TROUBLE, leader, translate
from process_manager.adapters.esdb.filtering import passes, server_filter
from process_manager.adapters.esdb.records import Found, found
from process_manager.core.records import Record
from process_manager.errors import StoreUnavailable
from process_manager.ports import BEFORE_ALL, EVERYTHING, Filter

T = TypeVar("T")
Open = Callable[[Found | None], Generator[Any, None, None] | None]
"""Opens a read behind what was found last, or from its start; None where nothing can be."""


class Reading:
    """Reads and queries of a store, from any thread, over one client."""

    def __init__(self, client: Client, patience: float) -> None:
        self._client = client
        self._patience = patience

    def ask(self, question: Callable[[Client], T], *, group: str = "", patience: float | None = None) -> T:
        """Ask until there is an answer. Raises what the answer means, StoreUnavailable when the patience is at its end."""
        backoff = Backoff(self._patience if patience is None else patience)
        while True:
            self._client.check_open()
            try:
                return question(self._client)
            except TROUBLE as error:
                self._bear(error, backoff, group=group)

    def stream(self, name: str, *, start: int | None = None, backwards: bool = False, limit: int | None = None) -> Iterator[Record]:
        """See `EventStore.read_stream`."""
        return (each.record for each in self.in_stream(name, start=start, backwards=backwards, limit=limit))

    def in_stream(self, name: str, *, start: int | None = None, backwards: bool = False, limit: int | None = None) -> Iterator[Found]:
        """The same with links beside what they point to."""

        def open_(last: Found | None) -> Generator[Any, None, None] | None:
            position = start if last is None else last.itself.revision + (-1 if backwards else 1)
            if position is not None and position < 0:
                return None
            return self._client.read(stream_name=name, stream_position=position, backwards=backwards, resolve_links=True, **_most(most))

        most = limit or (None if limit is None else 1)  # a server refuses 0, and the stream must be there all the same
        every = self._patiently(open_, stream=name)
        if limit == 0:
            next(every, None)
        return islice(every, limit)

    def log(
        self, *, after: int | None = None, backwards: bool = False, limit: int | None = None, where: Filter = EVERYTHING
    ) -> Iterator[Record]:
        """See `EventStore.read_all`."""
        asked = server_filter(where)
        every = self.in_log(after, asked.arguments(), backwards=backwards, limit=limit if asked.exact else None)
        return islice((it.record for it in every if asked.exact or passes(where, it)), limit)

    def in_log(self, after: int | None, filters: dict[str, Any], *, backwards: bool = False, limit: int | None = None) -> Iterator[Found]:
        """What is in the log behind, or backwards before, a position. The server's reads are inclusive forwards, exclusive backwards."""
        if limit == 0 or (backwards and after == BEFORE_ALL):
            return iter(())

        def open_(last: Found | None) -> Generator[Any, None, None] | None:
            position = last.record.position if last else None if after == BEFORE_ALL else after
            most = _most(None if limit is None else limit + 1)
            return self._client.read(commit_position=position, backwards=backwards, resolve_links=True, **filters, **most)

        every = self._patiently(open_)
        if after is not None and not backwards:
            every = (each for each in every if each.record.position > after)
        return islice(every, limit)

    def _patiently(self, open_: Open, stream: str = "") -> Iterator[Found]:
        """What a read finds that goes on wherever it broke."""
        last: Found | None = None
        backoff: Backoff | None = None
        while True:
            self._client.check_open()
            try:
                if (messages := open_(last)) is None:
                    return
                with closing(messages):
                    for each in filter(None, map(_found, messages)):
                        if last is None or each.record.position != last.record.position:
                            last, backoff = each, None
                            yield each
                self._client.check_open()  # whose end ends all reads quietly
                return
            except TROUBLE as error:
                backoff = backoff or Backoff(self._patience)
                self._bear(error, backoff, stream=stream)

    def _bear(self, error: BaseException, backoff: Backoff, *, stream: str = "", group: str = "") -> None:
        """Wait and reconnect, if that may help; else raise what it means."""
        meaning = translate(error, stream=stream, group=group)
        if not isinstance(meaning, StoreUnavailable) or not backoff.again():
            raise meaning from None
        try:
            self._client.follow(leader(error))
        except TROUBLE as again:
            if not isinstance(worse := translate(again), StoreUnavailable):
                raise worse from None

    def last_position(self, patience: float | None = None) -> int:
        """See `EventStore.last_position`."""
        arguments = server_filter(EVERYTHING).arguments()

        def newest(client: Client) -> int:
            with closing(client.read(backwards=True, limit=1, timeout=QUERY_DEADLINE, **arguments)) as messages:
                return next((each.record.position for each in filter(None, map(_found, messages))), BEFORE_ALL)

        return self.ask(newest, patience=patience)


def _found(message: Any) -> Found | None:
    return found(message.event) if message.HasField("event") else None


def _most(limit: int | None) -> dict[str, Any]:
    return {} if limit is None else {"limit": limit}
