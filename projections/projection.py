"""What a projection is: the records it reads, the tables it writes, and how one becomes the other."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, TypeVar

from sqlalchemy import Table

from process_manager.core.facts import Fact, StepStarted
from process_manager.core.messages import Message as Model
from process_manager.errors import DefinitionError
from process_manager.ports import EVERYTHING, Filter
from projections.message import Message
from projections.rows import Rows

F = TypeVar("F", bound=Callable[..., None])

Handler = Callable[[Message, Rows], None]

COMMAND = StepStarted.fact_type
"""Stands for every command that an instance issues, whatever its type: `@reads(StepStarted)`."""


def reads(*what: type[Model] | type[Fact] | str) -> Callable[[F], F]:
    """Marks a method `(self, message, rows)` of a projection: it is called with each record of these types, in the order of the log.

    A type is named by its class or as it is written in the log. `StepStarted` means every command that an instance issues.
    """
    types = tuple(_written(each) for each in what)

    def mark(method: F) -> F:
        method.reads = types  # type: ignore[attr-defined]  # read back in __init_subclass__
        return method

    return mark


def _written(what: type[Model] | type[Fact] | str) -> str:
    if isinstance(what, str):
        return what
    return what.fact_type if issubclass(what, Fact) else what.message_type


class Projection:
    """A base for projections: `class Orders(Projection, name="orders", version=1, tables=[...])`.

    `version` counts up when the tables or what stands in them change; the tables are then to be rebuilt. A method marked with `@reads`
    must depend on nothing but its message and its own tables, so that a rebuild writes the same rows again.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    tables: ClassVar[Sequence[Table]]
    methods: ClassVar[dict[str, str]] = {}

    def __init_subclass__(cls, *, name: str, tables: Sequence[Table], version: int = 1, **more: Any) -> None:
        """Raises DefinitionError."""
        super().__init_subclass__(**more)
        cls.name, cls.version, cls.tables = name, version, tuple(tables)
        cls.methods = {type_: attribute for attribute, value in vars(cls).items() for type_ in getattr(value, "reads", ())}
        _check(cls)

    @property
    def where(self) -> Filter:
        """The records it reads. Commands have types of their own, so who reads them looks at every record."""
        return EVERYTHING if COMMAND in self.methods else Filter(types=frozenset(self.methods))

    def handler(self, type_: str) -> Handler | None:
        """The method that reads this type."""
        found: Handler | None = getattr(self, self.methods[type_]) if type_ in self.methods else None
        return found


def _check(cls: type[Projection]) -> None:
    if not cls.methods:
        raise DefinitionError(cls.__name__, "", "it reads nothing", "mark a method with @reads(...)")
    if not cls.tables:
        raise DefinitionError(cls.__name__, "", "it writes no table", "name them: tables=[...]")
    for table in cls.tables:
        if not table.primary_key.columns:
            raise DefinitionError(cls.__name__, table.name, "has no primary key", "give it one: rows are changed by their key")
