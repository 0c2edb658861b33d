"""What a user hands over, checked as a whole before anything runs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from process_manager.core.aggregate import Aggregate
from process_manager.core.definition import Definition, messages_of
from process_manager.core.messages import Command, Message
from process_manager.core.process import ProcessManager
from process_manager.errors import AppError
from process_manager.runtime.handlers import bind_handlers, check_handlers, command_of


@dataclass(frozen=True)
class App:
    """Process managers and command handlers that run together. Raises AppError with everything that is wrong."""

    name: str
    """Stands in the names of the consumer groups, so it stays the same for ever."""

    processes: Sequence[type[ProcessManager[Any]]] = ()
    """The classes; each `definition.name` once."""

    handlers: Sequence[Callable[..., Any]] = ()
    """Functions marked with `@handles`. Where they stand in a variable of their own, let it be a tuple: mypy takes a list of functions with
    different parameters for no list of callables."""

    resources: Sequence[object] = ()
    """What handlers ask for by its class, such as a client of a bank."""

    definitions: dict[str, Definition] = field(init=False, repr=False, default_factory=dict)
    """The definitions by process name."""

    def __post_init__(self) -> None:
        if isinstance(self.processes, type) or callable(self.handlers):
            raise AppError(["processes and handlers are lists: write processes=[...], handlers=[...]"])
        problems = [*_name_problems(self.name), *self._process_problems(), *check_handlers(self.handlers, self.resources)]
        problems += self._message_problems()
        problems = problems or [*self._outcome_problems(), *self._category_problems()]
        if problems:
            raise AppError(problems)

    @property
    def handled_commands(self) -> dict[str, type[Command]]:
        """The commands that this app's handlers take, by type name."""
        return {command.message_type: command for command in map(command_of, self.handlers)}

    @property
    def known_types(self) -> frozenset[str]:
        """The types of messages that its processes take, its aggregates apply, and its handlers carry out."""
        taken = (each.handled for each in self.definitions.values())
        return frozenset(self.handled_commands).union(*taken, *(each.events for each in self._aggregates()))

    @property
    def messages(self) -> dict[str, type[Message]]:
        """The classes that its handlers, aggregates and processes name, by type name."""
        events = (event for aggregate in self._aggregates() for event in aggregate.events.values())
        named = (message for definition in self.definitions.values() for message in messages_of(definition))
        return {each.message_type: each for each in (*self.handled_commands.values(), *events, *named)}

    def _aggregates(self) -> list[type[Aggregate]]:
        """Those that its handlers edit."""
        handlers = bind_handlers(self.handlers, self.resources)
        return list(dict.fromkeys(each for handler in handlers for each in handler.repositories.values()))

    def _process_problems(self) -> list[str]:
        problems = []
        for number, process in enumerate(self.processes):
            definition = getattr(process, "definition", None)
            if not isinstance(definition, Definition):
                problems.append(f"{process!r} is no ProcessManager class")
            elif process in self.processes[:number]:
                problems.append(f"{process.__name__} stands twice in processes=[...]: name it once")
            elif self.definitions.setdefault(definition.name, definition) is not definition:
                problems.append(f"two processes are called {definition.name!r}: give one of them name=...")
        return problems

    def _message_problems(self) -> list[str]:
        seen: dict[str, type[Message]] = {}
        commands = [command_of(handler) for handler in self.handlers if not check_handlers([handler], self.resources)]
        messages = [*commands, *(each for definition in self.definitions.values() for each in messages_of(definition))]
        return [
            f"{message.__name__} and {seen[message.message_type].__name__} are both written {message.message_type!r}"
            for message in messages
            if seen.setdefault(message.message_type, message) is not message
        ]

    def _outcome_problems(self) -> list[str]:
        """Handlers whose outcome is no answer to the step that asks for it; that step would wait until it is overdue."""
        answers: dict[type[Command], set[type]] = {}
        for step in (step for definition in self.definitions.values() for step in definition.steps.values()):
            answers.setdefault(step.command, set()).update((*step.done, *step.failed))
        return [
            f"the handler {handler.name} may return {event.__name__}, which no step takes as an answer to {handler.command.__name__}"
            for handler in bind_handlers(self.handlers, self.resources)
            for event in handler.outcomes
            if handler.command in answers and event not in answers[handler.command]
        ]

    def _category_problems(self) -> list[str]:
        """A process and an aggregate of one name would write to the same streams."""
        return [
            f"the process {each.category!r} and the aggregate {each.__name__} would share streams: give one of them another name"
            for each in self._aggregates()
            if each.category in self.definitions
        ]


def _name_problems(name: str) -> list[str]:
    if name and all(letter.isalnum() or letter == "_" for letter in name):
        return []
    return [f"the app's name {name!r} must be letters, digits and underscores"]
