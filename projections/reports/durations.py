"""How long steps and whole instances take."""

from datetime import timedelta
from typing import NamedTuple

from sqlalchemy import Connection, select

from projections.reports.quantiles import Quantiles, quantiles
from projections.reports.scope import Scope
from projections.shipped.instances import INSTANCES
from projections.shipped.steps import STEPS


class Duration(NamedTuple):
    """How long a step takes from its first command to its answer, by status; where `step` is empty, the process from start to end."""

    process: str
    step: str
    status: str
    attempts: int  # in all
    runs: int
    median: timedelta
    p90: timedelta
    p99: timedelta
    longest: timedelta


def durations(connection: Connection, scope: Scope) -> list[Duration]:
    """Of what has ended, by process and step."""
    whole = select(INSTANCES.c.process, INSTANCES.c.status, INSTANCES.c.ended - INSTANCES.c.started).where(INSTANCES.c.ended.is_not(None))
    spans: dict[tuple[str, str, str], list[int]] = {}
    attempts: dict[tuple[str, str, str], int] = {}
    for process, status, span in connection.execute(scope.instances(whole)):
        spans.setdefault((process, "", status), []).append(span)
    steps = select(STEPS.c.process, STEPS.c.step, STEPS.c.status, STEPS.c.attempts, STEPS.c.ended - STEPS.c.started)
    for process, step, status, tried, span in connection.execute(scope.of(steps.where(STEPS.c.ended.is_not(None)), STEPS, STEPS.c.started)):
        key = (process, step, status)
        spans.setdefault(key, []).append(span)
        attempts[key] = attempts.get(key, 0) + tried
    return [_row(key, attempts.get(key, 0), quantiles(spans[key])) for key in sorted(spans)]


def _row(key: tuple[str, str, str], attempts: int, of: Quantiles) -> Duration:
    return Duration(*key, attempts, of.size, of.median, of.p90, of.p99, of.longest)
