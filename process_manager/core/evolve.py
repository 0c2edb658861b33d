"""`@applies`: the methods by which a state or an aggregate takes in an event, found by their annotation."""

import inspect
import typing
from collections.abc import Callable
from typing import Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict

from process_manager.core.messages import Event
from process_manager.errors import DefinitionError

F = TypeVar("F", bound=Callable[..., Any])
APPLIES = "__applies__"


def applies(function: F) -> F:
    """Marks a method as the one that takes in the event of its parameter's annotation."""
    setattr(function, APPLIES, True)
    return function


def events_of(annotation: Any) -> tuple[type[Event], ...]:
    """The event classes of an annotation: one, or a union of them; () when it holds anything else."""
    options = typing.get_args(annotation) or (annotation,)
    if all(isinstance(option, type) and issubclass(option, Event) for option in options):
        return tuple(options)
    return ()


def hints_of(owner: str, function: Callable[..., Any]) -> dict[str, Any]:
    """The resolved annotations of a method, without that of `self`. Raises DefinitionError when a name in them cannot be found."""
    try:
        hints = typing.get_type_hints(function)
        hints.pop(next(iter(inspect.signature(function).parameters), ""), None)
        return hints
    except NameError as error:
        raise DefinitionError(
            owner, function.__name__, f"its annotation names {error.name!r}, which cannot be found", "define it at module level"
        ) from error


def appliers(cls: type) -> dict[type[Event], Callable[..., Any]]:
    """The `@applies` methods of a class by event. Raises DefinitionError for a missing or doubled one."""
    found: dict[type[Event], Callable[..., Any]] = {}
    for name in dir(cls):
        function = getattr(cls, name, None)
        if not getattr(function, APPLIES, False) or function is None:
            continue
        hints = hints_of(cls.__name__, function)
        hints.pop("return", None)
        events = events_of(next(iter(hints.values()), None))
        if not events:
            raise DefinitionError(
                cls.__name__, name, "no parameter is annotated with an event", "annotate it with the event that it takes in"
            )
        for event in events:
            if event in found:
                raise DefinitionError(
                    cls.__name__, name, f"{event.__name__} is taken in by {found[event].__name__} too", "keep one of them"
                )
            found[event] = function
    return found


class State(BaseModel):
    """What a definition remembers beyond its steps and events: frozen; `@applies` methods return the next one."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    def but(self, **changes: Any) -> Self:
        """This state with some fields changed, validated. Raises TypeError for a field that it has not, pydantic.ValidationError."""
        if unknown := changes.keys() - type(self).model_fields:
            names, fields = (", ".join(map(repr, sorted(each))) for each in (unknown, type(self).model_fields))
            raise TypeError(f"{type(self).__name__} has no field {names}: it has {fields}")
        return self.__class__(**{**dict(self), **changes})
