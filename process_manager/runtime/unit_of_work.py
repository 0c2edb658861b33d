"""The aggregates in memory, and what was decided about them but is not appended yet."""

from contextlib import suppress
from enum import Enum, auto
from itertools import islice
from typing import Any

from process_manager.core.aggregate import Aggregate, Refused
from process_manager.core.codec import decode
from process_manager.core.messages import Event
from process_manager.core.metadata import read_metadata
from process_manager.core.records import NewRecord, Record
from process_manager.errors import AppendTooLarge, HandlerError, StreamNotFound
from process_manager.ports import BEFORE_ALL, MAX_APPEND, Appended, Block, Clock, EventStore, StreamState
from process_manager.runtime.handlers import Handler
from process_manager.runtime.received import Received, event_record
from process_manager.runtime.repository import Repository

CACHED = 10_000
"""Aggregates that stay in memory."""

WINDOW = 256
"""How many operations an aggregate in memory remembers; older ones are looked up in its stream."""


class Outcome(Enum):
    """What came of handling a command."""

    DECIDED = auto()  # its fate is that of the pending append of its aggregate
    KNOWN = auto()  # the stream holds its events already
    LATER = auto()  # to be handled again once what is pending was appended


class AlreadyHandled(BaseException):
    """Ends a handler whose operation has its events; a BaseException, so that no `except Exception` in a handler holds it up."""


class NotYet(BaseException):
    """Ends a handler that met an aggregate whose state has to be appended, or read again, first."""


class Held:
    """An aggregate in memory, as the store has it and with what is pending on top."""

    __slots__ = ("aggregate", "floor", "guessed", "operations", "received", "records", "size", "spoiled", "stream", "version")

    def __init__(self, aggregate: Aggregate, stream: str, *, guessed: bool = False) -> None:
        self.aggregate = aggregate
        self.stream = stream
        self.version = -1  # the revision of the last record in the store
        self.operations: dict[str, int] = {}  # those of its newest events, and where they stand; oldest first
        self.floor = BEFORE_ALL  # the highest position whose operation was dropped from there
        self.records: list[NewRecord] = []  # pending
        self.size = 0
        self.received: list[Received] = []  # the commands that wait for the pending append
        self.spoiled = False  # the state holds what will not be appended
        self.guessed = guessed  # nobody has looked whether there is a stream

    @property
    def block(self) -> Block:
        """The pending append."""
        return Block(self.stream, self.records, self.version if self.version >= 0 else StreamState.NO_STREAM)

    def appended(self, at: Appended) -> list[Received]:
        """Note where the pending append stands. Returns the commands that waited for it."""
        received, self.received = self.received, []
        for each in received:
            self.remember(each.operation, at.position)
        self.version, self.guessed = at.revision, False
        self.records, self.size = [], 0
        return received

    def remember(self, operation: str, position: int) -> None:
        self.operations[operation] = position
        if len(self.operations) > WINDOW:
            oldest = next(iter(self.operations))
            self.floor = max(self.floor, self.operations.pop(oldest))

    def knows(self, received: Received) -> bool | None:
        """Whether the stream holds an event of the command's operation; None when only the stream can tell.

        The events of an operation stand behind its first command in the log.
        """
        if received.operation in self.operations:
            return True
        return None if self.floor > BEFORE_ALL and (received.position <= self.floor or not received.first) else False


class UnitOfWork:
    """Handles commands one after the other; the caller appends what is pending and says how that went.

    Commands that edit the same aggregate share its append. What a cached aggregate leads to is a guess until that is confirmed at the
    exact version: on a conflict, as after any error, the aggregate is dropped and read again. Where the last aggregate of a class had no
    stream the next one is guessed to have none either, and its stream is read only when that guess led to nothing to append.
    """

    def __init__(self, store: EventStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._most = MAX_APPEND  # bytes of an append; less once a server that is set to less has said so
        self._cache: dict[str, Held] = {}
        self._pending: dict[str, Held] = {}
        self._arguments: dict[Handler, dict[str, object]] = {}
        self._received: Received | None = None
        self._edited: Held | None = None
        self._read: list[Held] = []
        self._absent: dict[type[Aggregate], bool] = {}  # whether the last stream that was looked for was not there

    # -- what repositories ask ----------------------------------------------------------------------------------

    def edit(self, aggregate: type[Aggregate], id_: str) -> Any:
        """See `Repository.edit`."""
        received = self._received
        if received is None:
            raise HandlerError(f"{aggregate.__name__} {id_!r} was edited while no command is handled: edit inside the handler")
        if self._edited is not None:
            raise HandlerError(
                f"{received.handler.name} edits {self._edited.stream} and then {aggregate.category}-{id_}: "
                "one command edits one aggregate, once; split the command"
            )
        held = self._edited = self._open(aggregate, id_, likely_new=self._absent.get(aggregate, False))
        known = held.knows(received)
        if known or (known is None and self._in_stream(held.stream, received)):
            raise AlreadyHandled
        if held.spoiled or held.size > self._most // 2:
            raise NotYet
        return held.aggregate

    def get(self, aggregate: type[Aggregate], id_: str) -> Any:
        """See `Repository.get`."""
        held = self._open(aggregate, id_)
        if held is not self._edited:
            if held.records or held.spoiled:
                raise NotYet
            self._read_on(held)  # no append will tell that it is out of date
            self._read.append(held)
        return held.aggregate

    def _open(self, aggregate: type[Aggregate], id_: str, *, likely_new: bool = False) -> Held:
        if not id_:
            raise HandlerError(f"an id of {aggregate.__name__} is empty")
        stream = f"{aggregate.category}-{id_}"
        held = self._cache.pop(stream, None)
        if held is None:
            held = Held(aggregate(id_), stream, guessed=likely_new)
            if not likely_new:
                self._read_on(held)
                self._absent[aggregate] = held.version < 0
        self._cache[stream] = held
        return held

    def _read_on(self, held: Held) -> None:
        with suppress(StreamNotFound):
            for record in self._store.read_stream(held.stream, start=held.version + 1):
                _replay(held, record)

    def _in_stream(self, stream: str, received: Received) -> bool:
        wanted = received.operation.encode()
        for record in self._store.read_stream(stream, backwards=True):
            if received.first and record.position <= received.position:
                return False
            if wanted in record.metadata and _operation(read_metadata(record.type, record.metadata)) == received.operation:
                return True
        return False

    # -- one command --------------------------------------------------------------------------------------------

    def handle(self, received: Received) -> Outcome:
        """Run a command's handler. Raises what it raises, and HandlerError when it broke the rules."""
        try:
            outcome = self._try(received)
        except Exception:
            if self._guessed_wrong():
                return self._try(received)
            raise
        return self._try(received) if outcome is not Outcome.DECIDED and self._guessed_wrong() else outcome

    def _guessed_wrong(self) -> bool:
        """Whether what came of a command rests on a guess that nothing will confirm; the aggregate is read the next time."""
        held = self._edited
        if held is None or not held.guessed or held.records:
            return False
        self.drop(held)
        return True

    def _try(self, received: Received) -> Outcome:
        self._begin(received)
        try:
            return self._collect(received, self._call(received))
        except AlreadyHandled:
            return self._attach(received)
        except NotYet:
            if self._edited is not None and self._edited.aggregate.take_recorded():
                self._spoil(self._edited)
            return Outcome.LATER
        except BaseException:
            if self._edited is not None:
                self._spoil(self._edited)
            raise
        finally:
            self._received = None
            if self._read:
                self._forget_read()

    def _begin(self, received: Received) -> None:
        self._received, self._edited = received, None

    def _call(self, received: Received) -> Event | None:
        """Call the handler. Returns the event of a refusal, if it was one."""
        handler = received.handler
        arguments = self._arguments.get(handler)
        if arguments is None:
            repositories = {name: Repository(aggregate, self) for name, aggregate in handler.repositories.items()}
            arguments = self._arguments[handler] = {**handler.resources, **repositories}
        arguments[handler.command_name] = received.command
        if handler.call_name:
            arguments[handler.call_name] = received.call(self._clock.now(received.time))
        try:
            handler.function(**arguments)
        except Refused as refusal:
            return refusal.event
        return None

    def _collect(self, received: Received, refused: Event | None) -> Outcome:
        for read in self._read:
            if read is not self._edited and read.aggregate.take_recorded():
                self._spoil(read)
                raise HandlerError(f"{received.handler.name} recorded something on {read.stream}, which it only got to look at: edit it")
        held = self._edited
        if held is None:
            raise HandlerError(f"{received.handler.name} edited no aggregate: it must open one with edit(...) and record what came of it")
        recorded = held.aggregate.take_recorded()
        if refused is not None:
            if recorded:
                held.spoiled = True  # the state holds what the refusal takes back
            else:
                held.aggregate.record(refused)
                held.aggregate.take_recorded()
            recorded = [(refused, "")]
        if not recorded:
            raise HandlerError(
                f"{received.handler.name} recorded nothing on {held.stream}: whoever sent the command would wait for ever; "
                "record an outcome, or raise Refused(event)"
            )
        return self._lay_out(held, received, recorded)

    def _lay_out(self, held: Held, received: Received, recorded: list[tuple[Event, str]]) -> Outcome:
        now = self._clock.now(received.time)
        records = [event_record(held.stream, received, index, event, answers, now) for index, (event, answers) in enumerate(recorded)]
        size = sum([record.size for record in records])
        if held.size + size > self._most:
            if held.records:
                self._spoil(held)
                raise NotYet
            raise AppendTooLarge(held.stream, size, self._most)
        held.records += records
        held.size += size
        held.received.append(received)
        held.operations[received.operation] = BEFORE_ALL  # until it is appended
        self._pending[held.stream] = held
        return Outcome.DECIDED

    def _attach(self, received: Received) -> Outcome:
        held = self._edited
        if held is None or not held.records:
            return Outcome.KNOWN
        held.received.append(received)  # it was decided a moment ago, and is not appended yet
        return Outcome.DECIDED

    def _spoil(self, held: Held) -> None:
        """Let an aggregate be read again before its next use: its state may hold what will not be appended."""
        held.aggregate.take_recorded()
        held.spoiled = True
        if not held.records:
            self.drop(held)

    def _forget_read(self) -> None:
        for held in self._read:
            if held.aggregate.take_recorded():
                self._spoil(held)
        self._read = []

    # -- what was decided ---------------------------------------------------------------------------------------

    def take_pending(self) -> list[Held]:
        """What is to be appended, one block for each aggregate; `appended` or `drop` each of them."""
        pending, self._pending = list(self._pending.values()), {}
        return pending

    def appended(self, held: Held, at: Appended) -> list[Received]:
        """Note where an aggregate's append stands. Returns the commands that are done with it."""
        received = held.appended(at)
        if held.spoiled:
            self.drop(held)
        return received

    def drop(self, held: Held) -> list[Received]:
        """Forget an aggregate, to read it again. Returns the commands that waited for its append."""
        if self._cache.get(held.stream) is held:
            del self._cache[held.stream]
        self._absent[type(held.aggregate)] = False
        return held.received

    def drop_too_large(self, held: Held, error: AppendTooLarge) -> list[Received]:
        """The store holds less than that: forget the aggregate, and append less at once from here on; the commands that waited."""
        self._most = min(error.limit, held.size - 1)
        return self.drop(held)

    def trim(self) -> None:
        """Let go of the aggregates that were not used for longest. Call when nothing is pending."""
        for stream in list(islice(self._cache, max(0, len(self._cache) - CACHED))):
            del self._cache[stream]

    def clear(self) -> None:
        """Forget everything."""
        self._cache.clear()
        self._pending.clear()


def _replay(held: Held, record: Record) -> None:
    metadata = read_metadata(record.type, record.metadata)
    event = held.aggregate.events.get(record.type)
    if event is not None:
        held.aggregate.apply(decode(event, metadata.get("version", 1), record.data))
    if operation := _operation(metadata):
        held.remember(operation, record.position)
    held.version = record.revision


def _operation(metadata: dict[str, Any]) -> str:
    """The operation that an event belongs to: the one that its handler noted, or else the command it answers."""
    return str(metadata.get("operation") or metadata.get("$causationId") or "")
