"""The errors that this library raises on purpose, as one tree; those of one interface or of projections stand there, below its root.

    ProcessManagerError
    ├── DefinitionError            a class says something that cannot work (raised when it is created, other findings in its notes)
    ├── AppError                   an app is wired wrongly (raised at start, every finding at once)
    ├── StartNotNamed              a new consumer group would take in what others did before
    ├── CommandOwned               another app handles these commands
    ├── ReactionError              a reaction yielded what it may not
    ├── MessageError
    │   ├── UndecodableMessage     bytes that are not the message they claim to be
    │   │   └── NotCorrelated      no instance carries its correlation id yet
    │   └── NewerFact              written by a newer version of this library or app
    ├── HandlerError               a command handler broke the one-command-one-aggregate rule
    ├── BadEvent                   an event from outside cannot be published
    └── StoreError
        ├── WrongExpectedVersion   somebody else appended first
        ├── StreamNotFound         nothing was ever appended there
        ├── StreamDeleted          deleted or tombstoned
        ├── AppendTooLarge         more than one append may hold
        ├── GroupNotFound, GroupExists, LeaseLost
        ├── StoreUnavailable, AccessDenied, StoreFull, StoreReadOnly, StoreTooNew
        └── NotAStore
            └── BadAddress         a store's address cannot be used as it is written

Messages say what to do next; what a program needs to know stands in attributes.
"""

from collections.abc import Mapping


class ProcessManagerError(Exception):
    """The root of the tree."""


class DefinitionError(ProcessManagerError):
    """A process manager, message, saga or handler is defined in a way that cannot work."""

    def __init__(self, owner: str, member: str, problem: str, mend: str) -> None:
        where = f"{owner}.{member}" if member else owner
        super().__init__(f"{where}: {problem}: {mend}")
        self.owner = owner
        self.member = member
        self.problem = problem
        self.mend = mend


class AppError(ProcessManagerError):
    """An app cannot start; `problems` lists all that is wrong with it."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(["the app cannot start:", *(f"  - {problem}" for problem in problems)]))
        self.problems = problems


class StartNotNamed(ProcessManagerError):
    """The first consumer group of a role, on a log that others append to as well and that holds matching records already."""

    def __init__(self, app: str, role: str) -> None:
        super().__init__(
            f"the log holds records for the {role} of {app!r} from before its first start, and nobody said whether to act on them: "
            "write --from start to take them all, --from now to take only what comes from now on, or --from POSITION"
        )
        self.app = app
        self.role = role


class CommandOwned(ProcessManagerError):
    """A command has one owning app; `owners` tells them by command type."""

    def __init__(self, app: str, owners: Mapping[str, str]) -> None:
        told = ", ".join(f"{command} belongs to the app {owner!r}" for command, owner in owners.items())
        super().__init__(
            f"{told}, and a command is handled by one app: take its handler out of {app!r}, or, "
            f"if {app!r} is to handle it from now on, stop the other and start this one with --take-over once"
        )
        self.app = app
        self.owners = owners


class ReactionError(ProcessManagerError):
    """A reaction yielded something that it did not announce, or that cannot be done now."""


class MessageError(ProcessManagerError):
    """A stored message cannot be used."""


class UndecodableMessage(MessageError):
    """The bytes are not the message that their type names."""

    def __init__(self, type_: str, reason: str) -> None:
        super().__init__(f"cannot decode a {type_}: {reason}")
        self.type = type_
        self.reason = reason


class NotCorrelated(UndecodableMessage):
    """The message is routed by `$correlationId`, and no instance carries this one yet."""


class NewerFact(MessageError):
    """A newer version of the software wrote this; leave it to workers that know that version."""

    def __init__(self, type_: str, version: int, known: int) -> None:
        super().__init__(f"{type_} is version {version}, this process knows up to {known}: upgrade it")
        self.type = type_
        self.version = version
        self.known = known


class HandlerError(ProcessManagerError):
    """A command handler did something that would not survive a redelivery."""


class BadEvent(ProcessManagerError):
    """An event from outside that cannot be published, and why."""


class StoreError(ProcessManagerError):
    """The event store refused or failed."""


class WrongExpectedVersion(StoreError):
    """The stream is not at the version that the append expected; `actual` is None when there is no stream."""

    def __init__(self, stream: str, expected: object, actual: int | None) -> None:
        now = "does not exist" if actual is None else f"is at {actual}"
        super().__init__(f"stream {stream!r} {now}, the append expected {expected}: read it again and decide again")
        self.stream = stream
        self.expected = expected
        self.actual = actual


class StreamNotFound(StoreError):
    """Nothing was ever appended to this stream."""

    def __init__(self, stream: str) -> None:
        super().__init__(f"there is no stream {stream!r}")
        self.stream = stream


class StreamDeleted(StoreError):
    """The stream was deleted or tombstoned."""

    def __init__(self, stream: str) -> None:
        super().__init__(f"stream {stream!r} was deleted")
        self.stream = stream


class AppendTooLarge(StoreError):
    """One append may hold at most `limit` bytes of data, metadata and types."""

    def __init__(self, stream: str, size: int, limit: int) -> None:
        super().__init__(f"an append of {size:,} bytes to {stream!r} is over the limit of {limit:,}: split it")
        self.stream = stream
        self.size = size
        self.limit = limit


class GroupNotFound(StoreError):
    """There is no such consumer group."""


class GroupExists(StoreError):
    """There is a consumer group of that name already."""


class LeaseLost(StoreError):
    """Another consumer has taken this group over; join it again."""


class StoreUnavailable(StoreError):
    """The store cannot be reached or is busy for too long; what was asked may or may not have happened."""


class AccessDenied(StoreError):
    """The store does not know this user, or does not let it do this."""


class StoreFull(StoreError):
    """There is no room left; nothing of this append was written."""


class StoreReadOnly(StoreError):
    """The store cannot be written to."""


class StoreTooNew(StoreError):
    """A newer version of this library wrote the file: upgrade, or name another file."""


class NotAStore(StoreError):
    """The file or address is something else than an event store."""


class BadAddress(NotAStore):
    """The address of a store cannot be used as it is written."""
