"""Reports: each is a function of a connection to the views and a scope, and returns typed rows. How they look is another's business."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection

from projections.projection import Projection
from projections.reports.compensations import Compensated, compensations
from projections.reports.decisions import Answer, decisions
from projections.reports.durations import Duration, durations
from projections.reports.failures import Failure, failures
from projections.reports.flow import Follows, flow
from projections.reports.history import Throughput, Variant, throughput, variants
from projections.reports.overview import Count, Outcome, outcomes, overview
from projections.reports.scope import Scope
from projections.reports.timeline import Period, timeline
from projections.reports.waiting import Waiting, waiting
from projections.shipped import Commands, Deadlines, Decisions, Events, Failures, Instances, Steps

__all__ = ["REPORTS", "Report", "Scope"]


class Report(NamedTuple):
    """A report: its function, the rows' type, and the projections whose tables it reads."""

    query: Callable[[Connection, Scope], Sequence[Any]]
    row: type[Any]
    reads: Sequence[type[Projection]]


REPORTS: Mapping[str, Report] = {
    "overview": Report(overview, Count, [Instances, Events, Commands, Deadlines]),
    "outcomes": Report(outcomes, Outcome, [Instances]),
    "durations": Report(durations, Duration, [Instances, Steps]),
    "decisions": Report(decisions, Answer, [Instances, Decisions]),
    "failures": Report(failures, Failure, [Instances, Failures]),
    "waiting": Report(waiting, Waiting, [Instances, Commands, Deadlines]),
    "compensations": Report(compensations, Compensated, [Instances, Commands, Failures]),
    "variants": Report(variants, Variant, [Instances, Events]),
    "throughput": Report(throughput, Throughput, [Instances, Events]),
    "timeline": Report(timeline, Period, [Instances]),
    "flow": Report(flow, Follows, [Instances, Events]),
}
"""The reports by name."""
