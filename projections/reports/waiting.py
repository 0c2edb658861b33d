"""What waits, for what and since when."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, and_, func, or_, select

from process_manager.core.instance import ENDED
from projections.reports.scope import Scope
from projections.shipped.commands import COMMANDS
from projections.shipped.deadlines import DEADLINES
from projections.shipped.instances import INSTANCES, SHOWN_OUTCOME, in_life
from projections.times import moment


class Waiting(NamedTuple):
    """One thing that an instance waits for. `what` is operator, answer, deadline, retry, expiry or event.

    For an answer, and the next attempt of a step, `since` is when it was asked for first.
    """

    instance: str
    process: str
    version: int
    status: str
    what: str
    waits_for: str
    since: datetime
    due: datetime | None


def waiting(connection: Connection, scope: Scope) -> list[Waiting]:
    """Instances that have not ended, each with all it waits for; what waits longest first.

    One that waits for no answer, deadline or operator waits for an event from outside. Of those that have ended there are the answers
    to undo commands: a success that came after the end is undone as well.
    """
    found = [*_operators(connection, scope), *_answers(connection, scope), *_deadlines(connection, scope)]
    named = {row.instance for row in found if row.status not in ENDED}
    found += [row for row in _others(connection, scope) if row.instance not in named]
    return sorted(found, key=lambda row: (row.since, row.instance, row.what, row.waits_for))


_OF = (INSTANCES.c.instance, INSTANCES.c.process, INSTANCES.c.version, INSTANCES.c.status)
_GOES_ON = INSTANCES.c.stage.not_in(ENDED)
_IS_UNDONE = and_(COMMANDS.c.undoes != "", INSTANCES.c.stage != "cancelled")
_FIRST = COMMANDS.alias()
_FIRST_OF = and_(_FIRST.c.operation == COMMANDS.c.operation, _FIRST.c.attempt == 1)


def _operators(connection: Connection, scope: Scope) -> list[Waiting]:
    query = select(*_OF, SHOWN_OUTCOME, INSTANCES.c.since).where(INSTANCES.c.status.in_(("suspended", "compensation_failed")))
    return [Waiting._make([*row[:4], "operator", row[4], moment(row[5]), None]) for row in connection.execute(scope.instances(query))]


def _answers(connection: Connection, scope: Scope) -> list[Waiting]:
    c = COMMANDS.c
    deadline = and_(DEADLINES.c.instance == c.instance, DEADLINES.c.name == c.step + "/" + c.operation)  # as it stands, moved or not
    tables = INSTANCES.join(COMMANDS, in_life(COMMANDS)).outerjoin(_FIRST, _FIRST_OF).outerjoin(DEADLINES, deadline)
    asked = func.coalesce(_FIRST.c.issued, c.issued)
    query = select(*_OF, c.step, c.run, asked, DEADLINES.c.due).select_from(tables)
    query = query.where(c.status == "outstanding", or_(_GOES_ON, _IS_UNDONE))
    found = connection.execute(scope.instances(query))
    return [Waiting._make([*row[:4], "answer", _named(row[4], row[5]), moment(row[6]), row[7] and moment(row[7])]) for row in found]


def _named(step: str, run: str) -> str:
    return f"{step} [{run}]" if run else step


def _deadlines(connection: Connection, scope: Scope) -> list[Waiting]:
    """Of a step that is to be tried again, its run and when it was asked for first."""
    d, c = DEADLINES.c, _FIRST.c
    step = and_(c.instance == d.instance, d.name == c.step + "/" + c.operation, c.attempt == 1)
    tables = INSTANCES.join(DEADLINES, in_life(DEADLINES)).outerjoin(_FIRST, step)
    query = select(*_OF, d.kind, d.about, func.coalesce(c.run, ""), func.coalesce(c.issued, d.set_at), d.due).select_from(tables)
    found = connection.execute(scope.instances(query.where(d.kind != "answer")))
    return [Waiting._make([*row[:5], _named(row[5], row[6]), moment(row[7]), moment(row[8])]) for row in found]


def _others(connection: Connection, scope: Scope) -> list[Waiting]:
    query = select(*_OF, INSTANCES.c.updated).where(_GOES_ON)
    return [Waiting._make([*row[:4], "event", "", moment(row[4]), None]) for row in connection.execute(scope.instances(query))]
