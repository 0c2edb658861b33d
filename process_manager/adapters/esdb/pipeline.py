"""Appends as messages of one long-lived BatchAppend call.

Answers come in any order and find their block by correlation id, so a conflict of one block leaves the others alone. A call that breaks
leaves open what became of its unanswered blocks: those with an exact version are sent again, byte for byte, on a new call, for the server
recognises their ids; one with ANY or EXISTS might be written twice, so that is left to the caller.
"""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from threading import Condition, Lock
from typing import Any
from uuid import uuid4

import grpc
from esdbclient.protos.Grpc import shared_pb2

from process_manager.adapters.appending import block_size, check_blocks, too_large
from process_manager.adapters.esdb.backoff import Backoff
from process_manager.adapters.esdb.client import Client
from process_manager.adapters.esdb.errors import TROUBLE, leader, of_answer, translate
from process_manager.adapters.esdb.records import append_request
from process_manager.errors import StoreError, StoreUnavailable, StreamDeleted, WrongExpectedVersion
from process_manager.ports import MAX_APPEND, Appended, Block, StreamState

WINDOW = 256
"""Blocks that may be unanswered on a call."""

SILENCE = 10.0
"""Seconds without any answer, while some are due, after which a call counts as broken; a server answers within its 2 s."""

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}").fullmatch


@dataclass(eq=False, slots=True)
class _Sent:
    """A block on its way."""

    block: Block
    size: int
    request: Any
    key: int
    answer: Appended | StoreError | None = None

    @property
    def unresolved(self) -> bool:
        return self.answer is None or isinstance(self.answer, StoreUnavailable)

    @property
    def exact(self) -> bool:
        """Whether the server recognises a repeat."""
        return self.block.expected not in {StreamState.ANY, StreamState.EXISTS}


@dataclass(eq=False, slots=True)
class _Round:
    """How many of the blocks that one thread sent are unanswered."""

    left: int


class _Call:
    """One BatchAppend call and its unanswered blocks."""

    def __init__(self, client: Client) -> None:
        self.broken: StoreError | None = None
        self.leader: str | None = None
        self._changed = Condition()
        self._open: dict[int, tuple[_Sent, _Round]] = {}
        self._blocked = False
        self._heard = time.monotonic()
        self._stream = client.batch_append()
        client.receive("pm-appends", self._receive)

    def exchange(self, sent: Sequence[_Sent]) -> None:
        """Send blocks and wait until each is answered or the call is broken."""
        this = _Round(len(sent))
        for one in sent:
            one.answer = None
            if not self._admit(one, this):
                return
            self._stream.send(one.request)
        with self._changed:
            self._wait(lambda: this.left == 0)

    def _admit(self, one: _Sent, this: _Round) -> bool:
        with self._changed:
            if len(self._open) >= WINDOW:
                self._blocked = True
                self._wait(lambda: len(self._open) <= WINDOW // 2)
            if not self.broken:
                self._heard = self._heard if self._open else time.monotonic()
                self._open[one.key] = (one, this)
            return self.broken is None

    def _wait(self, done: Callable[[], bool]) -> None:
        """Wait, with the lock held, until it is done or the call is broken; a silent call is broken here."""
        while not (self.broken or done()):
            self._changed.wait(SILENCE / 4)
            if self._open and time.monotonic() - self._heard > SILENCE:
                self._break(StoreUnavailable(f"no answer to an append in {SILENCE:.0f} seconds"))

    def _receive(self) -> None:
        try:
            for answer in self._stream:
                self._settle(answer)
            error: StoreError = StoreUnavailable("the server ended the call")
        except grpc.RpcError as broken:
            error, self.leader = translate(broken), leader(broken)
        with self._changed:
            self._break(error)

    def _settle(self, answer: Any) -> None:
        with self._changed:
            self._heard = time.monotonic()
            if (found := self._open.pop(_key_of(answer.correlation_id), None)) is None:
                return
            sent, this = found
            sent.answer = _meaning(answer, sent)
            this.left -= 1
            if this.left == 0 or (self._blocked and len(self._open) <= WINDOW // 2):
                self._blocked = False
                self._changed.notify_all()

    def _break(self, error: StoreError) -> None:
        self.broken = self.broken or error
        self._open.clear()
        self._changed.notify_all()
        self._stream.cancel()

    def end(self, error: StoreError) -> None:
        with self._changed:
            self._break(error)


class Pipeline:
    """All appends of a store, from any thread, over one client that nothing else uses."""

    def __init__(self, client: Client, patience: float) -> None:
        self._client = client
        self._patience = patience
        self._lock = Lock()
        self._call: _Call | None = None
        self._keys = count()
        self._series = str(uuid4())[:24]

    def append(self, blocks: Sequence[Block]) -> Sequence[Appended | StoreError]:
        """Answers in the order of the blocks; see `EventStore.append_many`."""
        check_blocks(blocks)
        sent = [self._prepare(block) for block in blocks]
        self._resolve([one for one in sent if one.answer is None])
        return [one.answer for one in sent if one.answer is not None]

    def _prepare(self, block: Block) -> _Sent:
        for record in block.records:
            if not _UUID(record.id):
                raise ValueError(f"{record.id!r} is no UUID in its canonical lower-case text")
        size, key = block_size(block), next(self._keys) & 0xFFFF_FFFF_FFFF
        return _Sent(block, size, append_request(block, f"{self._series}{key:012x}"), key, too_large(block, size))

    def _resolve(self, left: Sequence[_Sent]) -> None:
        """Send until all are answered, or the patience is at its end. A node that twice takes nothing may be cut off from its cluster."""
        backoff, in_vain = Backoff(self._patience), 0
        while left:
            self._client.check_open()
            broken = self._round(left)
            before, left = len(left), [one for one in left if one.unresolved]
            if left:
                backoff = Backoff(self._patience) if len(left) < before else backoff
                trouble = broken or next(one.answer for one in left if isinstance(one.answer, StoreError))
                if not isinstance(trouble, StoreUnavailable) or not backoff.again():
                    raise trouble
                in_vain = 0 if broken or len(left) < before else in_vain + 1
                if in_vain > 1:
                    self._break(trouble)

    def _round(self, left: Sequence[_Sent]) -> StoreError | None:
        """Send once; what broke the call, if it did."""
        try:
            call = self._current()
        except StoreError as error:
            return error
        call.exchange(left)
        unsafe = next((one for one in left if one.unresolved and not one.exact), None)
        if unsafe:
            text = "this append has no exact version, so it was not repeated: it may or may not be written"
            raise StoreUnavailable(f"{unsafe.answer or call.broken} ({unsafe.block.stream!r}: {text})")
        return call.broken

    def _current(self) -> _Call:
        """The call, or a new one on a new connection where it broke."""
        with self._lock:
            try:
                if self._call and self._call.broken:
                    broken, self._call = self._call, None
                    self._client.follow(broken.leader)
                if self._call is None:
                    self._call = _Call(self._client)
            except TROUBLE as error:
                raise translate(error) from None
            return self._call

    def _break(self, trouble: StoreUnavailable) -> None:
        """End the call, so that the next one is to whoever leads then."""
        with self._lock:
            if self._call:
                self._call.end(trouble)

    def close(self) -> None:
        self._client.close()  # before the lock, which somebody may hold who looks for a node
        with self._lock:
            if self._call:
                self._call.end(StoreUnavailable("this store was closed"))


def _key_of(correlation: Any) -> int:
    """Servers answer with the id as text or as two halves."""
    if correlation.WhichOneof("value") == "structured":
        return int(correlation.structured.least_significant_bits) & 0xFFFF_FFFF_FFFF
    return int(correlation.string[-12:], 16)


def _meaning(answer: Any, sent: _Sent) -> Appended | StoreError:
    if answer.WhichOneof("result") == "success":
        if answer.success.WhichOneof("position_option") != "position":
            return StreamDeleted(sent.block.stream)  # ids that a deleted stream held: nothing was written
        return Appended(answer.success.current_revision, answer.success.position.commit_position)
    detail = answer.error.details
    if detail.Is(shared_pb2.WrongExpectedVersion.DESCRIPTOR):
        wrong = shared_pb2.WrongExpectedVersion()
        detail.Unpack(wrong)
        known = wrong.WhichOneof("current_stream_revision_option") == "current_stream_revision"
        return WrongExpectedVersion(sent.block.stream, sent.block.expected, wrong.current_stream_revision if known else None)
    limited = shared_pb2.MaximumAppendSizeExceeded()
    limit = limited.maxAppendSize if detail.Unpack(limited) else MAX_APPEND
    return of_answer(detail.TypeName(), answer.error.message, sent.block.stream, sent.size, limit)
