"""The list of instances."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, func, select

from projections.reports.scope import Scope
from projections.shipped.instances import INSTANCES, SHOWN_OUTCOME, SHOWN_STATUS
from projections.times import moment


class Listed(NamedTuple):
    """An instance as it stands."""

    instance: str
    process: str
    key: str
    status: str
    life: int
    version: int
    started: datetime | None
    updated: datetime
    outcome: str


def instances(connection: Connection, scope: Scope, limit: int | None = None) -> list[Listed]:
    """The instances of a scope in the order of their first record, at most `limit`."""
    i = INSTANCES.c
    query = select(i.instance, i.process, i.key, SHOWN_STATUS, i.life, i.version, i.started, i.updated, SHOWN_OUTCOME)
    found = connection.execute(scope.instances(query).order_by(i.first_position).limit(limit))
    return [Listed._make([*row[:6], None if row[6] is None else moment(row[6]), moment(row[7]), row[8]]) for row in found]


def count(connection: Connection, scope: Scope) -> int:
    """How many there are."""
    return int(connection.execute(scope.instances(select(func.count()).select_from(INSTANCES))).scalar_one())
