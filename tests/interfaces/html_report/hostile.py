"""Reports whose texts come from somebody who means harm."""

from datetime import UTC, datetime, timedelta
from typing import Any

from process_manager.interfaces.html_report.page import About, render
from projections.reports.compensations import Compensated
from projections.reports.decisions import Answer
from projections.reports.durations import Duration
from projections.reports.failures import Failure
from projections.reports.flow import START, Follows
from projections.reports.history import Throughput, Variant
from projections.reports.overview import Count, Outcome
from projections.reports.timeline import Period
from projections.reports.waiting import Waiting

SCRIPT = "<script>document.title = 'taken'</script>"
IMAGE = "\"'><img src=x onerror=\"document.title='taken'\">"
CLOSING = "</title></svg></style></table><iframe src=https://example.org>"
BAD = f"{SCRIPT}{IMAGE}{CLOSING}&amp;{{{{ 7 * 7 }}}} \\ ' datum.label"

_NOW = datetime(2026, 1, 5, tzinfo=UTC)
_SPAN = timedelta(seconds=5)

ROWS: dict[str, list[Any]] = {
    "outcomes": [Outcome(BAD, 1, "completed", BAD, 1, 1.0)],
    "timeline": [Period(BAD, _NOW, _SPAN, 1, 0, 1), Period(BAD, _NOW + _SPAN, _SPAN, 0, 1, 0)],
    "flow": [Follows(BAD, START, BAD, 1, 1, None), Follows(BAD, BAD, "(completed)", 1, 1, None)],
    "waiting": [Waiting(f"{BAD}-{BAD}", BAD, 1, "running", "answer", BAD, _NOW, None)],
    "failures": [Failure(BAD, BAD, BAD, BAD, 1, 1, _NOW, _NOW, BAD)],
    "compensations": [Compensated(BAD, BAD, 1, 1, 0, 0, 1, 1, _SPAN, None)],
    "durations": [Duration(BAD, BAD, BAD, 1, 1, _SPAN, _SPAN, _SPAN, _SPAN)],
    "decisions": [Answer(BAD, 1, BAD, BAD, 1, 1.0, 1, BAD, _NOW, _NOW)],
    "variants": [Variant(BAD, 1, 1.0, (BAD, BAD, "fine"))],
    "throughput": [Throughput(BAD, 1, 2, _SPAN, _SPAN, _SPAN, _SPAN)],
    "overview": [Count(BAD, "status", BAD, 1), Count(BAD, "event", BAD, 2)],
}


def page() -> str:
    """Every part of the page, with such texts wherever a text may stand."""
    return render(ROWS, About(_NOW, 7, "", [("process", BAD)]))
