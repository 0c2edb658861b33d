"""The state of one instance. Nothing here decides; `fold` fills it from facts."""

from dataclasses import dataclass, field
from datetime import datetime
from operator import attrgetter
from typing import Any, Literal, NamedTuple, cast

from typing_extensions import TypeVar

from process_manager.core.codec import decode
from process_manager.core.facts import Input
from process_manager.core.messages import Message

M = TypeVar("M", bound=Message)

WINDOW = 256
"""How many input ids an instance remembers; older ones are looked up in its stream."""

LOOSE_RUNS = 100
"""How many answered runs that nothing depends on any more stay in the state."""

Status = Literal["not_started", "running", "compensating", "completed", "compensated", "compensation_failed", "aborted", "cancelled"]
RunStatus = Literal["open", "waiting", "done", "failed", "overdue"]
Fate = Literal["react", "undo", "ignore"]
Undo = Literal["", "open", "done", "failed", "skipped"]

ENDED: tuple[Status, ...] = ("completed", "compensated", "aborted", "cancelled")
"""The statuses of a life that is over."""


class Payload:
    """A message as an instance remembers it: where it stands, and its bytes; the model is made when asked for."""

    __slots__ = ("data", "message", "revision", "type", "version")

    def __init__(self, type_: str, version: int, data: bytes, revision: int, message: Any = None) -> None:
        self.type = type_
        self.version = version
        self.data = data
        self.revision = revision
        self.message = message

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Payload) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        return f"Payload({self.type!r}, revision={self.revision})"

    def _key(self) -> tuple[str, int, int]:
        return (self.type, self.version, self.revision)

    def decoded(self, cls: type[M]) -> M:
        """The message. Raises UndecodableMessage, NewerFact."""
        if self.message is None:
            self.message = decode(cls, self.version, self.data)
        return cast("M", self.message)


class Run(NamedTuple):
    """One run of a step: an operation, its attempts, and what came of it."""

    operation: str
    step: str
    key: str
    life: int
    attempt: int
    status: RunStatus  # waiting: for its next attempt
    command: Payload
    command_id: str  # of the newest attempt
    keep: bool
    undoable: bool
    undoes: str = ""
    fate: Fate = "react"  # what an answer leads to from now on
    outcome: Payload | None = None
    settled: int = 0  # counts answers, to undo the last one first
    undo: Undo = ""
    due: datetime | None = None  # when it is overdue, or tried again; None: never
    moves: int = 0  # how often that was moved by hand
    asked: int = 0  # how many answers had been counted when it was started

    @property
    def is_open(self) -> bool:
        return self.status in {"open", "waiting"}

    @property
    def matters(self) -> bool:
        """Whether something may follow from its answer: of what nothing needs any more, only a success that has an undo."""
        return self.fate == "react" or (self.fate == "undo" and self.undoable)

    @property
    def deadline(self) -> str:
        """The name of the deadline of its attempts."""
        return f"{self.step}/{self.operation}"


class Timer(NamedTuple):
    """A named deadline: how often it was set, and when it is due, if it is."""

    generation: int
    due: datetime | None


class Kept(NamedTuple):
    """An input that waits in the stream, and the revision of the fact that holds it."""

    input: Input
    reason: str
    until: datetime | None
    revision: int


@dataclass(slots=True)
class Instance:
    """One instance of a process manager. Made by `fold`; a turn works on a `copy`."""

    process: str
    key: str
    status: Status = "not_started"
    life: int = 0
    definition_version: int = 0
    correlation: str = ""
    revision: int = -1  # of the last record in the stream
    records_since_snapshot: int = 0
    started_position: int = -1
    ended_position: int = -1  # the highest position taken when the last life ended
    taken_position: int = -1  # the highest position taken so far, but for what is kept
    taken_at: datetime | None = None  # the `now` of the newest receipt
    started_at: datetime | None = None
    ended_at: datetime | None = None
    outcome: str = ""
    suspended: str = ""  # why, while an operator is waited for
    culprit: str = ""  # the id of the input that could not be taken, where that is why
    compensates: bool = False  # this life has decided to compensate
    settlements: int = 0
    floor: int = -1  # the highest position whose id was dropped from `seen`
    data: Any = None  # the definition's own State, or its JSON where the definition is not known
    events: dict[str, Payload] = field(default_factory=dict)  # the last one of each type
    runs: dict[str, Run] = field(default_factory=dict)  # by operation
    commands: dict[str, str] = field(default_factory=dict)  # command id -> operation
    timers: dict[str, Timer] = field(default_factory=dict)
    joins: dict[str, bool] = field(default_factory=dict)
    reactions: set[str] = field(default_factory=set)  # that have run in this life
    kept: dict[str, Kept] = field(default_factory=dict)  # by input id, in order of arrival
    seen: dict[str, int] = field(default_factory=dict)  # input id -> position, oldest first

    @property
    def stream(self) -> str:
        return f"{self.process}-{self.key}"

    @property
    def exists(self) -> bool:
        return self.revision >= 0

    @property
    def ended(self) -> bool:
        return self.status in {"completed", "compensated", "aborted", "cancelled"}

    @property
    def undo_failed(self) -> bool:
        """Something that should be undone could not be."""
        return any(run.undo == "failed" for run in self.runs.values())

    def knows(self, id_: str, position: int) -> bool | None:
        """Whether this input was taken; None when only the stream can tell."""
        if id_ in self.seen:
            return True
        return None if position <= self.floor else False

    def copy(self) -> "Instance":
        """A copy that may be changed without changing this one."""
        return Instance(*_scalars(self), *[container.copy() for container in _containers(self)])

    def runs_of(self, step: str) -> list[Run]:
        """The runs of a step in this life, in the order they were started."""
        return [run for run in self.runs.values() if run.step == step and run.life == self.life]

    def run_of_command(self, command_id: str) -> Run | None:
        """The run that a command belongs to, whichever attempt it was."""
        return self.runs.get(self.commands.get(command_id, ""))


_FIELDS = list(Instance.__dataclass_fields__)
_scalars, _containers = attrgetter(*_FIELDS[:-8]), attrgetter(*_FIELDS[-8:])
