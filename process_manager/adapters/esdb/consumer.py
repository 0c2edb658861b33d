"""A member of a consumer group: a thread takes in what the server pushes, `fetch` hands it out, acks leave at once.

What was pushed is acknowledged by the id of the record or, for a replayed one, of its marker: a record may come by several at once, and
dealing with it settles them all. A call that breaks is opened again; what it had delivered comes anew, so its late acks are left out. A
retry stays here: it is handed out first, and needs no round trip.
"""

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from math import inf
from queue import Empty, SimpleQueue
from threading import Event, Lock
from typing import Any, NamedTuple, cast

import grpc

from process_manager.adapters.esdb.backoff import Backoff
from process_manager.adapters.esdb.client import Client
from process_manager.adapters.esdb.errors import TROUBLE, leader, translate
from process_manager.adapters.esdb.group_records import GroupRecord, GroupRecords
from process_manager.adapters.esdb.groups import is_marker, wants
from process_manager.adapters.esdb.membership import Membership
from process_manager.adapters.esdb.parking import Parking
from process_manager.adapters.esdb.records import Found, found
from process_manager.adapters.esdb.signal import Signal
from process_manager.core.records import Record
from process_manager.errors import GroupNotFound, LeaseLost, StoreError, StoreUnavailable
from process_manager.ports import Delivery, Nack

log = logging.getLogger(__name__)

ABSENT = 5.0
"""Seconds that a group may be missing on the server while our record of it stands, for that is how it is changed."""

PATIENCE = 30.0
"""Seconds that joining bears with a server that is away; a member that is in comes back whenever it can."""


HELD = 5.0
"""Seconds after which a call that breaks is opened again at once. A server may confirm a member and drop it each time, as it does when it
cannot read what the group is to get."""


class _Pushed(NamedTuple):
    """What a call delivered."""

    call: Membership
    event: Any


class _Out(NamedTuple):
    """What is handed out: how to acknowledge it, and what it is."""

    call: Membership
    ack_id: str
    delivery: Delivery


class EsdbConsumer:
    """See `Consumer`; made by `EsdbStore.join`. Its client is its own."""

    active = True
    renewals = 0

    def __init__(self, connect: Callable[[], Client], records: GroupRecords, parking: Parking, signal: Signal, group: str) -> None:
        self._records = records
        self._parking = parking
        self._signal = signal
        self._group: GroupRecord = records.get(group)
        self._arrived: SimpleQueue[_Pushed | StoreError] = SimpleQueue()
        self._again: dict[str, _Out] = {}
        self._out: dict[int, dict[str, _Out]] = {}  # by position, then by the id that is acknowledged
        self._unwanted: list[str] = []
        self._left = Event()
        self._failed: StoreError | None = None
        self._lock = Lock()
        self._client = connect()
        try:
            self._call = self._membership(PATIENCE)
        except StoreError:
            self._client.close()
            raise
        self._client.receive("pm-consumer", self._receive)

    def fetch(self, limit: int, timeout: float = 0.0) -> Sequence[Delivery]:
        self._check()
        until = time.monotonic() + timeout
        found = self._retries(limit)
        while len(found) < limit:
            pushed = self._next(0.0 if found else until - time.monotonic())
            if pushed is None:
                if found or time.monotonic() >= until:
                    break
            elif out := self._accept(pushed):
                self._again.pop(out.ack_id, None)
                found.append(self._hand_out(out))
        self._settle_unwanted()
        return found

    def _check(self) -> None:
        if self._left.is_set():
            raise LeaseLost("this member has left its group: join it again")
        if self._failed:
            raise self._failed

    def _retries(self, limit: int) -> list[Delivery]:
        again = [self._again.pop(id_) for id_ in list(self._again)[:limit]]
        return [self._hand_out(out) for out in again if out.call is self._call]

    def _hand_out(self, out: _Out) -> Delivery:
        self._out.setdefault(out.delivery.record.position, {})[out.ack_id] = out
        return out.delivery

    def _next(self, timeout: float) -> _Pushed | None:
        try:
            item = self._arrived.get(timeout=timeout) if timeout > 0 else self._arrived.get_nowait()
        except Empty:
            return None
        if isinstance(item, StoreError):
            self._failed = item
            raise item
        return item

    def _accept(self, pushed: _Pushed) -> _Out | None:
        """What to hand out for it; what is not for us is acknowledged, what an ended call delivered comes again."""
        if pushed.call is not self._call:
            return None
        message = pushed.event
        record = self._record(found(message))
        ack_id = (message.link if message.HasField("link") else message.event).id.string
        if record is None:
            self._unwanted.append(ack_id)
            return None
        return _Out(pushed.call, ack_id, Delivery(record, message.retry_count))

    def _record(self, event: Found | None) -> Record | None:
        """What an event stands for; None when it is gone, or not for us."""
        if event is None or not wants(self._group, event):
            return None
        return self._parking.original(event.record.data) if is_marker(self._group, event.record) else event.record

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        self._check()
        self._settle(self._known(deliveries))

    def nack(self, deliveries: Sequence[Delivery], action: Nack, reason: str = "") -> None:
        self._check()
        if action is Nack.PARK and (left_out := [it.record for it in deliveries if it.record.position not in self._out]):
            self._parking.park(self._group.name, left_out, reason)  # found in the log by a sweep
        known = self._known(deliveries)
        if action is Nack.RETRY:
            again = [out for out in known if out.delivery.retries < self._group.settings.max_retries]
            for out in again:
                retried = Delivery(out.delivery.record, out.delivery.retries + 1)
                self._again[out.ack_id] = _Out(out.call, out.ack_id, retried)
            known = [out for out in known if out not in again]
        if action is not Nack.SKIP and known:
            self._park(known, reason)
        self._settle(known)

    def _park(self, outs: Sequence[_Out], reason: str) -> None:
        """Before the ack, so that nothing is lost between the two; what could not be parked is still out."""
        try:
            records = {out.delivery.record.position: out.delivery.record for out in outs}
            self._parking.park(self._group.name, list(records.values()), reason)
        except StoreError:
            for out in outs:
                self._hand_out(out)
            raise

    def _known(self, deliveries: Sequence[Delivery]) -> list[_Out]:
        found = (out for it in deliveries for out in self._out.pop(it.record.position, {}).values())
        return [out for out in found if out.call is self._call]

    def _settle_unwanted(self) -> None:
        """Acknowledge what came through the server's filter and is not for us; after a new call these are unknown ids."""
        if self._unwanted:
            self._call.ack(self._unwanted)
            self._unwanted = []

    def _settle(self, outs: Iterable[_Out]) -> None:
        if ids := [out.ack_id for out in outs]:
            self._call.ack(ids)

    def leave(self) -> None:
        with self._lock:
            if self._left.is_set():
                return
            self._left.set()
        self._call.leave()
        self._client.close()

    def _receive(self) -> None:
        """The thread: take in what comes, and open the call again when it breaks; `fetch` raises why that is not possible."""
        backoff = Backoff()
        while not self._left.is_set():
            since = time.monotonic()
            broken = self._take_in(self._call)
            self._call.end()
            backoff = Backoff() if time.monotonic() - since > HELD else backoff
            self.renewals += 1  # already: who looks at nothing but the group meanwhile must not take it for done
            if self._left.wait(backoff.next()):
                return
            log.warning("a member of %s was dropped, joining again: %s", self._group.name, translate(broken), extra={"action": "rejoin"})
            self._follow(broken)
            try:
                self._replace(self._membership(inf))
            except StoreError as error:
                self._arrived.put(error)
                self._signal.arrived()
                return

    def _take_in(self, call: Membership) -> Exception:
        """Until the call breaks, with what broke it."""
        try:
            for event in call.messages():
                self._arrived.put(_Pushed(call, event))
                self._signal.arrived()
        except grpc.RpcError as broken:
            return cast("Exception", broken)
        return StoreUnavailable("the server ended the call")

    def _replace(self, call: Membership) -> None:
        with self._lock:
            self._call = call
            self.renewals += 1
            if self._left.is_set():
                call.leave()

    def _membership(self, patience: float) -> Membership:
        """Open the call, again and again while that may help: the server is away, or the group is being changed."""
        backoff, absent = Backoff(patience), Backoff(ABSENT)
        while True:
            try:
                return self._open()
            except StoreUnavailable as error:
                if self._left.is_set() or not backoff.again():
                    raise
                self._follow(error.__cause__ or error)
                absent = Backoff(ABSENT)
            except GroupNotFound as error:
                deleted = error.__cause__ is None  # our record says so, not the server
                if self._left.is_set() or deleted or not absent.again():
                    raise

    def _open(self) -> Membership:
        """Raises GroupNotFound, AccessDenied, StoreUnavailable and what else the server refuses with."""
        self._group = self._records.get(self._group.name)
        try:
            return Membership(self._client, self._group.name, self._group.settings.in_flight)
        except TROUBLE as error:
            raise translate(error, group=self._group.name) from error

    def _follow(self, broken: BaseException) -> None:
        """Use a new connection; where that fails, the next call tells."""
        with suppress(*TROUBLE, StoreError):
            self._client.follow(leader(broken))
