"""A story is told from records alone."""

from datetime import timedelta

from process_manager import hours, minutes
from process_manager.core.records import Record
from process_manager.core.story import story
from process_manager.testing.scenario import scenario
from tests.core.processes import Broken, Purchase, Quorum, Sale
from tests.core.samples import DECLINED, PAID, began, given_back, taken


def test_the_story_of_a_compensated_purchase_has_a_line_for_each_fact() -> None:
    case = scenario(Purchase).given(began("a"), taken("a"), DECLINED, given_back("a"))
    assert [line.text for line in story(case.records)] == [
        "t.began: started",
        "taking [a]: t.take, answer due 2026-01-01 01:00:00",
        "t.taken: taking [a] is done",
        "all of taking: reached",
        "paying: t.pay, answer due 2026-01-01 02:00:00",
        "t.declined: paying failed",
        "compensating: declined",
        "giving_back [a]: t.give-back, undoes taking [a], answer due 2026-01-01 01:00:00",
        "t.given-back: giving_back [a] is done",
        "compensated: declined",
    ]
    assert str(story(case.records)[0]) == "2026-01-01 00:00:00  t.began: started"
    assert [line.kind for line in story(case.records)][:4] == ["input", "command", "input", "join"]


def test_it_names_what_a_join_no_longer_needs() -> None:
    case = scenario(Quorum).given(began("a", "b"), taken("a"))
    assert "n of taking: reached, no longer needed: taking [b]" in case.story


class Speechless(Sale, key="id", name="sale"):
    """Cannot say why it ends after five minutes."""

    def span(self) -> timedelta:
        return minutes(5)

    def reason(self) -> str:
        raise ZeroDivisionError


def test_a_deadline_is_named_where_it_cannot_be_taken_or_is_kept() -> None:
    assert "the deadline of paying: waits, suspended" in scenario(Broken).given(began(), PAID).after(hours(1)).story
    assert "the deadline patience: suspended, ZeroDivisionError" in scenario(Speechless).given(began()).after(minutes(5)).story


def test_what_cannot_be_read_becomes_a_line() -> None:
    record = Record("1", "pm.from-the-future", b"{}", b'{"version":3}', "x-1", 0, 0, 0)
    broken = Record("2", "pm.started", b"{}", b"nonsense", "x-1", 1, 1, 0)
    assert [line.kind for line in story([record, broken])] == ["unknown", "unknown"]
    assert "upgrade" in story([record])[0].text
