"""`Saga`: steps in a line, each with its undo. It is a ProcessManager whose reactions are written by its table.

The steps run in the order of the table, each when the one before is done. When one fails or is overdue, what was done,
or may have been, is undone, last first. Branches, joins, deadlines and state of its own are a ProcessManager's business.
"""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, Literal, Union

from typing_extensions import TypeVar

from process_manager.core import reactions
from process_manager.core.definition import snake_case
from process_manager.core.effects import Compensate, Complete, Effects
from process_manager.core.messages import Command, Event, Message
from process_manager.core.process import ProcessManager
from process_manager.core.retry import Retry
from process_manager.core.routing import Route
from process_manager.core.steps import Step, Unlimited
from process_manager.errors import DefinitionError

C_co = TypeVar("C_co", bound=Command, covariant=True)
D_co = TypeVar("D_co", bound=Event, covariant=True, default=Event)


class SagaStep(Step[C_co, D_co]):
    """A step of a saga: what a Step says, and how it is undone.

    undo     the command that undoes it, made of the fields of the step's own command
    undone   the event that confirms that; undo and undone are left out with needs_undo=False
    make     the command, from the saga; without it, each field is taken from the latest event that has one of its name:
             the done events of earlier steps, before them the starting event
    """

    def __init__(
        self,
        command: type[C_co],
        *,
        done: type[D_co] | tuple[type[D_co], ...],
        failed: type[Event] | tuple[type[Event], ...] = (),
        within: timedelta | Literal[Unlimited.FOREVER],
        undo: type[Command] | None = None,
        undone: type[Event] | None = None,
        needs_undo: bool = True,
        retry: Retry | None = None,
        make: Callable[[Any], C_co] | None = None,
    ) -> None:
        super().__init__(command, done=done, failed=failed, within=within, needs_undo=needs_undo, retry=retry)
        self.undo = undo
        self.undone = undone
        self.make = make


class Saga(ProcessManager, abstract=True):
    """A process of steps in a line, each with its undo: `class BookTrip(Saga, key="trip_id", starts=TripRequested, ends="booked")`.

    Class arguments: `starts` is the event that starts it, `ends` the outcome when all steps are done; the others are a
    ProcessManager's. Raises DefinitionError, also for a command's required field that no earlier event has.
    """

    def __init_subclass__(
        cls, *, starts: type[Event], ends: str, key: str = "", keys: tuple[Route, ...] = (), version: int = 1, name: str = ""
    ) -> None:
        steps = [each for each in vars(cls).values() if isinstance(each, SagaStep)]
        if not steps:
            raise DefinitionError(cls.__name__, "", "it has no steps", "give it SagaStep attributes")
        for each in steps:
            _check(cls, each)
        _line(cls, starts, steps, ends)
        for each in steps:
            _failures(cls, each)
            _undo(cls, each)
        super().__init_subclass__(key=key, keys=keys, version=version, name=name)


Sources = tuple[tuple[type[Event], ...], ...]
"""What has happened before a step: the starting event, then the done events of each earlier step."""

AnySagaStep = SagaStep[Any, Any]


def _check(cls: type, step: AnySagaStep) -> None:
    if step.needs_undo and (step.undo is None or step.undone is None):
        raise DefinitionError(cls.__name__, step.name, "does not say how it is undone", "give undo= and undone=, or say needs_undo=False")
    if not step.needs_undo and (step.undo is not None or step.undone is not None):
        raise DefinitionError(cls.__name__, step.name, "has an undo and says needs_undo=False", "drop one of the two")


def _line(cls: type, starts: type[Event], steps: list[AnySagaStep], ends: str) -> None:
    """The reactions that go from one step to the next: to the start, and to each success."""
    sources: Sources = ((starts,),)
    follows: Callable[..., Any] = reactions.starts
    name = snake_case(starts.__name__)
    for step in steps:
        make = step.make or _maker(cls, step, sources)
        _add(cls, name, follows(_yields(make, sources[-1], step.command)))
        sources, follows, name = (*sources, step.done), reactions.on, snake_case(step.done[0].__name__)
    _add(cls, name, follows(_yields(lambda _: Complete(ends), sources[-1], Complete)))


def _maker(cls: type, step: AnySagaStep, sources: Sources) -> Callable[[Any], Command]:
    """The command of a step from the events before it, each field from the latest that has it."""
    found: dict[str, tuple[type[Event], ...]] = {}
    for name, field in step.command.model_fields.items():
        having = [events for events in sources if all(name in event.model_fields for event in events)]
        if having:
            found[name] = having[-1]
        elif field.is_required():
            raise DefinitionError(
                cls.__name__, step.name, f"nothing before it has the field {name} of {step.command.__name__}",
                f"add {name} to {sources[0][0].__name__} or to an earlier done event, give it a default, or say make=lambda self: ...",
            )  # fmt: skip

    def make(self: ProcessManager) -> Command:
        command: Command = step.command(**{name: getattr(_latest(self, events), name) for name, events in found.items()})
        return command

    return make


def _latest(self: ProcessManager, events: tuple[type[Event], ...]) -> Event:
    """The one of a step's done events that came; it is there, as the step was done."""
    return next((found for event in events[1:] if (found := self.find(event)) is not None), None) or self.event(events[0])


def _failures(cls: type, step: AnySagaStep) -> None:
    for event in step.failed:
        failed = _yields(_compensate(f"{step.name} failed: {event.message_type}"), (event,), Compensate)
        _add(cls, snake_case(event.__name__), reactions.on(failed))
    if isinstance(step.within, timedelta):
        overdue = _yields(_compensate(f"{step.name} is overdue"), (step.command,), Compensate)
        _add(cls, f"{step.name}_overdue", reactions.overdue(step)(overdue))


def _compensate(reason: str) -> Callable[[Any], Compensate]:
    return lambda _: Compensate(reason)


def _undo(cls: type, step: AnySagaStep) -> None:
    undo, undone = step.undo, step.undone
    if undo is None or undone is None:
        return
    known = step.command.model_fields
    missing = [name for name, field in undo.model_fields.items() if field.is_required() and name not in known]
    if missing:
        raise DefinitionError(
            cls.__name__, step.name, f"{step.command.__name__} has no field {missing[0]} for {undo.__name__}",
            "add it to the command, or give it a default: what may have been done is undone without an answer",
        )  # fmt: skip
    name = snake_case(undo.__name__)
    undoing = Step(undo, done=undone, within=step.within, needs_undo=False)
    _add(cls, name, undoing)
    undoing.__set_name__(cls, name)

    def back(_: ProcessManager, command: Command) -> Iterator[Any]:
        yield undo(**{name: value for name, value in command if name in undo.model_fields})

    back.__annotations__ = {"command": step.command, "return": Effects[undo]}  # type: ignore[valid-type]
    _add(cls, f"undo_{step.name}", reactions.undo(step)(back))


def _yields(make: Callable[[Any], Any], takes: tuple[type[Message], ...], announces: type) -> Callable[..., Any]:
    """A reaction to one of these messages that yields one effect."""

    def reaction(self: ProcessManager, _message: Message) -> Iterator[Any]:
        yield make(self)

    reaction.__annotations__ = {"_message": Union[takes], "return": Effects[announces]}  # type: ignore[valid-type]  # noqa: UP007
    return reaction


def _add(cls: type, name: str, member: Any) -> None:
    if name in vars(cls):
        raise DefinitionError(cls.__name__, name, "the saga needs this name for a member of its own", "rename it")
    setattr(cls, name, member)
