"""`pm deadlines`: what is pending, moved and cancelled by hand."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from process_manager.adapters.deadline_index import SqliteDeadlineIndex
from process_manager.ports import DeadlineChange, PendingDeadline
from tests.interfaces.conftest import Pm
from tests.interfaces.parcels import actions, event, parcels, run

__all__ = ["parcels"]


@pytest.fixture
def sent(parcels: Pm) -> Pm:
    """A parcel, 7, that is weighed by nobody yet, with a last call in two days."""
    parcels("publish", "-", input=event("sent", "7", weight="1"))
    assert parcels("run", "--app", "parcels_first:app", "--until-idle", "--only", "processes").code == 0
    return parcels


def listed(pm: Pm, *args: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(pm("deadlines", "list", *args, "-o", "json").out)
    return rows


def test_of_one_instance_and_of_all_are_the_same(sent: Pm) -> None:
    rows = listed(sent)
    assert [(row["instance"], row["name"].partition("/")[0], row["generation"]) for row in rows] == [
        ("parcel-7", "weighing", 1), ("parcel-7", "last_call", 1),
    ]  # fmt: skip
    assert listed(sent, "parcel", "7") == rows == listed(sent, "--process", "parcel")
    assert sent("deadlines", "list", "--process", "other").code == 4
    assert "last_call" in sent("deadlines", "list").out
    assert sent("deadlines", "list", "parcel", "9").code == 4


def test_deadlines_of_a_key_with_a_quote_are_listed_as_well(parcels: Pm) -> None:
    parcels("publish", "-", input=event("sent", '7"b\\', weight="1"))
    assert parcels("run", "--app", "parcels_first:app", "--until-idle", "--only", "processes").code == 0
    assert [row["name"].partition("/")[0] for row in listed(parcels)] == ["weighing", "last_call"]
    assert listed(parcels, "parcel", '7"b\\') == listed(parcels)


def test_what_is_met_moved_or_over_is_not_pending(sent: Pm) -> None:
    run(sent, "parcels_first")
    assert [row["name"] for row in listed(sent)] == ["last_call"]
    sent("publish", "-", input=event("moved", "7"))
    run(sent, "parcels_first")
    assert listed(sent) == []


def test_a_deadline_is_moved_and_cancelled_by_hand(sent: Pm) -> None:
    before = {row["name"].partition("/")[0]: row["due"] for row in listed(sent)}
    moved = sent("deadlines", "move", "parcel", "7", "last_call", "--to", "2031-01-01", "--reason", "a strike", "--actor", "ann")
    assert moved.code == 0
    assert sent("deadlines", "move", "parcel-7", "weighing", "--by", "3h", "--reason", "a queue").code == 0
    assert sent("run", "--app", "parcels_first:app", "--until-idle", "--only", "processes").code == 0
    after = {row["name"].partition("/")[0]: row["due"] for row in listed(sent)}
    assert after["last_call"] == "2031-01-01T00:00:00Z"
    assert datetime.fromisoformat(after["weighing"]) - datetime.fromisoformat(before["weighing"]) == timedelta(hours=3)
    assert listed(sent, "parcel-7") == listed(sent)
    assert "move-deadline by ann: a strike" in sent("show", "parcel-7").out
    assert sent("deadlines", "cancel", "parcel", "7", "last_call", "--reason", "no call").code == 0
    run(sent, "parcels_first")
    assert listed(sent) == []


def test_a_request_is_done_once(sent: Pm) -> None:
    line = ("deadlines", "cancel", "parcel", "7", "last_call", "--reason", "no call", "--actor", "ann", "--request", "r1")
    assert sent(*line).code == 0
    run(sent, "parcels_first")
    assert sent(*line).code == 0
    assert len(actions()) == 1


def test_a_deadline_that_cannot_be_moved_or_cancelled_is_refused(sent: Pm) -> None:
    assert sent("deadlines", "cancel", "parcel-7", "weighing", "--reason", "x").code == 3
    missing = sent("deadlines", "cancel", "parcel-7", "nothing", "--reason", "x")
    assert missing.code == 4
    assert "pending: weighing/" in missing.err
    for wrong in (["parcel-7"], ["parcel-7", "last_call"], ["parcel-7", "last_call", "--by", "2 days"]):
        assert sent("deadlines", "move", *wrong, "--reason", "x").code == 2, wrong
    for far in (["--to", "9999-12-31T23:59:59-12:00"], *([["--by", "999999d"]] * 3)):
        answer = sent("deadlines", "move", "parcel-7", "last_call", "--reason", "x", *far)
        assert "Traceback" not in answer.err
        assert answer.code in {0, 2}
        run(sent, "parcels_first")
    assert len(actions()) == 2


def test_an_index_of_many_hands_them_out_in_due_order(tmp_path: Path) -> None:
    index, start = SqliteDeadlineIndex(tmp_path / "index"), datetime(2026, 1, 1, tzinfo=UTC)
    count = 30_000
    changes = {
        (f"p-{number}", "pay"): DeadlineChange(
            number, PendingDeadline(f"p-{number}", "pay", 1, start + timedelta(seconds=number * 7919 % count), "c", "m")
        )
        for number in range(count)
    }
    index.apply(changes, count)
    assert index.count() == count
    dues = [each.due for each in index.pending()]
    assert dues == sorted(dues)
    assert len(dues) == count
    assert [each.due for each in index.due(start + timedelta(seconds=2), 9)] == dues[:3]
    index.close()
