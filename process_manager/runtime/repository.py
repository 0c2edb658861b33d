"""`Repository`: how a handler gets its aggregates."""

from types import TracebackType
from typing import Any, Generic, Protocol

from typing_extensions import TypeVar

from process_manager.core.aggregate import Aggregate

A = TypeVar("A", bound=Aggregate)


class Source(Protocol):
    """Where repositories take aggregates from while a command is handled; the unit of work is one."""

    def edit(self, aggregate: type[Aggregate], id_: str) -> Any:
        """The aggregate that this command edits."""

    def get(self, aggregate: type[Aggregate], id_: str) -> Any:
        """An aggregate as it stands."""


class Repository(Generic[A]):
    """The aggregates of one class, as a handler gets them."""

    __slots__ = ("_aggregate", "_source")

    def __init__(self, aggregate: type[A], source: Source) -> None:
        self._aggregate = aggregate
        self._source = source

    def edit(self, id: str) -> "Edit[A]":
        """`with repository.edit(id) as it:` the one aggregate that the command edits, new if nothing ever happened to it.

        What it records is one append, after the handler, at the version that was read here. Ends the handler when the aggregate holds an
        event of this operation already. Raises HandlerError when the command has edited before.
        """
        return Edit(self._source.edit(self._aggregate, id))

    def get(self, id: str) -> A:
        """Any aggregate as it stands, to look at; recording something on it is a HandlerError."""
        aggregate: A = self._source.get(self._aggregate, id)
        return aggregate


class Edit(Generic[A]):
    """An edit under way; an exception out of it, `Refused` included, goes on to whoever called the handler."""

    __slots__ = ("_aggregate",)

    def __init__(self, aggregate: A) -> None:
        self._aggregate = aggregate

    def __enter__(self) -> A:
        return self._aggregate

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        return None
