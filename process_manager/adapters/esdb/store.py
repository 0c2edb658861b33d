"""The store over its parts: one client for reads and queries, one for appends, one for each subscription and member."""

import time
from collections.abc import Iterator, Sequence
from functools import partial
from threading import Lock
from weakref import WeakSet, finalize

from process_manager.adapters.esdb.address import read_server
from process_manager.adapters.esdb.backoff import Backoff
from process_manager.adapters.esdb.client import Client, connect
from process_manager.adapters.esdb.consumer import EsdbConsumer
from process_manager.adapters.esdb.group_records import GroupRecords
from process_manager.adapters.esdb.groups import Groups
from process_manager.adapters.esdb.parking import Parking
from process_manager.adapters.esdb.pipeline import Pipeline
from process_manager.adapters.esdb.reading import Reading
from process_manager.adapters.esdb.signal import Signal
from process_manager.adapters.esdb.subscription import EsdbSubscription
from process_manager.core.records import Record
from process_manager.errors import StoreError, StoreUnavailable
from process_manager.ports import (
    BEFORE_ALL,
    EVERYTHING,
    Appended,
    Block,
    Consumer,
    Features,
    Filter,
    GroupInfo,
    GroupSettings,
    Parked,
)

PATIENCE = 30.0
"""Seconds that a call bears with a server that does not answer, as while a cluster elects a leader."""

AT_START = 5.0
"""Seconds for the first answer, so that a wrong address is told soon."""

ENDS_WITHIN = 5.0
"""Seconds that the threads of a store get to end when it is closed. One that looks for a server takes longer, and does no harm."""

POLL = 0.05
"""Seconds between two looks for what other processes appended."""


class EsdbStore:
    """An `EventStore` on an EventStoreDB server or cluster."""

    features = Features(durable=True, single_active=False, shared=True, common_log=True, pushes=True)

    def __init__(self, url: str, *, patience: float = PATIENCE) -> None:
        """Connect. Raises NotAStore for a URL that cannot work, StoreUnavailable when no server answers, AccessDenied."""
        self._address = read_server(url)
        self._signal = Signal()
        self._closed = False
        self._lock = Lock()
        self._clients: WeakSet[Client] = WeakSet()
        self._parts: WeakSet[EsdbConsumer | EsdbSubscription] = WeakSet()
        self._end = finalize(
            self, _close, self._parts, self._clients
        )  # at the latest when the process ends, which open channels would hold up
        self._patience = min(patience, AT_START)
        self._reading = Reading(self._connect("pm"), patience)
        try:
            self._reading.last_position(self._patience)
        except StoreError as error:
            self.close()
            raise type(error)(f"{self._address.shown}: {error}") from None
        self._patience = patience
        self._pipeline = Pipeline(self._connect("pm"), patience)
        self._records = GroupRecords(self._pipeline, self._reading)
        self._parking = Parking(self._pipeline, self._reading)
        self._groups = Groups(self._reading, self._records, self._parking)

    def __repr__(self) -> str:
        return f"EsdbStore({self._address.shown!r})"

    def _connect(self, name: str) -> Client:
        """Again and again while no node is found, as while a cluster elects its leader."""
        backoff = Backoff(self._patience)
        while True:
            self._check_open()
            try:
                return self._kept(connect(self._address, name))
            except StoreUnavailable:
                if self._closed or not backoff.again():
                    raise

    def _kept(self, client: Client) -> Client:
        with self._lock:
            self._clients.add(client)
            if self._closed:
                client.close()
            self._check_open()
            return client

    def _check_open(self) -> None:
        if self._closed:
            raise StoreUnavailable("this store was closed")

    def append(self, block: Block) -> Appended:
        (answer,) = self._pipeline.append([block])
        if isinstance(answer, StoreError):
            raise answer
        return answer

    def append_many(self, blocks: Sequence[Block], lease: Consumer | None = None) -> Sequence[Appended | StoreError]:
        """Every member is active, so `lease` refuses nothing."""
        del lease
        return self._pipeline.append(blocks)

    def read_stream(self, stream: str, *, start: int | None = None, backwards: bool = False, limit: int | None = None) -> Iterator[Record]:
        return self._reading.stream(stream, start=start, backwards=backwards, limit=limit)

    def read_all(
        self, *, after: int | None = None, backwards: bool = False, limit: int | None = None, where: Filter = EVERYTHING
    ) -> Iterator[Record]:
        return self._reading.log(after=after, backwards=backwards, limit=limit, where=where)

    def subscribe(self, *, after: int = BEFORE_ALL, where: Filter = EVERYTHING) -> EsdbSubscription:
        subscription = EsdbSubscription(partial(self._connect, "pm"), self._reading, self._signal, after, where)
        self._parts.add(subscription)
        return subscription

    def last_position(self) -> int:
        return self._reading.last_position()

    def wait(self, after: int, timeout: float) -> bool:
        """See `EventStore.wait`. Woken by arrivals for members and subscriptions; else the log is looked at every `POLL` seconds."""
        self._check_open()  # what arrived before says nothing any more
        until = time.monotonic() + timeout
        if self._signal.pause(0.0):
            return True
        while self._reading.last_position() <= after:
            left = until - time.monotonic()
            if left <= 0:
                return False
            if self._signal.pause(min(left, POLL)):
                return True
        return True

    def create_group(self, name: str, *, where: Filter, after: int = BEFORE_ALL, settings: GroupSettings | None = None) -> None:
        self._groups.create(name, where, after, settings or GroupSettings())

    def update_group(self, name: str, settings: GroupSettings) -> None:
        self._groups.update(name, settings)

    def delete_group(self, name: str) -> None:
        self._groups.delete(name)

    def group_names(self) -> Sequence[str]:
        return self._groups.names()

    def groups(self) -> Sequence[GroupInfo]:
        return self._groups.all()

    def group(self, name: str) -> GroupInfo:
        return self._groups.info(name)

    def join(self, group: str, member: str) -> EsdbConsumer:
        consumer = EsdbConsumer(partial(self._connect, member), self._records, self._parking, self._signal, group)
        self._parts.add(consumer)
        return consumer

    def parked(self, group: str) -> Sequence[Parked]:
        self._records.get(group)
        return self._parking.parked(group)

    def replay_parked(self, group: str, ids: Sequence[str] | None = None) -> int:
        self._records.get(group)
        return self._parking.replay(group, ids)

    def drop_parked(self, group: str, ids: Sequence[str]) -> int:
        self._records.get(group)
        return self._parking.drop(group, ids)

    def close(self) -> None:
        with self._lock:
            self._closed = True
        if hasattr(self, "_pipeline"):
            self._pipeline.close()
        self._end()


def _close(parts: "WeakSet[EsdbConsumer | EsdbSubscription]", clients: "WeakSet[Client]") -> None:
    for part in list(parts):
        part.leave() if isinstance(part, EsdbConsumer) else part.close()
    for client in list(clients):
        client.close()
    until = time.monotonic() + ENDS_WITHIN
    for client in list(clients):
        client.await_receivers(until)
