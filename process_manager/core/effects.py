"""What a reaction may yield: decisions, deadlines, commands, and one ending."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Never, TypeAlias

from typing_extensions import TypeVar

from process_manager.core.messages import Command
from process_manager.errors import DefinitionError


@dataclass(frozen=True, slots=True)
class Decision:
    """A question that was answered, and why; a recorded fact that no later code decides again."""

    question: str
    answer: str
    because: str


@dataclass(frozen=True, slots=True)
class DeadlineSet:
    """A named deadline at a time, or some time after the turn's `now`; set again, it is moved."""

    name: str
    at: datetime | None = None
    after: timedelta | None = None


@dataclass(frozen=True, slots=True)
class DeadlineCancelled:
    """A named deadline is no longer wanted."""

    name: str


@dataclass(frozen=True, slots=True)
class Complete:
    """The process reached its goal; `outcome` says which."""

    outcome: str


@dataclass(frozen=True, slots=True)
class Compensate:
    """Undo what was done, last step first, then end."""

    reason: str


@dataclass(frozen=True, slots=True)
class Abort:
    """End without undoing anything."""

    reason: str


Ending = Complete | Compensate | Abort

X = TypeVar("X", bound=Command | Complete | Compensate | Abort, default=Never)
Effects: TypeAlias = Iterator[Decision | DeadlineSet | DeadlineCancelled | X]
"""The return type of a reaction; its argument announces the commands and endings that it may yield."""


class Deadline:
    """A deadline with the name of the attribute that holds it.

    `yield self.payment_due.after(days(3))` or `.at(when)` sets it, yielded again it moves, `.cancel()` takes it back;
    `@due(payment_due)` marks the reaction.
    """

    name: str = ""
    """The name of its attribute, which stands in facts and in `pm deadlines list`."""

    def __set_name__(self, owner: type, name: str) -> None:
        if self.name:
            raise DefinitionError(owner.__name__, name, f"is the same deadline as {self.name}", "make a Deadline() of its own")
        self.name = name

    def at(self, when: datetime) -> DeadlineSet:
        """Set it at an aware time."""
        if when.tzinfo is None:
            raise ValueError(f"the deadline {self.name} needs a time with a time zone, {when!r} has none")
        return DeadlineSet(self.name, at=when)

    def after(self, span: timedelta) -> DeadlineSet:
        """Set it some time after the turn's `now`."""
        return DeadlineSet(self.name, after=span)

    def cancel(self) -> DeadlineCancelled:
        """Take it back; nothing happens when it is not set."""
        return DeadlineCancelled(self.name)


def seconds(count: float) -> timedelta:
    """A span of seconds."""
    return timedelta(seconds=count)


def minutes(count: float) -> timedelta:
    """A span of minutes."""
    return timedelta(minutes=count)


def hours(count: float) -> timedelta:
    """A span of hours."""
    return timedelta(hours=count)


def days(count: float) -> timedelta:
    """A span of 24-hour days; calendar days need `Deadline.at` and a time zone."""
    return timedelta(days=count)
