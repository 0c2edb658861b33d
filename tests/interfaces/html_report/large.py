"""Reports of many events with long names."""

from datetime import UTC, datetime

from process_manager.interfaces.html_report.page import About, render
from projections.reports.flow import START, Follows
from projections.reports.waiting import Waiting

_NOW = datetime(2026, 1, 5, tzinfo=UTC)
_KEY = "k" * 500
_NAMES = [START, *(f"warehouse.a-rather-long-name-of-event-{number}" for number in range(35)), "(completed)"]
_PAIRS = [(source, target) for source in _NAMES[:-1] for target in _NAMES[1:]]


def page() -> str:
    """A table with a key of the greatest length, and a flow in which everything follows everything."""
    flow = [Follows("p", *pair, 2_000 - number, 2_000 - number, None) for number, pair in enumerate(_PAIRS)]
    waiting = [Waiting(f"p-{_KEY}", "p", 1, "running", "answer", "a_step", _NOW, _NOW)]
    return render({"flow": flow, "waiting": waiting}, About(_NOW, 7, "", []))
