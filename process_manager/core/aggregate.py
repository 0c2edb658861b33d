"""`Aggregate`: the domain objects that command handlers edit. Pure: neither knows the other, nor the store."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from process_manager.core.evolve import appliers
from process_manager.core.messages import Event
from process_manager.errors import DefinitionError


class Aggregate:
    """An object whose state is made of its events, in a stream `<category>-<id>`.

    Domain methods check the rules and `record` what happened, or raise `Refused`; `@applies` methods, and nothing else,
    change the state. A class without a category is a base for others. Raises DefinitionError when the class is created.

    `__init__` sets the state of an object to which nothing has happened yet; a subclass calls it with the id.
    """

    category: ClassVar[str] = ""
    events: ClassVar[Mapping[str, type[Event]]] = {}  # that it takes in, by their written names
    _appliers: ClassVar[Mapping[type[Event], Callable[..., Any]]] = {}

    def __init_subclass__(cls, *, category: str = "", **rest: Any) -> None:
        super().__init_subclass__(**rest)
        cls.category = category or cls.category
        if problem := _category_problem(cls.category):
            raise DefinitionError(cls.__name__, "", f"the category {cls.category!r} {problem}", "choose another")
        cls._appliers = appliers(cls)
        cls.events = _by_type(cls, cls._appliers)

    def __init__(self, id: str) -> None:
        self.id = id
        self._recorded: list[tuple[Event, str]] = []

    def record(self, event: Event, *, answers: str = "") -> None:
        """Say that this happened. Applied at once; the handler's caller appends it.

        `answers` is for an outcome that became known after its command was handled, such as a bank's late word: the id of
        that command, which the event then names as its cause. Without it the event answers the command that is being handled.
        """
        if not event.message_type:
            raise DefinitionError(type(event).__name__, "", "it has no written name, so it cannot be recorded", "give its class type=...")
        self._recorded.append((event, answers))
        self.apply(event)

    def apply(self, event: Event) -> None:
        """Take in an event, old or new; one that no `@applies` method takes changes nothing."""
        applier = self._appliers.get(type(event))
        if applier is not None:
            applier(self, event)

    def take_recorded(self) -> list[tuple[Event, str]]:
        """What was recorded since the last call, each with the command it answers ("" for the one being handled)."""
        recorded, self._recorded = self._recorded, []
        return recorded


class Refused(Exception):
    """A business rule says no. `event` says so in the log, and is the command's whole outcome: nothing else is recorded."""

    def __init__(self, event: Event) -> None:
        super().__init__(repr(event))
        self.event = event


def _category_problem(category: str) -> str:
    if "-" in category:
        return "holds a '-', which ends the category in a stream's name"
    if category.startswith(("$", "pm.")):
        return "is reserved"
    return ""


def _by_type(cls: type, taken: Mapping[type[Event], Callable[..., Any]]) -> dict[str, type[Event]]:
    found: dict[str, type[Event]] = {}
    for event, applier in taken.items():
        if not event.message_type:
            raise DefinitionError(cls.__name__, applier.__name__, f"{event.__name__} has no written name", "give its class type=...")
        other = found.setdefault(event.message_type, event)
        if other is not event:
            raise DefinitionError(
                cls.__name__, applier.__name__, f"{event.__name__} and {other.__name__} are both written {event.message_type!r}",
                "rename one of them",
            )  # fmt: skip
    return found
