"""The decorators that turn methods into reactions, and what they remember."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from typing import Any, Literal, TypeAlias, TypeVar, overload

from process_manager.core.effects import Deadline
from process_manager.core.messages import Command, Event
from process_manager.core.steps import AnyStep, Join, Step, all_of
from process_manager.errors import DefinitionError

F = TypeVar("F", bound=Callable[..., Any])
C = TypeVar("C", bound=Command)
S = TypeVar("S")
R = TypeVar("R")


class Policy(Enum):
    """What becomes of an event that does not fit the moment."""

    IGNORE = "ignore"  # a receipt says so, nothing else
    FAIL = "fail"  # the instance is suspended until an operator decides


IGNORE = Policy.IGNORE
"""`early=IGNORE`, `late=IGNORE`: the event gets a receipt and changes nothing."""

FAIL = Policy.FAIL
"""`early=FAIL`, `late=FAIL`: the event suspends the instance until an operator decides."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Keep an early event and offer it again after every turn; it expires visibly after `span`."""

    span: timedelta


def wait(span: timedelta) -> Wait:
    """`early=wait(days(7))`, the default: an early event is kept for so long, and offered again after every turn."""
    return Wait(span)


Early: TypeAlias = Wait | Policy
DEFAULT_EARLY = Wait(timedelta(days=7))

Kind = Literal["starts", "on", "join", "due", "overdue", "undo"]


@dataclass(slots=True)
class Mark:
    """What a decorator noted on a method; the definition makes a Reaction of it."""

    kind: Kind
    step: AnyStep | None = None
    join: Join | None = None
    deadline: Deadline | None = None
    after: Join | None = None
    early: Early = DEFAULT_EARLY
    late: Policy = IGNORE
    again: bool = False


@dataclass(frozen=True, slots=True)
class Reaction:
    """A method that says what follows: when it runs, and what it may yield."""

    name: str
    function: Callable[..., Any]
    mark: Mark
    events: tuple[type[Event], ...]  # what it reacts to; empty for joins, deadlines, overdue and undo
    announces: frozenset[type]  # commands and endings
    doc: str = field(default="", compare=False)


MARK = "__reaction__"


def _marker(mark: Mark) -> Callable[[F], F]:
    def decorate(function: F) -> F:
        setattr(function, MARK, mark)
        return function

    return decorate


@overload
def starts(function: F, /) -> F: ...
@overload
def starts(*, again: bool = False) -> Callable[[F], F]: ...
def starts(function: F | None = None, /, *, again: bool = False) -> F | Callable[[F], F]:
    """The event of this method starts an instance; with `again`, also a new life of one that has ended.

    Where several events start a process, the first one starts it and the others continue it. With `again`, an event between two lives
    is early for the next one: it waits, unless its reaction says `early=IGNORE` or `FAIL`. An answer that names no command is late there.
    """
    _refuse_class("starts", function)
    decorate = _marker(Mark("starts", again=again))
    return decorate if function is None else decorate(function)


@overload
def on(function: F, /) -> F: ...
@overload
def on(join: Join, /) -> Callable[[Callable[[S], R]], Callable[[S], R]]: ...
@overload
def on(*, after: Join | AnyStep | None = None, early: Early = DEFAULT_EARLY, late: Policy = IGNORE) -> Callable[[F], F]: ...
def on(what: Any = None, /, *, after: Join | AnyStep | None = None, early: Early = DEFAULT_EARLY, late: Policy = IGNORE) -> Any:
    """The method reacts to the event that its parameter is annotated with, or to a join.

    after    the event is early until this join (or all runs of this step) is done
    early    wait(span), IGNORE or FAIL, for an event that comes before the start or before `after`, for an answer also before its step;
             with `@starts(again=True)` an event that answers no step is early for the next life once this one has ended
    late     IGNORE or FAIL, for any other event that comes after the end
    """
    if isinstance(what, Join):
        return _marker(Mark("join", join=what))
    _refuse_class("on", what)
    if what is not None and not callable(what):
        raise DefinitionError(
            "on", "", f"{what!r} is neither a method nor a join", "write @on above the reaction to its event, or @on(all_of(...))"
        )
    condition = after if after is None or isinstance(after, Join) else all_of(after)
    decorate = _marker(Mark("on", after=condition, early=early, late=late))
    return decorate if what is None else decorate(what)


def due(deadline: Deadline) -> Callable[[Callable[[S], R]], Callable[[S], R]]:
    """The method runs when this deadline passes."""
    if not isinstance(deadline, Deadline):
        raise DefinitionError("due", "", f"{deadline!r} is no deadline", "name the Deadline attribute of the class")
    return _marker(Mark("due", deadline=deadline))


def overdue(step: Step[C, Any]) -> Callable[[Callable[[S, C], R]], Callable[[S, C], R]]:
    """The method runs when the last attempt of this step is overdue, with the step's command."""
    return _marker(Mark("overdue", step=_checked("overdue", step)))


def undo(step: Step[C, Any]) -> Callable[[Callable[[S, C], R]], Callable[[S, C], R]]:
    """The method undoes one run of this step that was done or may have been, with the run's command."""
    return _marker(Mark("undo", step=_checked("undo", step)))


def _checked(decorator: str, step: AnyStep) -> AnyStep:
    if not isinstance(step, Step):
        raise DefinitionError(decorator, "", f"{step!r} is no step", "name the Step attribute of the class")
    return step


def _refuse_class(decorator: str, what: object) -> None:
    """`@on(SomeEvent)` would mark the event's class, and call it with the method."""
    if isinstance(what, type):
        raise DefinitionError(
            decorator,
            "",
            f"{what.__name__} is a class, not a method",
            f"write @{decorator} alone, and annotate the parameter",
        )
