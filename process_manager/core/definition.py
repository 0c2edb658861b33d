"""What a process manager's class says, read once when it is created."""

import inspect
import re
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from process_manager.core.effects import Abort, Compensate, Complete, Deadline
from process_manager.core.evolve import State, appliers, events_of, hints_of
from process_manager.core.instance import Payload
from process_manager.core.messages import Command, Event, Message
from process_manager.core.reactions import MARK, Kind, Mark, Reaction
from process_manager.core.retry import ONCE, UNDO, Retry
from process_manager.core.routing import Route
from process_manager.core.steps import AnyStep, Join, Step
from process_manager.errors import DefinitionError, ReactionError

ENDINGS = (Complete, Compensate, Abort)


@dataclass(frozen=True, slots=True)
class Handled:
    """All that an event type means to a process manager."""

    event: type[Event]
    starts: Reaction | None
    on: Reaction | None
    done: tuple[AnyStep, ...]
    failed: tuple[AnyStep, ...]

    @property
    def reaction(self) -> Reaction | None:
        return self.on or self.starts

    @property
    def answers(self) -> bool:
        return bool(self.done or self.failed)


@dataclass(frozen=True, slots=True)
class Definition:
    """A process manager's class, compiled."""

    name: str
    cls: type
    key: str  # the class argument: the field that says which instance an event concerns
    version: int
    fold_version: str
    doc: str
    steps: Mapping[str, AnyStep]
    by_command: Mapping[type[Command], AnyStep]
    reactions: tuple[Reaction, ...]
    handled: Mapping[str, Handled]  # by event type name
    joins: tuple[Reaction, ...]
    due: Mapping[str, Reaction]
    overdue: Mapping[str, Reaction]
    undo: Mapping[str, Reaction]
    undo_steps: frozenset[str]
    deadlines: Mapping[str, Deadline]
    routes: Mapping[str, Route]
    state: type[State]
    evolvers: Mapping[str, tuple[type[Event], Callable[..., Any]]]
    waiting: Mapping[str, tuple[Reaction, ...]]  # by step, the join reactions that wait for it
    counted: frozenset[str]  # the steps whose runs are all remembered: a join or an `after=` counts them, or they have keys, for `results`
    announcing: Mapping[str, frozenset[str]]  # by step, the reactions that may start it

    @property
    def has_correlation_routes(self) -> bool:
        return any(route.by_correlation for route in self.routes.values())

    def step(self, name: str) -> AnyStep:
        """A step by its name. Raises ReactionError for one that an instance still knows and the class does not."""
        if name not in self.steps:
            raise ReactionError(f"{self.cls.__name__} has no step {name} any more, and this instance ran it: keep the step in the class")
        return self.steps[name]

    def reaction(self, name: str) -> Reaction:
        return next(each for each in self.reactions if each.name == name)

    def joins_of(self, step: str) -> tuple[Reaction, ...]:
        """The join reactions that wait for this step."""
        return self.waiting.get(step, ())

    def retry_of(self, step: AnyStep) -> Retry:
        """How often a step is tried: undo steps that say nothing are tried several times."""
        return step.retry or (UNDO if step.name in self.undo_steps else ONCE)

    def evolve(self, data: Any, payload: Payload) -> Any:
        """The definition's own state after an event."""
        found = self.evolvers.get(payload.type)
        if found is None:
            return data
        event, function = found
        state = data if isinstance(data, self.state) else self.state.model_validate(data or {})
        return function(state, payload.decoded(event))


def join_of(reaction: Reaction) -> Join:
    assert reaction.mark.join is not None
    return reaction.mark.join


def snake_case(name: str) -> str:
    """`OrderFulfilment` as `order_fulfilment`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def define(cls: type, *, name: str, version: int, fold_version: int, key: str, keys: tuple[Route, ...], state: type[State]) -> Definition:
    """Read a class. Raises DefinitionError; whether it all fits together is `checks`' business."""
    members = _members(cls)
    steps = {each: member for each, member in members.items() if isinstance(member, Step)}
    reactions = tuple(_reaction(cls, each, member) for each, member in members.items() if hasattr(member, MARK))
    handled = _handled(cls, steps, reactions)
    joins = tuple(each for each in reactions if each.mark.kind == "join")
    undos = _by(cls, reactions, "undo", lambda mark: mark.step)
    started_by_undo = {command for reaction in undos.values() for command in reaction.announces}
    started_else = {command for reaction in reactions if reaction.mark.kind != "undo" for command in reaction.announces}
    evolvers = {event.message_type: (event, function) for event, function in appliers(state).items()}
    return Definition(
        name=name,
        cls=cls,
        key=key,
        version=version,
        fold_version=f"{FOLD_VERSION}.{fold_version}",
        doc=inspect.getdoc(cls) or "",
        steps=steps,
        by_command={step.command: step for step in steps.values()},
        reactions=reactions,
        handled=handled,
        joins=joins,
        due=_by(cls, reactions, "due", lambda mark: mark.deadline),
        overdue=_by(cls, reactions, "overdue", lambda mark: mark.step),
        undo=undos,
        undo_steps=frozenset(each.name for each in steps.values() if each.command in started_by_undo - started_else),
        deadlines={each: member for each, member in members.items() if isinstance(member, Deadline)},
        routes=_routes(handled, key, keys),
        state=state,
        evolvers=evolvers,
        counted=_counted(steps, reactions),
        waiting={name: tuple(each for each in joins if step in join_of(each).steps) for name, step in steps.items()},
        announcing={name: frozenset(each.name for each in reactions if step.command in each.announces) for name, step in steps.items()},
    )


def _counted(steps: Mapping[str, AnyStep], reactions: tuple[Reaction, ...]) -> frozenset[str]:
    joins = [join for each in reactions for join in (each.mark.join, each.mark.after) if join]
    return frozenset(step.name for join in joins for step in join.steps) | {name for name, step in steps.items() if step.each is not None}


FOLD_VERSION = 4
"""Counts up when `fold` or `instance` change so that an older snapshot would mislead."""


def _members(cls: type) -> dict[str, Any]:
    """The class's own and inherited attributes, in the order in which they were written."""
    found: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        found.update(vars(base))
    return found


def _reaction(cls: type, name: str, function: Any) -> Reaction:
    mark: Mark = getattr(function, MARK)
    hints = hints_of(cls.__name__, function)
    announces = _announced(cls, name, hints.pop("return", None))
    parameter = next(iter(hints.values()), None)
    _parameters(cls, name, function, mark, parameter)
    events = events_of(parameter) if mark.kind in {"starts", "on"} else ()
    if mark.kind in {"starts", "on"} and not events:
        raise DefinitionError(cls.__name__, name, "does not say which event it reacts to", "annotate its parameter with an Event class")
    return Reaction(name, function, mark, events, announces, inspect.getdoc(function) or "")


def _parameters(cls: type, name: str, function: Any, mark: Mark, annotation: Any) -> None:
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise DefinitionError(cls.__name__, name, "it is async", "write a plain generator: what takes time is done by handlers")
    takes = len(inspect.signature(function).parameters) - 1
    wanted = 0 if mark.kind in {"join", "due"} else 1
    if takes != wanted:
        what = "nothing but self" if wanted == 0 else "the event" if mark.step is None else "the step's command"
        raise DefinitionError(cls.__name__, name, f"it takes {takes} arguments", f"let it take {what}")
    if mark.step is not None and isinstance(annotation, type) and not issubclass(mark.step.command, annotation):
        raise DefinitionError(
            cls.__name__,
            name,
            f"it takes a {annotation.__name__}",
            f"annotate it with {mark.step.command.__name__}, the command of its step",
        )


def _announced(cls: type, name: str, returns: Any) -> frozenset[type]:
    union = typing.get_args(returns)
    if typing.get_origin(returns) is None or len(union) != 1:
        raise DefinitionError(cls.__name__, name, "does not announce what it yields", "annotate its return type with Effects[...]")
    options = typing.get_args(union[0]) or union
    return frozenset(each for each in options if isinstance(each, type) and issubclass(each, (Command, *ENDINGS)))


def _handled(cls: type, steps: Mapping[str, AnyStep], reactions: tuple[Reaction, ...]) -> dict[str, Handled]:
    reacting = _reactions_by_event(cls, reactions)
    events = [*(event for step in steps.values() for event in (*step.done, *step.failed)), *reacting]
    return {event.message_type: _all_about(event, reacting.get(event), steps) for event in dict.fromkeys(events)}


def _reactions_by_event(cls: type, reactions: tuple[Reaction, ...]) -> dict[type[Event], Reaction]:
    found: dict[type[Event], Reaction] = {}
    for reaction in reactions:
        for event in reaction.events:
            other = found.setdefault(event, reaction)
            if other is not reaction:
                raise DefinitionError(
                    cls.__name__, reaction.name, f"{event.__name__} has a reaction already, {other.name}", "keep one of them"
                )
    return found


def _all_about(event: type[Event], reaction: Reaction | None, steps: Mapping[str, AnyStep]) -> Handled:
    kind = reaction.mark.kind if reaction else ""
    return Handled(
        event,
        reaction if kind == "starts" else None,
        reaction if kind == "on" else None,
        tuple(step for step in steps.values() if event in step.done),
        tuple(step for step in steps.values() if event in step.failed),
    )


def _by(cls: type, reactions: tuple[Reaction, ...], kind: Kind, of: Callable[[Mark], Any]) -> dict[str, Reaction]:
    found: dict[str, Reaction] = {}
    for reaction in reactions:
        if reaction.mark.kind != kind:
            continue
        name = of(reaction.mark).name
        if name in found:
            raise DefinitionError(
                cls.__name__, reaction.name, f"{name} has an @{kind} reaction already, {found[name].name}", "keep one of them"
            )
        found[name] = reaction
    return found


def _routes(handled: Mapping[str, Handled], key: str, keys: tuple[Route, ...]) -> dict[str, Route]:
    named = {route.event: route for route in keys}
    found: dict[str, Route] = {}
    for type_, each in handled.items():
        if each.event in named:
            found[type_] = named[each.event]
        elif key and key in each.event.model_fields:
            found[type_] = Route(each.event, attrgetter(key))
    return found


def messages_of(definition: Definition) -> list[type[Message]]:
    """Every message class that a definition names."""
    commands: list[type[Message]] = [step.command for step in definition.steps.values()]
    return [*commands, *(each.event for each in definition.handled.values())]
