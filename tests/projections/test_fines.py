"""The reports on a sample of the recorded fines, beside what plain Python makes of the same file."""

import csv
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from statistics import median, quantiles
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from process_manager.adapters.memory import MemoryStore
from process_manager.examples.fine_collection import fine_collection
from process_manager.examples.fine_collection.recording import Recording
from process_manager.examples.fine_collection.replay import Replay
from process_manager.examples.fine_collection.views import fines, outcomes, total_paid
from process_manager.interfaces import bootstrap
from projections.as_of import as_of
from projections.reports import REPORTS, Scope
from projections.reports.durations import durations
from projections.reports.history import throughput, variants
from projections.reports.overview import overview
from projections.runner import Runner
from projections.shipped import SHIPPED
from projections.times import micros
from projections.views import Views

SAMPLE = Path(__file__).parents[1] / "examples" / "fines.csv"
ROME = ZoneInfo("Europe/Rome")
TYPES = {
    "Create Fine": "fine-created", "Send Fine": "fine-sent", "Insert Fine Notification": "fine-notified", "Add penalty": "penalty-added",
    "Payment": "payment-received", "Send for Credit Collection": "sent-to-collection", "Send Appeal to Prefecture": "appeal-forwarded",
    "Insert Date Appeal to Prefecture": "appeal-lodged", "Receive Result Appeal from Prefecture": "appeal-result-received",
    "Notify Result Appeal to Offender": "offender-notified", "Appeal to Judge": "appealed-to-judge",
}  # fmt: skip
DAYS = [date(2004, 1, 9), date(2004, 2, 29), date(2004, 4, 1), date(2004, 11, 13), date(2004, 11, 14), date(2030, 1, 1)]


def rows_until(day: date | None = None) -> list[dict[str, str]]:
    with SAMPLE.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if day is None or date.fromisoformat(row["date"]) <= day]
    return sorted(rows, key=lambda row: (row["date"], row["case"], int(row["pos"])))


def by_case(rows: list[dict[str, str]]) -> dict[str, list[dict[str, str]]]:
    found: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        found.setdefault(row["case"], []).append(row)
    return found


def start_of(day: date) -> datetime:
    return datetime.combine(day, time(), ROME).astimezone(UTC)


def outcome(case: list[dict[str, str]]) -> str:
    activities = {row["activity"] for row in case}
    owed = [Decimal(row["amount"]) for row in case if row["activity"] in {"Create Fine", "Add penalty"}][-1]
    owed += sum((Decimal(row["expense"]) for row in case if row["activity"] == "Send Fine"), Decimal(0))
    paid = sum((Decimal(row["paymentAmount"]) for row in case if row["activity"] == "Payment"), Decimal(0))
    if "Send for Credit Collection" in activities:
        return "credit_collection"
    if any(row["dismissal"] == "G" or (row["dismissal"] == "#" and row["activity"] == "Send Appeal to Prefecture") for row in case):
        return "dismissed"
    if paid >= owed:
        return "fully_paid"
    if paid > 0:
        return "partly_paid"
    return "appeal_open" if activities & {"Send Appeal to Prefecture", "Appeal to Judge"} else "unpaid_open"


@pytest.fixture(scope="module")
def store() -> MemoryStore:
    opened = MemoryStore()
    with closing(bootstrap.build(fine_collection("charge-always"), "memory:", opened, clock="driven")) as worker:
        Replay(worker, opened, Recording.read(SAMPLE), lambda _day, _done: None).run()
    return opened


@pytest.fixture(scope="module")
def built(store: MemoryStore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Views]:
    with closing(Views(f"sqlite:///{tmp_path_factory.mktemp('views')}/views.db")) as views:
        Runner(store, views, [*SHIPPED, fines]).run(until_idle=True)
        yield views


def report(views: Views, name: str, scope: Scope | None = None) -> list[Any]:
    with views.read() as connection:
        return list(REPORTS[name].query(connection, scope or Scope()))


def test_activities_are_counted(built: Views) -> None:
    expected = Counter(f"fines.{TYPES[row['activity']]}" for row in rows_until())
    assert {each.name: each.number for each in report(built, "overview") if each.what == "event"} == expected


def test_outcomes_are_those_of_the_file(built: Views) -> None:
    with built.read() as connection:
        assert outcomes(connection) == Counter(outcome(case) for case in by_case(rows_until()).values())
        assert total_paid(connection) == sum(Decimal(row["paymentAmount"]) for row in rows_until() if row["activity"] == "Payment")


def test_variants_are_the_sequences_of_the_file(built: Views) -> None:
    expected = Counter(tuple(f"fines.{TYPES[row['activity']]}" for row in case) for case in by_case(rows_until()).values())
    with built.read() as connection:
        found = variants(connection, Scope())
    assert {each.events: each.instances for each in found} == expected
    assert sum(each.share for each in found) == pytest.approx(1)


def test_throughput_runs_from_the_first_to_the_last_event_of_every_case(built: Views) -> None:
    spans = [
        (start_of(date.fromisoformat(case[-1]["date"])) - start_of(date.fromisoformat(case[0]["date"]))).total_seconds()
        for case in by_case(rows_until()).values()
    ]
    with built.read() as connection:
        (found,) = throughput(connection, Scope())
    assert (found.instances, found.events) == (len(spans), len(rows_until()))
    assert found.median.total_seconds() == median(spans)
    assert found.p90.total_seconds() == pytest.approx(quantiles(spans, n=10, method="inclusive")[8])
    assert found.longest.total_seconds() == max(spans)


def test_a_step_takes_from_its_command_to_its_answer(built: Views) -> None:
    """The fine is sent some days after it was created, which is when the command is given."""
    spans = []
    for case in by_case(rows_until()).values():
        dates = {row["activity"]: date.fromisoformat(row["date"]) for row in case}
        if "Send Fine" in dates:
            spans.append((start_of(dates["Send Fine"]) - start_of(dates["Create Fine"])).total_seconds())
    with built.read() as connection:
        (found,) = [each for each in durations(connection, Scope()) if each.step == "send_fine"]
    assert (found.status, found.runs, found.attempts) == ("done", len(spans), len(spans))
    assert found.median.total_seconds() == median(spans)


@pytest.mark.parametrize("day", DAYS)
def test_a_day_in_the_past_is_told_as_it_was_then(store: MemoryStore, day: date) -> None:
    rows = rows_until(day)
    cases = by_case(rows)
    notified = [date.fromisoformat(row["date"]) for row in rows if row["activity"] == "Insert Fine Notification"]
    with as_of(store, micros(start_of(day + timedelta(days=1))), [*SHIPPED, fines], batch=40) as then, then.read() as connection:
        counts = overview(connection, Scope())
        assert sum(each.number for each in counts if each.what == "status") == len(cases)
        assert sum(each.number for each in counts if each.what == "event") == len(rows)
        assert sum(each.number for each in counts if each.what == "pending") == sum(each + timedelta(days=60) > day for each in notified)
        assert outcomes(connection) == Counter(outcome(case) for case in cases.values())
        assert total_paid(connection) == sum(Decimal(row["paymentAmount"]) for row in rows if row["activity"] == "Payment")


def test_reports_keep_to_their_scope(built: Views) -> None:
    since, until = date(2004, 2, 1), date(2004, 5, 1)
    began = {case: date.fromisoformat(rows[0]["date"]) for case, rows in by_case(rows_until()).items()}
    inside = [case for case, day in began.items() if since <= day < until]
    scope = Scope(since=micros(start_of(since)), until=micros(start_of(until)))
    assert 0 < len(inside) < len(began)
    assert sum(each.instances for each in report(built, "outcomes", scope)) == len(inside)
    assert sum(each.instances for each in report(built, "variants", scope)) == len(inside)
    assert sum(each.instances for each in report(built, "throughput", scope)) == len(inside)
    completed = Scope(status="completed")
    assert sum(each.instances for each in report(built, "variants", completed)) == 2
    for name in REPORTS:
        assert report(built, name, Scope(process="another")) == []
        assert report(built, name, Scope(version=7)) == []
    for name in ("overview", "outcomes", "decisions", "waiting", "variants", "throughput", "durations"):
        assert report(built, name, Scope(version=1, process="fine_collection")) == report(built, name)
