"""`@handles`: command handlers as functions whose parameters say what they need, and the check of all of them at start."""

import inspect
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from typing_extensions import TypeVar

from process_manager.core.aggregate import Aggregate
from process_manager.core.evolve import events_of
from process_manager.core.messages import Command, Event
from process_manager.ports import GroupSettings
from process_manager.runtime.repository import Repository

F = TypeVar("F", bound=Callable[..., Any])
MARK = "__handles__"

SPARE = timedelta(seconds=30)
"""What a call may take when it does not say, and what is added to what it says before its command is delivered again."""

THREADS = 8
"""Calls at once in a worker."""

QUICK = 256
"""Commands for quick handlers that a worker holds at once, where several compete."""

STRATEGY = "RoundRobin"
"""Who gets a command, where several compete. Pinning would gain nothing, for aggregates have ids of their own, and servers of
before May 2026 may write a wrong checkpoint for a pinned group (KurrentDB #5497): after a restart commands would be missing."""


@dataclass(frozen=True, slots=True)
class Call:
    """What a handler may know about the command's delivery.

    `operation_id` is the same for every attempt at the same operation: the idempotency key to hand on to the outside world.
    `attempt` counts from 1; `now` is the time to decide by, aware and in UTC.
    """

    operation_id: str
    command_id: str
    attempt: int
    correlation_id: str
    now: datetime


@dataclass(frozen=True, slots=True)
class _Mark:
    command: Any  # a Command class, if it is used rightly
    takes: timedelta | None


def handles(command: type[Command], *, takes: timedelta | None = None) -> Callable[[F], F]:
    """Marks a function as the handler of a command.

    Its parameters are handed over by their annotations: the command, `Repository[SomeAggregate]`, `Call`, or the class of one of the app's
    resources. With a repository it edits one aggregate and returns nothing; without one it returns the event that is the outcome.
    Where it only asks, and the answer comes later as an event of somebody else, it is annotated `-> None`, or `-> Outcome | None`.
    `takes` is the longest time that a call takes; a handler that says it runs beside the others and does not hold them up, as do all
    without a repository.
    """

    def mark(function: F) -> F:
        setattr(function, MARK, _Mark(command, takes))
        return function

    return mark


@dataclass(frozen=True, eq=False)
class Handler:
    """A handler function and what it is called with."""

    function: Callable[..., Any]
    command: type[Command]
    takes: timedelta | None
    command_name: str = ""
    call_name: str = ""
    repositories: dict[str, type[Aggregate]] = field(default_factory=dict)
    resources: dict[str, object] = field(default_factory=dict)
    outcomes: tuple[type[Event], ...] = ()
    asks: bool = False  # it may return None: somebody else gives the answer, later

    @property
    def name(self) -> str:
        return self.function.__name__

    @property
    def inline(self) -> bool:
        """Whether it is quick: it edits an aggregate, and does not say that it takes its time."""
        return bool(self.repositories) and self.takes is None


def command_of(function: Callable[..., Any]) -> type[Command]:
    """The command that a function is marked to handle."""
    command: type[Command] = getattr(function, MARK).command
    return command


def check_handlers(functions: Sequence[Callable[..., Any]], resources: Sequence[object] = ()) -> list[str]:
    """Everything that is wrong with these handlers, one sentence each."""
    return _inspect(functions, resources)[1]


def bind_handlers(functions: Sequence[Callable[..., Any]], resources: Sequence[object] = ()) -> list[Handler]:
    """The handlers, ready to be called; `check_handlers` has found nothing wrong with them."""
    return _inspect(functions, resources)[0]


def command_types(handlers: Sequence[Handler]) -> frozenset[str]:
    """The types that the consumer group of these handlers is to deliver."""
    return frozenset(handler.command.message_type for handler in handlers)


def quick_settings() -> GroupSettings:
    """How a group of quick handlers delivers: as many as one batch may well hold."""
    return GroupSettings(in_flight=QUICK, strategy=STRATEGY)


def call_settings(handlers: Sequence[Handler]) -> GroupSettings:
    """How a group of calls delivers: none waits behind a slow one, and none comes again while it may still be running."""
    longest = max((handler.takes for handler in handlers if handler.takes), default=timedelta(0))
    return GroupSettings(message_timeout=longest + SPARE, in_flight=THREADS, strategy=STRATEGY)


def _inspect(functions: Sequence[Callable[..., Any]], resources: Sequence[object]) -> tuple[list[Handler], list[str]]:
    handlers: list[Handler] = []
    problems: list[str] = []
    owners: dict[type[Command], str] = {}
    for function in functions:
        name = getattr(function, "__name__", repr(function))
        found = _Inspection(function, resources)
        problems += [f"the handler {name} {problem}" for problem in found.problems]
        if found.handler is None:
            continue
        handlers.append(found.handler)
        owner = owners.setdefault(found.handler.command, name)
        if owner != name or len([each for each in handlers if each.command is found.handler.command]) > 1:
            problems.append(f"{owner} and {name} both handle {found.handler.command.__name__}: keep one of them")
    return handlers, [*problems, *_category_problems(handlers)]


def _category_problems(handlers: Sequence[Handler]) -> list[str]:
    seen: dict[str, type[Aggregate]] = {}
    aggregates = [aggregate for handler in handlers for aggregate in handler.repositories.values()]
    return [
        f"{aggregate.__name__} and {seen[aggregate.category].__name__} share the category {aggregate.category!r}: rename one"
        for aggregate in dict.fromkeys(aggregates)
        if seen.setdefault(aggregate.category, aggregate) is not aggregate
    ]


class _Inspection:
    """What one function says; `handler` is None when it says too little."""

    def __init__(self, function: Callable[..., Any], resources: Sequence[object]) -> None:
        self.problems: list[str] = []
        self.handler: Handler | None = None
        self._resources = resources
        mark = getattr(function, MARK, None)
        if not isinstance(mark, _Mark):
            self.problems.append("is not marked: put @handles(SomeCommand) above it")
        elif not (isinstance(mark.command, type) and issubclass(mark.command, Command)):
            self.problems.append(f"handles {mark.command!r}, which is no Command class")
        elif not mark.command.message_type:
            self.problems.append(f"handles {mark.command.__name__}, which has no written name: give its class type=...")
        elif (hints := self._hints(function)) is not None:
            self._read(function, mark, hints)

    def _hints(self, function: Callable[..., Any]) -> dict[str, Any] | None:
        try:
            return typing.get_type_hints(function)
        except (NameError, TypeError) as error:
            self.problems.append(f"has an annotation that cannot be found ({error}): define its names at module level")
            return None

    def _read(self, function: Callable[..., Any], mark: _Mark, hints: dict[str, Any]) -> None:
        if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            self.problems.append("is async or a generator: write a plain function")
        if mark.takes is not None and mark.takes <= timedelta(0):
            self.problems.append(f"takes {mark.takes}: name the longest time that a call may take")
        handler = Handler(function, mark.command, mark.takes)
        for parameter in inspect.signature(function).parameters.values():
            handler = self._parameter(handler, parameter, hints.get(parameter.name, parameter.empty))
        if not handler.command_name:
            self.problems.append(f"has no parameter annotated {mark.command.__name__}")
        self.handler = self._outcome(handler, hints.get("return", inspect.Signature.empty))

    def _parameter(self, handler: Handler, parameter: inspect.Parameter, hint: Any) -> Handler:
        name = parameter.name
        if parameter.kind not in {parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY}:
            self.problems.append(f"has the parameter {parameter}, which cannot be handed over by name")
        elif hint is parameter.empty:
            self.problems.append(f"says no type for {name}: annotate it")
        elif hint is handler.command:
            return replace(handler, command_name=name)
        elif hint is Call:
            return replace(handler, call_name=name)
        elif typing.get_origin(hint) is Repository:
            return self._repository(handler, name, typing.get_args(hint)[0])
        else:
            return self._resource(handler, parameter, hint)
        return handler

    def _repository(self, handler: Handler, name: str, aggregate: Any) -> Handler:
        if not (isinstance(aggregate, type) and issubclass(aggregate, Aggregate) and aggregate.category):
            self.problems.append(f"asks for {name}: Repository[{aggregate!r}], which is no Aggregate class with a category")
            return handler
        return replace(handler, repositories={**handler.repositories, name: aggregate})

    def _resource(self, handler: Handler, parameter: inspect.Parameter, hint: Any) -> Handler:
        label = getattr(hint, "__name__", repr(hint))
        try:
            found = [resource for resource in self._resources if isinstance(resource, hint)]
        except TypeError:
            self.problems.append(f"asks for {parameter.name}: {label}, which is neither a class nor a runtime_checkable Protocol")
            return handler
        if len(found) == 1:
            return replace(handler, resources={**handler.resources, parameter.name: found[0]})
        if len(found) > 1:
            self.problems.append(f"asks for {parameter.name}: {label}, and {len(found)} resources are one: ask for a narrower class")
        elif parameter.default is parameter.empty:
            self.problems.append(f"asks for {parameter.name}: {label}, and the app has no such thing: add it to resources")
        return handler

    def _outcome(self, handler: Handler, hint: Any) -> Handler:
        if handler.repositories:
            if hint not in {None, type(None), inspect.Signature.empty}:
                self.problems.append("edits an aggregate and returns something: record the outcome in the aggregate and return None")
            return handler
        options = [option for option in typing.get_args(hint) or (hint,) if option is not type(None)]
        outcomes = tuple(event for option in options for event in events_of(option))
        if len(outcomes) < len(options):
            self.problems.append(
                "has neither a Repository nor events as its return type: say which event is the outcome, or -> None where it only asks "
                "and somebody else answers later"
            )
        self.problems += [
            f"returns {event.__name__}, which has no written name: give its class type=..." for event in outcomes if not event.message_type
        ]
        return replace(handler, outcomes=outcomes, asks=not options or type(None) in typing.get_args(hint))
