"""Which part of the views a report is about. Each life of an instance counts as one."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, ColumnElement, Select, Table

from projections.shipped.instances import INSTANCES, in_life


@dataclass(frozen=True, slots=True)
class Scope:
    """A process, a version of its definition, a status, a span of time; what is left out does not limit the report."""

    process: str = ""
    version: int | None = None
    status: str = ""
    since: int | None = None  # microseconds since 1970, inclusive
    until: int | None = None  # exclusive

    def instances(self, query: Select[Any]) -> Select[Any]:
        """A query over lives of instances: those of the scope that started in its span."""
        query = query.where(*self._of_instance(), *self._span(INSTANCES.c.started))
        return query.where(INSTANCES.c.process == self.process) if self.process else query

    def of(self, query: Select[Any], table: Table, time: "Column[Any] | None" = None) -> Select[Any]:
        """A query over a table with rows of lives: with `time`, those of the span; else those of lives that started in it."""
        if self.process:
            query = query.where(table.c.process == self.process)
        conditions = self._of_instance() if time is not None else [*self._of_instance(), *self._span(INSTANCES.c.started)]
        if conditions:
            query = query.where(in_life(table), *conditions)
        return query if time is None else query.where(*self._span(time))

    def _of_instance(self) -> list[ColumnElement[bool]]:
        found: list[ColumnElement[bool]] = []
        if self.version is not None:
            found.append(INSTANCES.c.version == self.version)
        if self.status:
            found.append(INSTANCES.c.status == self.status)
        return found

    def _span(self, time: "Column[Any]") -> list[ColumnElement[bool]]:
        found: list[ColumnElement[bool]] = []
        if self.since is not None:
            found.append(time >= self.since)
        if self.until is not None:
            found.append(time < self.until)
        return found
