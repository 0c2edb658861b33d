"""What was decided, how often, and why."""

from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, distinct, func, select

from projections.reports.scope import Scope
from projections.shipped.decisions import DECISIONS
from projections.times import moment


class Answer(NamedTuple):
    """An answer to a question by instances of a version; `share` of the question's answers, `because` one of its `reasons`."""

    process: str
    version: int
    question: str
    answer: str
    times: int
    share: float
    reasons: int
    because: str
    first: datetime
    last: datetime


def decisions(connection: Connection, scope: Scope) -> list[Answer]:
    """Answers by question, the most frequent first."""
    d = DECISIONS.c
    what = (d.process, d.version, d.question, d.answer)
    query = select(*what, func.count(), func.count(distinct(d.because)), func.min(d.because), func.min(d.decided), func.max(d.decided))
    if scope.version is not None:  # that of the decision, which an earlier life may have taken
        query = query.where(d.version == scope.version)
    query = replace(scope, version=None).of(query, DECISIONS, d.decided).group_by(*what)
    found = connection.execute(query).all()
    totals: dict[tuple[str, int, str], int] = {}
    for process, version, question, _, count, *_rest in found:
        totals[process, version, question] = totals.get((process, version, question), 0) + count
    rows = [
        Answer(
            process, version, question, answer, count, count / totals[process, version, question], reasons, because, moment(a), moment(z)
        )
        for process, version, question, answer, count, reasons, because, a, z in found
    ]
    return sorted(rows, key=lambda row: (row.process, row.version, row.question, -row.times, row.answer))
