"""Recorded turns judged by another definition: what differs, what does not, and that each turn is judged by itself."""

from datetime import timedelta

import pytest
from hypothesis import given, settings, strategies as st

from process_manager import (
    Abort,
    Complete,
    Decision,
    Effects,
    Event,
    ProcessManager,
    State,
    Step,
    applies,
    by,
    days,
    hours,
    minutes,
    on,
    starts,
)
from process_manager.core.drift import Difference
from process_manager.core.facts import Input
from process_manager.core.signals import Action
from process_manager.errors import UndecodableMessage
from process_manager.examples.order_fulfilment.process import OrderFulfilment
from process_manager.testing.scenario import START, scenario
from tests.core.processes import Broken, Patient, Sale
from tests.core.random_lives import actions, every, judged, lines, played
from tests.core.samples import PAID, Began, Closed, Noticed, Paid, Pay, began


def said(difference: Difference | None) -> tuple[str, str, str, str]:
    assert difference is not None
    return difference.kind, difference.subject, difference.recorded, difference.candidate


@settings(deadline=None, max_examples=100)
@given(lines, st.sampled_from([50, 5000]), actions)
def test_unchanged_code_decides_every_recorded_turn_alike(skus: tuple[str, ...], total: int, moves: list[tuple[int, int]]) -> None:
    assert judged(OrderFulfilment, played(skus, total, moves)) is None


def test_another_answer_is_told_before_the_command_that_follows_from_it() -> None:
    class Choosy(Sale, key="id", name="sale"):
        @starts
        def began(self, event: Began) -> Effects[Pay]:
            yield Decision("wanted", "no", because="never")
            yield self.patience.after(days(3))

    difference = judged(Choosy, scenario(Sale).given(began()))
    assert said(difference) == ("decision", "wanted", "yes", "no")
    assert difference is not None
    assert (difference.instance, difference.revision, difference.time, difference.input) == ("sale-1", 0, START, "t.began")


def test_reasons_and_names_of_reactions_do_not_count() -> None:
    class Wordy(Sale, key="id", name="sale", version=7):
        @starts
        def began(self, event: Began) -> Effects[Pay]:
            yield Pay(id=event.id)
            yield Decision("wanted", "yes", because="said in other words, in another order")
            yield self.patience.after(days(3))

        def reason(self) -> str:
            return "said in other words"

    assert judged(Wordy, scenario(Sale).given(began()).after(hours(1))) is None


@pytest.mark.parametrize(
    ("method", "value", "expected"),
    [
        ("span", days(4), ("deadline", "patience", "2026-01-04T00:00:00+00:00", "2026-01-05T00:00:00+00:00")),
        ("outcome", "gone", ("ending", "the end", "completed: sold", "completed: gone")),
    ],
)
def test_deadlines_and_outcomes_count(method: str, value: object, expected: tuple[str, ...]) -> None:
    changed = type("Changed", (Sale,), {method: lambda _: value, "__module__": __name__}, key="id", name="sale")
    assert said(judged(changed, scenario(Sale).given(began(), PAID))) == expected


def test_a_turn_is_judged_from_what_was_recorded_not_from_what_the_candidate_would_have_made_of_it() -> None:
    class Changed(Sale, key="id", name="sale"):
        def span(self) -> timedelta:
            return days(4)

    case = scenario(Sale).given(began()).after(hours(1))
    assert said(judged(Changed, case))[0] == "deadline"
    assert judged(Changed, case, since=START + hours(1)) is None


def test_a_mended_candidate_takes_what_suspended_the_recorded_run() -> None:
    case = scenario(Broken).given(began(), PAID)
    kind, subject, recorded, candidate = said(judged(Sale, case))
    assert (kind, subject, candidate) == ("suspension", "t.paid", "taken")
    assert recorded.startswith("suspended: ZeroDivisionError: ")
    assert judged(Broken, case) is None
    assert judged(BrokenElse, case) is None  # by which error does not matter
    assert said(judged(Broken, scenario(Sale).given(began(), PAID)))[0] == "suspension"


@pytest.mark.parametrize("action", ["retry", "skip", "cancel"])
def test_a_suspension_that_was_resolved_does_not_count_against_the_code_that_mends_it(action: Action) -> None:
    case = scenario(Broken).given(began(), PAID).deployed(Sale).operator(action)
    assert list(every(Sale, case)) == []


def test_what_was_retried_is_judged_where_it_was_taken() -> None:
    case = scenario(Broken).given(began(), PAID).operator("retry").deployed(Sale).operator("retry").then_completed("sold")
    changed = type("Changed", (Sale,), {"outcome": lambda _: "gone", "__module__": __name__}, key="id", name="sale")
    (difference,) = every(changed, case)
    assert said(difference) == ("ending", "the end", "completed: sold", "completed: gone")
    assert difference.input == "pm.operator-action"


def test_a_suspension_that_was_retried_in_vain_counts_once() -> None:
    case = scenario(Broken).given(began(), PAID).operator("retry")
    (difference,) = every(Sale, case)
    assert said(difference)[:2] == ("suspension", "t.paid")
    assert difference.revision == 4


def test_one_difference_does_not_hide_later_ones() -> None:
    class Changed(Sale, key="id", name="sale"):
        def span(self) -> timedelta:
            return days(4)

        def outcome(self) -> str:
            return "gone"

    found = [said(each)[:2] for each in every(Changed, scenario(Sale).given(began(), PAID))]
    assert found == [("deadline", "patience"), ("ending", "the end")]


def test_a_renamed_question_is_told_with_its_new_name() -> None:
    class Renamed(Sale, key="id", name="sale"):
        @starts
        def began(self, event: Began) -> Effects[Pay]:
            yield Decision("desired", "yes", because="always")
            yield Pay(id=event.id)
            yield self.patience.after(days(3))

    assert said(judged(Renamed, scenario(Sale).given(began()))) == ("decision", "wanted", "yes", "yes, asked as 'desired'")


class RenamedAndMore(Sale, key="id", name="sale"):
    """Asks the same by another name, and does something else."""

    @starts
    def began(self, event: Began) -> Effects[Pay]:
        yield Decision("desired", "yes", because="always")
        yield Pay(id=f"{event.id}00")
        yield self.patience.after(days(4))


def test_all_that_differs_in_a_turn_is_told_the_cause_first() -> None:
    found = [said(each) for each in every(RenamedAndMore, scenario(Sale).given(began()))]
    assert found == [
        ("decision", "wanted", "yes", "yes, asked as 'desired'"),
        ("command", "t.pay", '{"id":"1"}', '{"id":"100"}'),
        ("deadline", "patience", "2026-01-04T00:00:00+00:00", "2026-01-05T00:00:00+00:00"),
    ]


def test_a_turn_that_aborts_is_told_beside_a_renamed_question() -> None:
    class Renamed(Sale, key="id", name="sale"):
        @starts
        def began(self, event: Began) -> Effects[Pay | Abort]:  # type: ignore[override]
            yield Decision("desired", "yes", because="always")
            yield Pay(id=event.id) if event.id == "2" else Abort("no")

    found = [said(each) for each in every(Renamed, scenario(Sale).given(began()))]
    assert found[0] == ("decision", "wanted", "yes", "yes, asked as 'desired'")
    assert ("ending", "the end", "", "aborted") in found
    assert ("command", "t.pay", '{"id":"1"}', "") in found


def test_of_a_turn_that_the_candidate_suspends_nothing_else_is_missed() -> None:
    (difference,) = every(Broken, scenario(Sale).given(began(), PAID))
    assert said(difference)[:3] == ("suspension", "t.paid", "taken")


def test_a_turn_that_one_append_cannot_hold_is_suspended_by_the_candidate_too() -> None:
    case = scenario(Broken).given(began(), PAID)
    assert judged(Sale, case, limit=10) is None


class BrokenElse(Sale, key="id", name="sale"):
    """Cannot say it for another reason."""

    def outcome(self) -> str:
        raise LookupError


def test_a_turn_offers_what_was_kept_to_the_candidate_as_well() -> None:
    class Deaf(Patient, key="id", name="sale"):
        @on
        def noticed(self, notice: Noticed) -> Effects:
            yield Decision("heard", "nothing", because=notice.text)

    case = scenario(Patient).given(Noticed(id="1", text="hello"), began())
    assert judged(Patient, case) is None
    difference = judged(Deaf, case)
    assert said(difference) == ("decision", "heard", "hello", "nothing")
    assert difference is not None
    assert difference.input == "t.began"


def untaken(event: Noticed | Closed, position: int) -> Input:
    return Input("0", event.message_type, 1, event.model_dump_json().encode(), b"null", "other-1", 0, position, START)


def test_an_event_that_the_recorded_run_did_not_handle_is_judged_at_its_place() -> None:
    case = scenario(Sale).given(began())
    assert said(judged(Patient, case, [untaken(Noticed(id="1", text="new"), 1500)])) == ("decision", "heard", "", "new")
    assert judged(Patient, case, [untaken(Noticed(id="1", text="before"), 500)]) is not None  # it would have waited and been heard
    assert judged(Sale, case, [untaken(Noticed(id="1", text="new"), 1500)]) is None


def test_what_the_candidate_only_takes_in_is_there_for_later_turns() -> None:
    class Listening(Sale, key="id", name="sale"):
        @on
        def noticed(self, _: Noticed) -> Effects:
            yield from ()

        def outcome(self) -> str:
            notice = self.find(Noticed)
            return notice.text if notice else "sold"

    case = scenario(Sale).given(began(), PAID)
    assert judged(Listening, case) is None
    assert said(judged(Listening, case, [untaken(Noticed(id="1", text="bought"), 1500)])) == (
        "ending", "the end", "completed: sold", "completed: bought"
    )  # fmt: skip


def test_an_instance_that_only_the_candidate_would_start() -> None:
    class Eager(Sale, key="id", name="sale"):
        @starts
        def closed(self, event: Closed) -> Effects[Pay]:
            yield Pay(id=event.id)

    found = [said(each)[:2] for each in every(Eager, scenario(Sale, key="1"), [untaken(Closed(id="1"), 1500)])]
    assert found[:2] == [("input", "t.closed"), ("command", "t.pay")]


def test_an_event_that_the_candidate_gives_to_another_instance() -> None:
    class Elsewhere(Sale, keys=(by(Paid, lambda paid: f"{paid.id}-x"),), key="id", name="sale"):
        pass

    assert said(judged(Elsewhere, scenario(Sale).given(began(), PAID))) == ("routing", "t.paid", "1", "1-x")


def test_what_an_operator_did_is_judged_like_any_input() -> None:
    case = scenario(Broken).given(began(), PAID).deployed(Sale).operator("retry").then_completed("sold")
    recorded, candidate = said(judged(Broken, case))[2:]
    assert recorded == "taken"
    assert candidate.startswith("suspended: ZeroDivisionError: ")  # tried again, it would be suspended again
    moved = scenario(Sale).given(began()).operator("move-deadline", deadline="paying", due=START + days(1)).operator("cancel")
    assert judged(Sale, moved) is None


class PaidInFull(Event, type="t.paid"):
    """What the candidate expects of a payment."""

    id: str
    amount: int


class Exact(ProcessManager, version=1, key="id", name="sale"):
    """Reads more from a payment than was recorded."""

    paying = Step(Pay, done=PaidInFull, within=hours(1), needs_undo=False, then=Complete("sold"), otherwise=Abort("not paid"))

    @starts
    def began(self, event: Began) -> Effects[Pay]:
        yield Pay(id=event.id)


def test_an_input_that_the_candidate_cannot_read_would_be_set_aside() -> None:
    case = scenario(Sale).given(began()).after(minutes(1)).when(PAID)
    kind, subject, recorded, candidate = said(judged(Exact, case, since=START + minutes(1)))
    assert (kind, subject, recorded) == ("routing", "t.paid", "1")
    assert candidate.startswith("nobody: cannot decode a t.paid: amount")


def test_an_untaken_event_before_since_is_only_taken_in() -> None:
    case = scenario(Sale).given(began())
    assert judged(Patient, case, [untaken(Noticed(id="1", text="new"), 1500)], since=START + hours(1)) is None


class Choking(State):
    """Cannot be made from what was recorded."""

    @applies
    def began(self, event: Began) -> "Choking":
        raise LookupError(event.id)


class Choked(Exact, ProcessManager[Choking], key="id", name="sale"):
    """Has such a state."""


def test_a_history_that_the_candidates_state_cannot_be_made_from_is_an_error() -> None:
    with pytest.raises(UndecodableMessage, match="LookupError"):
        judged(Choked, scenario(Sale).given(began()), since=START + hours(1))
