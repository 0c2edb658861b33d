"""What an instance records. Each fact is one record of the instance's stream.

A *receipt* is the first fact about an input: its type says what the input meant, and it holds the input itself.
The other facts say what followed. A step's start has no fact of its own: the command record is the fact,
with step, run and attempt in its metadata (see `block`).

Facts and inputs have no slots: orjson writes an object from its `__dict__` in a quarter of the time.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

import orjson

from process_manager.core.codec import dumps
from process_manager.core.inputs import Input as Input  # noqa: PLC0414  receipts are made of it
from process_manager.core.messages import Json
from process_manager.errors import NewerFact, UndecodableMessage


@dataclass(frozen=True, kw_only=True)
class Fact:
    """The root; `fact_type` is the written name, `fact_version` goes into the metadata."""

    fact_type: ClassVar[str]
    fact_version: ClassVar[int] = 1
    upcasters: ClassVar[tuple[Callable[[Json], Json], ...]] = ()


@dataclass(frozen=True, kw_only=True)
class Receipt(Fact):
    """An input was taken; `reactions` names those that ran, `kept` says that it had waited in the stream."""

    input: Input
    now: datetime
    kept: bool = False
    reactions: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Started(Receipt):
    """The instance, or a new life of it, began."""

    fact_type = "pm.started"
    process: str
    key: str
    life: int
    definition_version: int
    correlation: str


@dataclass(frozen=True, kw_only=True)
class AttemptEnded(Receipt):
    """The input ends an attempt of a run; the facts below say how."""

    step: str
    run: str
    operation: str
    attempt: int


@dataclass(frozen=True, kw_only=True)
class StepCompleted(AttemptEnded):
    """The input is the success of a run. `matched_by` is "causation", or "only one open" for an answer that named no command."""

    fact_type = "pm.step-completed"
    matched_by: str = "causation"


@dataclass(frozen=True, kw_only=True)
class StepFailed(AttemptEnded):
    """The input is the refusal of a run; `retrying` says that another attempt follows."""

    fact_type = "pm.step-failed"
    retrying: bool = False
    matched_by: str = "causation"


@dataclass(frozen=True, kw_only=True)
class StepOverdue(AttemptEnded):
    """No answer came in time, or none will come: `reason` says which; it may have been done all the same."""

    fact_type = "pm.step-overdue"
    retrying: bool = False
    reason: str = "overdue"


@dataclass(frozen=True, kw_only=True)
class EventTaken(Receipt):
    """An event from outside was taken."""

    fact_type = "pm.event-taken"


@dataclass(frozen=True, kw_only=True)
class DeadlineReached(Receipt):
    """A deadline of this generation passed."""

    fact_type = "pm.deadline-reached"
    name: str
    generation: int


@dataclass(frozen=True, kw_only=True)
class InputIgnored(Receipt):
    """The input changes nothing; `reason` says why."""

    fact_type = "pm.input-ignored"
    reason: str


@dataclass(frozen=True, kw_only=True)
class InputKept(Receipt):
    """The input waits: it is early, or the instance is suspended (then there is no `until`)."""

    fact_type = "pm.input-kept"
    reason: str
    until: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class InputExpired(Receipt):
    """An early input waited in vain; the receipt's own input is the deadline that said so."""

    fact_type = "pm.input-expired"
    expired: str


@dataclass(frozen=True, kw_only=True)
class Suspended(Receipt):
    """The input could not be taken; the instance stands still until an operator decides."""

    fact_type = "pm.suspended"
    error: str


@dataclass(frozen=True, kw_only=True)
class OperatorActed(Receipt):
    """Somebody stepped in by hand; what came of it stands behind."""

    fact_type = "pm.operator-acted"
    action: str
    actor: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Decided(Fact):
    """A decision with its reason."""

    fact_type = "pm.decided"
    question: str
    answer: str
    because: str
    reaction: str


@dataclass(frozen=True, kw_only=True)
class DeadlineSet(Fact):
    """A deadline was set or moved, that of a step too; the generation tells this setting from earlier ones."""

    fact_type = "pm.deadline-set"
    name: str
    generation: int
    due: datetime


@dataclass(frozen=True, kw_only=True)
class DeadlineCancelled(Fact):
    """A deadline is no longer wanted."""

    fact_type = "pm.deadline-cancelled"
    name: str
    generation: int


@dataclass(frozen=True, kw_only=True)
class JoinDecided(Fact):
    """A join was reached, or can no longer be; `outstanding` runs, which are not done, are not needed any more."""

    fact_type = "pm.join-decided"
    join: str
    reached: bool
    outstanding: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class RetryPlanned(Fact):
    """Another attempt of a run will be made when this time has come."""

    fact_type = "pm.retry-planned"
    step: str
    run: str
    operation: str
    attempt: int
    due: datetime


@dataclass(frozen=True, kw_only=True)
class CompensationStarted(Fact):
    """From here on no step is started; what was done is undone."""

    fact_type = "pm.compensation-started"
    reason: str


@dataclass(frozen=True, kw_only=True)
class NothingToUndo(Fact):
    """The undo reaction of a run asked for nothing."""

    fact_type = "pm.nothing-to-undo"
    step: str
    run: str
    operation: str


@dataclass(frozen=True, kw_only=True)
class CompensationFailed(Fact):
    """An undo step has used up its attempts; somebody has to look."""

    fact_type = "pm.compensation-failed"
    step: str
    run: str
    operation: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class UndoSkipped(Fact):
    """A run that could not be undone stays as it is: an operator has said so."""

    fact_type = "pm.undo-skipped"
    step: str
    run: str
    operation: str


@dataclass(frozen=True, kw_only=True)
class Ended(Fact):
    """The life is over: completed, compensated, aborted or cancelled; `surplus` runs, which are not done, no join needs any more;
    `left_undone` names the steps whose undo an operator has skipped."""

    fact_type = "pm.ended"
    status: str
    outcome: str
    surplus: list[str] = field(default_factory=list)
    left_undone: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class SnapshotTaken(Fact):
    """The state as of the record before this one; events and commands are named by revision."""

    fact_type = "pm.snapshot-taken"
    fold_version: str
    state: Json


@dataclass(frozen=True, kw_only=True)
class Foreign(Fact):
    """A record that somebody else appended to the instance's stream; it says nothing about the instance."""

    fact_type = ""
    type: str


@dataclass(frozen=True, kw_only=True)
class StepStarted(Fact):
    """A command and its place in the process. Written as the command record itself: `data` is the record's data, the
    rest stands in its metadata. `id` and `command_version` are known once it is laid out or read."""

    fact_type = "pm.step-started"
    step: str
    run: str
    attempt: int
    type: str
    command_version: int
    data: bytes
    due: datetime | None
    operation: str = ""  # "" on the first attempt: the command's own id
    replaces: str = ""  # the failed operation that this new one tries again
    undoes: str = ""  # the operation that this command undoes
    keep: bool = False  # the run matters after its answer: it can be undone, or a join counts it
    undoable: bool = False
    id: str = ""


def outcome_told(outcome: str, left_undone: Sequence[str]) -> str:
    """The outcome of a life as people are told it."""
    return outcome + (f" (left undone: {', '.join(left_undone)})" if left_undone else "")


FACTS: dict[str, type[Fact]] = {
    cls.fact_type: cls
    for cls in list(globals().values())
    if isinstance(cls, type) and issubclass(cls, Fact) and vars(cls).get("fact_type") and cls is not StepStarted
}
"""Every fact by its written name."""

_TIMES = ("now", "until", "due")


def encode_fact(fact: Fact) -> bytes:
    """The JSON of a fact; an input's data and metadata go in as the bytes they are."""
    return dumps(fact, default=orjson.Fragment)


def decode_fact(type_: str, version: int, data: bytes) -> Fact:
    """A fact as it was recorded. Raises NewerFact, and UndecodableMessage for what is no fact."""
    cls = FACTS.get(type_)
    if cls is None:
        raise NewerFact(type_, version, 0)
    if version > cls.fact_version:
        raise NewerFact(type_, version, cls.fact_version)
    try:
        return _from_json(cls, version, orjson.loads(data))
    except (ValueError, KeyError, TypeError) as error:
        raise UndecodableMessage(type_, f"{type(error).__name__}: {error}") from error


def _from_json(cls: type[Fact], version: int, raw: Json) -> Fact:
    for upcaster in cls.upcasters[version - 1 :]:
        raw = upcaster(raw)
    fields: dict[str, Any] = {name: raw[name] for name in cls.__dataclass_fields__ if name in raw}
    for name in _TIMES:
        if fields.get(name) is not None:
            fields[name] = datetime.fromisoformat(fields[name])
    if "input" in fields:
        fields["input"] = Input.from_json(fields["input"])
    return cls(**fields)
