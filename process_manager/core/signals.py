"""Messages of the library itself that come to instances through the log."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar, Literal, get_args

import orjson

DEADLINE_PASSED = "pm.deadline-passed"
COMMAND_PARKED = "pm.command-parked"
OPERATOR_ACTION = "pm.operator-action"
TIME_PASSED = "pm.time-passed"


@dataclass(frozen=True, slots=True)
class DeadlinePassed:
    """A deadline of an instance was due. Appended at `no_stream` to `stream`, so that it is written once."""

    version: ClassVar[int] = 1
    instance: str  # its stream
    name: str
    generation: int
    due: datetime

    @property
    def stream(self) -> str:
        return f"pm.deadline-{self.instance}/{self.name}/{self.generation}"

    @classmethod
    def read(cls, data: bytes) -> "DeadlinePassed":
        raw = orjson.loads(data)
        return cls(raw["instance"], raw["name"], raw["generation"], datetime.fromisoformat(raw["due"]))


@dataclass(frozen=True, slots=True)
class CommandParked:
    """A command's handler has given up: this attempt gets no answer. `unread` when no handler could be called at all, or the call
    ended its workers; the same command would fare no better, so there is no further attempt."""

    version: ClassVar[int] = 2  # 1 had no `unread`
    instance: str
    command_id: str
    reason: str
    unread: bool = False

    @property
    def stream(self) -> str:
        return f"pm.parked-{self.command_id}"

    @classmethod
    def read(cls, data: bytes) -> "CommandParked":
        return cls(**orjson.loads(data))


Action = Literal["retry", "skip", "cancel", "suspend", "resume", "compensate", "move-deadline", "cancel-deadline"]


@dataclass(frozen=True, slots=True)
class OperatorAction:
    """What somebody does to an instance by hand. Appended at `no_stream` to `stream`: one request is one action."""

    version: ClassVar[int] = 1
    instance: str  # its stream
    request: str
    action: Action
    actor: str
    reason: str
    deadline: str = ""  # which one is moved or cancelled
    due: datetime | None = None  # to when it is moved

    @property
    def stream(self) -> str:
        return f"pm.operator-{self.instance}/{self.request}"

    @classmethod
    def read(cls, data: bytes) -> "OperatorAction":
        """Raises ValueError, LookupError or TypeError for what is no action that this version knows."""
        raw = orjson.loads(data)
        due = raw.pop("due", None)
        action = cls(**raw, due=None if due is None else _in_utc(due))
        if action.action not in get_args(Action) or not all(isinstance(value, str) for value in raw.values()):
            raise ValueError(f"{action.action!r} is no action")
        return action


def _in_utc(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError(f"{text} has no zone")
    try:
        return time.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"{text} is beyond all calendars") from error


ADDRESSED: Mapping[str, type[DeadlinePassed] | type[CommandParked] | type[OperatorAction]] = {
    DEADLINE_PASSED: DeadlinePassed,
    COMMAND_PARKED: CommandParked,
    OPERATOR_ACTION: OperatorAction,
}
"""The signals that name the instance that they are for; `version` is the one that is written, and the newest that is read."""


@dataclass(frozen=True, slots=True)
class TimePassed:
    """In driven mode: the time is now `time`; what came before is settled."""

    time: datetime
