"""Messages of the library itself that reach instances through the log."""

from dataclasses import dataclass
from datetime import datetime

import orjson

DEADLINE_PASSED = "pm.deadline-passed"
COMMAND_PARKED = "pm.command-parked"
TIME_PASSED = "pm.time-passed"


@dataclass(frozen=True, slots=True)
class DeadlinePassed:
    """A deadline of an instance was due. Appended at `no_stream` to `stream`, so that it is written once."""

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
    """A command's handler has given up; the step will get no answer."""

    instance: str
    command_id: str
    reason: str

    @property
    def stream(self) -> str:
        return f"pm.parked-{self.command_id}"

    @classmethod
    def read(cls, data: bytes) -> "CommandParked":
        return cls(**orjson.loads(data))


@dataclass(frozen=True, slots=True)
class TimePassed:
    """In driven mode: the time is now `time`; what came before is settled."""

    time: datetime
