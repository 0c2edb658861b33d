"""What an adapter owes. The comments are the contract; `process_manager.testing.store_contract` tests them.

All calls are synchronous and may be made from any thread; one consumer or subscription is used by one thread at a time.
Errors are those of `process_manager.errors` and nothing else.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from typing import NamedTuple, Protocol

from process_manager.core.records import NewRecord, Record
from process_manager.errors import StoreError

MAX_APPEND = 1024 * 1024
"""Bytes that one append may hold (EventStoreDB 23 to 25: MaxAppendSize); see `NewRecord.size`."""

BEFORE_ALL = -1
"""The position before the first record of the log."""


class StreamState(Enum):
    """Expected versions that are not a number."""

    NO_STREAM = "no_stream"
    ANY = "any"
    EXISTS = "stream_exists"


ExpectedVersion = int | StreamState


class Block(NamedTuple):
    """One append: all of it or nothing, under one expected version."""

    stream: str
    records: Sequence[NewRecord]
    expected: ExpectedVersion


class Appended(NamedTuple):
    """Where a block stands: the revision and position of its last record."""

    revision: int
    position: int


@dataclass(frozen=True, slots=True)
class Filter:
    """Which records of the log are wanted: those whose type is one of `types` or starts with one of
    `type_prefixes`, or whose stream starts with one of `stream_prefixes`. All empty: every record but the store's own (`$...`)."""

    types: frozenset[str] = frozenset()
    type_prefixes: tuple[str, ...] = ()
    stream_prefixes: tuple[str, ...] = ()

    def matches(self, type_: str, stream: str) -> bool:
        if not (self.types or self.type_prefixes or self.stream_prefixes):
            return not type_.startswith("$")
        return (
            type_ in self.types
            or (bool(self.type_prefixes) and type_.startswith(self.type_prefixes))
            or (bool(self.stream_prefixes) and stream.startswith(self.stream_prefixes))
        )


EVERYTHING = Filter()


@dataclass(frozen=True, slots=True)
class GroupSettings:
    """How a consumer group delivers."""

    message_timeout: timedelta = timedelta(seconds=30)  # unacknowledged for so long: delivered again
    max_retries: int = 1_000_000  # deliveries after the first, before the store parks by itself
    lease: timedelta = timedelta(seconds=5)  # where one consumer is active: how long its silence is borne
    strategy: str = "PinnedByCorrelation"  # where all are active, as EventStoreDB names it: who gets which record
    in_flight: int = 512  # where all are active: unacknowledged deliveries that one member may hold


class Delivery(NamedTuple):
    """A record as a consumer group hands it out; `retries` counts the deliveries before this one."""

    record: Record
    retries: int = 0


class Nack(Enum):
    """What becomes of a delivery that was not handled."""

    RETRY = "retry"  # delivered again at once, with `retries` one higher; parked beyond the group's max_retries
    PARK = "park"  # kept aside, with the reason, until it is replayed
    SKIP = "skip"  # dropped from this group for good


@dataclass(frozen=True, slots=True)
class Parked:
    """A record that a group has set aside."""

    record: Record
    reason: str
    parked_at: int  # microseconds since 1970


@dataclass(frozen=True, slots=True)
class GroupInfo:
    """A consumer group, as it stands."""

    name: str
    where: Filter
    settings: GroupSettings
    checkpoint: int  # everything up to this position is acknowledged, parked or does not match
    lag: int  # matching records after the checkpoint that wait for their first delivery or an ack (counted to 1,000 or 10,000); 0: none
    in_flight: int
    parked: int
    consumers: int = field(default=0)  # active members: standbys do not count, one that died counts until it is succeeded
    oldest: int | None = field(default=None)  # when the oldest record that `lag` counts was appended, in microseconds since 1970
    members: Sequence[str] = field(default=())  # names of the active members, as far as the store tells them


class Consumer(Protocol):
    """A member of a group. Where the adapter declares `single_active`, only one member is active; the others
    stand by: their `fetch` returns nothing until the active one has left or fallen silent for the lease's length."""

    def fetch(self, limit: int, timeout: float = 0.0) -> Sequence[Delivery]:
        """At most `limit` deliveries, in order of position apart from redeliveries, which come first.

        Waits up to `timeout` seconds for the first one; returns an empty list when there is none.
        What is fetched is in flight until acknowledged; unacknowledged deliveries of a member that left, crashed, or
        let the message timeout pass are delivered again with `retries` one higher, and never parked by a crash.
        Raises LeaseLost when another member has taken over.
        """

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        """These are done, in any order; never delivered again once this is durable. Unknown ones are ignored, and so may be
        late ones, whose message timeout has passed."""

    def nack(self, deliveries: Sequence[Delivery], action: Nack, reason: str = "") -> None:
        """These were not handled; `reason` is kept with what is parked."""

    @property
    def active(self) -> bool:
        """Whether this member may act now (always true where every member is active)."""

    @property
    def renewals(self) -> int:
        """How often this member lost its group and came back by itself. A store that failed may deliver less then than it promised,
        so that what it delivered before is worth another look."""

    def leave(self) -> None:
        """Leave the group; what is in flight goes to the others at once. May be called twice."""


class Subscription(Protocol):
    """A catch-up subscription: no gaps, no duplicates, in order."""

    def next_batch(self, limit: int, timeout: float = 0.0) -> Sequence[Record]:
        """The next matching records; waits up to `timeout` seconds for the first one. Empty: caught up."""

    @property
    def position(self) -> int:
        """Everything up to here was looked at, matching or not; resume from it."""

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Features:
    """What an adapter guarantees beyond the contract; the contract suite follows it."""

    durable: bool  # what was appended is there after the process ends
    single_active: bool  # one active consumer for each group, with hot standby
    shared: bool  # several processes may use the store at once
    common_log: bool = False  # other systems append to the log too, so that a new group needs a named start
    pushes: bool = False  # deliveries are sent before a member fetches them, and are in flight and counted by `retries` from then on


class EventStore(Protocol):
    """Streams, one log over all of them, catch-up subscriptions and consumer groups."""

    @property
    def features(self) -> Features: ...

    def append(self, block: Block) -> Appended:
        """Append one block, all of it or nothing, and return where it stands. Durable on return.

        The expected version, as EventStoreDB has it: a number is the revision that the stream's last record must have, NO_STREAM says that
        the stream must have no record, EXISTS that it must have one, ANY nothing.

        A repeat is recognised where the expected version is a number or NO_STREAM, and below the current version: the ids (and only the
        ids) are compared one by one with those stored from there on. All equal: the original place is returned and nothing is written.
        Anything else is a conflict. With ANY or EXISTS a repeat may be written again.

        Raises WrongExpectedVersion, StreamDeleted, AppendTooLarge (above MAX_APPEND), and, before anything is written, ValueError (no
        records, an empty type, an id that is no UUID, a stream name that is empty or holds a NUL, text that is no UTF-8, an expected
        version below 0).
        """

    def append_many(self, blocks: Sequence[Block], lease: "Consumer | None" = None) -> Sequence[Appended | StoreError]:
        """Append blocks to different streams, in one transaction or one pipeline. Returns an answer for each block, in their order.

        For a block that is refused (WrongExpectedVersion, StreamDeleted, AppendTooLarge, AccessDenied) the answer is the error; the other
        blocks are not affected.

        Raises, with nothing written, ValueError when two blocks name one stream, or for a block for which `append` raises it; LeaseLost
        when `lease` is not, or no longer, the active member of its group. Raises StoreUnavailable or StoreFull when all of it has failed
        or may have: repeat it with the same bytes.
        """

    def read_stream(self, stream: str, *, start: int | None = None, backwards: bool = False, limit: int | None = None) -> Iterator[Record]:
        """The records of a stream from revision `start` on, that one included in both directions. The default is its beginning, backwards
        its end. A `start` beyond the end yields nothing forwards. Raises StreamNotFound and StreamDeleted, on iteration at the latest."""

    def read_all(
        self, *, after: int | None = None, backwards: bool = False, limit: int | None = None, where: Filter = EVERYTHING
    ) -> Iterator[Record]:
        """Records of the log strictly after position `after` (backwards: strictly before it); None is the very beginning
        (backwards: the end). Lazy, in bounded memory, and no lock is held while the caller works."""

    def subscribe(self, *, after: int = BEFORE_ALL, where: Filter = EVERYTHING) -> Subscription:
        """Follow the log after a position."""

    def last_position(self) -> int:
        """The position of the newest record, BEFORE_ALL for an empty log."""

    def wait(self, after: int, timeout: float) -> bool:
        """Wait until the log holds a record after this position, at most `timeout` seconds, without burning CPU. Returns whether it does.

        Appends of other processes are noticed within 50 ms. It may end early when something arrives for a consumer or subscription of
        this store.
        """

    def create_group(self, name: str, *, where: Filter, after: int = BEFORE_ALL, settings: GroupSettings | None = None) -> None:
        """Create a group that delivers matching records after a position. Raises GroupExists."""

    def update_group(self, name: str, settings: GroupSettings) -> None:
        """Change how a group delivers, from its checkpoint on. Raises GroupNotFound.

        Members stay, or come back by themselves; they may go on by the old settings until they join again. What is parked stays parked,
        what was in flight may be delivered again.
        """

    def delete_group(self, name: str) -> None:
        """Delete a group, its checkpoint and what it parked. Raises GroupNotFound."""

    def group_names(self) -> Sequence[str]:
        """The names of all groups, in order."""

    def groups(self) -> Sequence[GroupInfo]:
        """All groups, ordered by name. Their lag may be that of a moment ago, where an exact one would take a pass over the log."""

    def group(self, name: str) -> GroupInfo:
        """One group. Raises GroupNotFound."""

    def join(self, group: str, member: str) -> Consumer:
        """Become a member of a group; `member` names it to people. Raises GroupNotFound."""

    def parked(self, group: str) -> Sequence[Parked]:
        """What a group has parked, oldest first. Raises GroupNotFound."""

    def replay_parked(self, group: str, ids: Sequence[str] | None = None) -> int:
        """Deliver parked records again, all or those with these ids, with `retries` 0. Returns how many. Raises GroupNotFound."""

    def drop_parked(self, group: str, ids: Sequence[str]) -> int:
        """Drop the parked records with these ids: they are neither listed nor delivered again. Returns how many. Raises GroupNotFound."""

    def close(self) -> None:
        """Release every connection, thread and lock; may be called twice."""


class Clock(Protocol):
    """What time it is when a message is decided."""

    def now(self, message_time: datetime) -> datetime:
        """The time at which a message of time `message_time` is decided; both aware and in UTC."""


class PendingDeadline(NamedTuple):
    """A deadline that is set and has not passed."""

    instance: str  # its stream
    name: str
    generation: int
    due: datetime
    correlation: str
    cause: str  # the id of the record that set it


class DeadlineChange(NamedTuple):
    """What a record did to a deadline: set it, or, with None, cleared it."""

    position: int  # of the record
    pending: PendingDeadline | None


class DeadlineIndex(Protocol):
    """Pending deadlines in the order of their due times, kept outside memory, since there may be millions.

    It is a cache of the log, for followers of one kind: several processes may keep one index up to date together. Methods raise
    StoreUnavailable and StoreFull.
    """

    @property
    def position(self) -> int:
        """Everything up to here is in the index."""

    @property
    def time(self) -> datetime | None:
        """The newest TimePassed up to the position, in driven mode."""

    def begin(self, followed: str, last: int) -> None:
        """Say what the index is of: `followed` names it. Forgets everything when the index was of something else, or of a longer log than
        one that ends at `last`."""

    def apply(self, changes: Mapping[tuple[str, str], DeadlineChange], position: int, time: datetime | None = None) -> None:
        """Take in changes by instance and name, and move the position: all of it or nothing. For each deadline the change of the highest
        position holds, in whatever order changes come."""

    def due(self, until: datetime, limit: int) -> Sequence[PendingDeadline]:
        """What is due up to a time, inclusive, earliest first."""

    def next_due(self) -> datetime | None:
        """When the earliest pending deadline is due."""

    def count(self) -> int:
        """How many are pending."""

    def close(self) -> None: ...
