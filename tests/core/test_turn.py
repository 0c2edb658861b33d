"""What an event means at each moment, and what a turn records."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, ClassVar

import orjson
import pytest

from process_manager import (
    FOREVER,
    Abort,
    Command,
    Complete,
    Decision,
    Effects,
    Event,
    ProcessManager,
    Step,
    all_of,
    by_correlation_id,
    days,
    on,
    starts,
)
from process_manager.core import facts
from process_manager.core.deadlines import LEFTOVER
from process_manager.core.instance import Instance
from process_manager.core.turn import take
from process_manager.errors import NewerFact
from process_manager.testing.scenario import scenario, unsolicited
from tests.core.processes import Closing, Flow, Memory, flow
from tests.core.samples import (
    CLOSED,
    NOTICED,
    NOW,
    PAID,
    PAY,
    Began,
    Closed,
    GivenBack,
    Noticed,
    Paid,
    Pay,
    Take,
    Taken,
    began,
    by_item,
    given_back,
    input_of,
    taken,
)


def test_a_start_a_done_step_and_an_ending() -> None:
    flow("a").when(taken("a")).then_nothing().when(NOTICED).then(PAY).when(PAID).then_completed("paid")


def test_an_event_before_the_start_waits_and_is_offered_when_it_fits() -> None:
    case = scenario(Flow).given(NOTICED).then_waits("has not started").then_not_started()
    case.when(began("a")).then_open(Flow.taking).when(taken("a")).then(PAY)


def test_an_event_before_its_condition_waits() -> None:
    flow("a").when(NOTICED).then_waits("all of taking is not reached").when(taken("a")).then(PAY)


def test_an_early_event_expires_visibly() -> None:
    case = flow("a").given(NOTICED).after(days(2))
    assert "waited in vain" in case.story
    case.when(taken("a")).then()


def test_early_events_are_offered_in_the_order_of_the_log() -> None:
    case = flow("a").given(Noticed(id="1", text="quiet"), Noticed(id="1", text="loud")).when(taken("a")).then(PAY)
    texts = [orjson.loads(fact.input.data).get("text") for fact in case.facts if isinstance(fact, facts.EventTaken)]
    assert texts == ["quiet", "loud"]


def test_an_event_may_be_ignored_when_early_and_nothing_is_recorded_without_a_stream() -> None:
    case = scenario(Flow).given(CLOSED).then_ignored()
    assert case.records == []


def test_late_is_ignored_by_default_and_fails_where_the_event_says_so() -> None:
    ended = flow().given(CLOSED).then_aborted("closed")
    ended.when(CLOSED).then_ignored("late: the instance is aborted").when(NOTICED).then_suspended("late: the instance is aborted")


def test_a_second_start_is_ignored() -> None:
    flow("a").when(began("a")).then_ignored("started by such an event before")


def test_a_reaction_that_raises_suspends_its_instance_and_leaves_nothing_else() -> None:
    case = flow().when(Noticed(id="1", text="boom")).then_suspended("ValueError: boom")
    assert [type(fact) for fact in case.facts] == [facts.Suspended]
    case.when(CLOSED).then_waits("suspended").then_nothing()


def test_a_kept_event_that_raises_does_not_take_the_turns_own_input_with_it() -> None:
    case = flow("a").given(Noticed(id="1", text="boom")).when(taken("a")).then_suspended("boom")
    assert [type(fact) for fact in case.facts] == [facts.StepCompleted, facts.Suspended]
    assert [kept.reason for kept in case.instance.kept.values()] == ["suspended"]


class Moody(ProcessManager, key="id"):
    """Its reactions are not pure, and what they raise is long."""

    raised: ClassVar[bool] = False

    @starts
    def begin(self, _: Began) -> Effects[Complete]:
        if Moody.raised:
            raise ValueError("again")
        yield from ()

    @on
    def noticed(self, _: Noticed) -> Effects[Complete]:
        Moody.raised = True
        raise ValueError("first" + "!" * 2_000_000)


def test_a_reaction_that_raises_only_when_its_turn_is_taken_again_suspends_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Moody, "raised", False)
    case = scenario(Moody).given(NOTICED).when(began()).then_suspended("ValueError: first!")

    assert [type(fact) for fact in case.facts] == [facts.Suspended]


def test_a_long_error_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Moody, "raised", False)
    case = scenario(Moody).given(began()).when(NOTICED).then_suspended("test_turn.py")

    assert len(case.records[-1].data) < 11_000


def test_an_answer_without_causation_is_taken_when_one_operation_is_open_and_the_fact_says_so() -> None:
    case = flow().given(NOTICED).when(unsolicited(PAID)).then_completed("paid")
    assert [fact.matched_by for fact in case.facts if isinstance(fact, facts.StepCompleted)] == ["only one open"]


def test_an_answer_without_causation_is_matched_by_key() -> None:
    case = flow("a", "b").when(unsolicited(taken("b")))
    assert [fact.run for fact in case.facts if isinstance(fact, facts.StepCompleted)] == ["b"]


def test_an_answer_without_causation_for_another_key_is_not_taken_for_the_only_open_run() -> None:
    flow("a").when(unsolicited(taken("b"))).then_waits("its step has not started").then_open(Flow.taking)


def test_an_answer_without_causation_that_fits_no_open_run_is_early_or_late() -> None:
    flow("a").when(unsolicited(PAID)).then_waits("its step has not started")
    flow("a").given(taken("a")).when(unsolicited(taken("a"))).then_ignored("not open any more")


class Blind(Event, type="t.blind"):
    id: str


class Grab(Command, type="t.grab"):
    id: str
    item: str


class Grabbing(ProcessManager, key="id"):
    """Its answers do not say which item they are about."""

    grabbing = Step(Grab, each=by_item, done=Blind, within=FOREVER, needs_undo=False)

    @starts
    def begin(self, event: Began) -> Effects[Grab]:
        for item in event.items:
            yield Grab(id=event.id, item=item)

    @on(all_of(grabbing))
    def all_grabbed(self) -> Effects[Complete]:
        yield Complete("all")


def test_an_answer_without_causation_is_not_guessed_between_several_open_operations() -> None:
    case = scenario(Grabbing).given(began("a", "b"))
    case.when(unsolicited(Blind(id="1"))).then_ignored("2 operations are open").then_open(Grabbing.grabbing)


def test_an_answer_to_somebody_elses_command_is_ignored() -> None:
    flow().given(NOTICED).when(unsolicited(PAID, causation="someone")).then_ignored("did not ask for").then_running()


def test_a_second_answer_is_ignored() -> None:
    case = flow("a", "b").given(taken("a"))
    case.when(taken("a")).then_ignored("answered before")


def test_state_is_what_the_events_made_it() -> None:
    case = flow("a").given(taken("a"), Noticed(id="1", text="quiet"), Noticed(id="1", text="quiet"))
    assert case.instance.data == Memory(noticed=2)


def test_the_first_event_gives_its_correlation_to_every_message() -> None:
    case = scenario(Flow).given(unsolicited(began("a"), correlation="c-1")).given(taken("a"))
    assert {orjson.loads(record.metadata)["$correlationId"] for record in case.records} == {"c-1"}
    own = flow("a")
    assert own.instance.correlation == orjson.loads(own.records[0].data)["input"]["id"]


# what a reaction may not do


class Clumsy(ProcessManager, key="id"):
    """Does what its text says."""

    paying = Step(Pay, done=Paid, within=FOREVER, needs_undo=False, then=Complete("paid"))

    @starts
    def begin(self, _: Began) -> Effects[Pay]:
        yield Pay(id=self.key)

    @on
    def noticed(self, event: Noticed) -> Effects[Pay | Complete]:
        match event.text:
            case "twice":
                yield Pay(id=self.key)
            case "unannounced":
                yield Abort("never said")  # type: ignore[misc]
            case "after the end":
                yield Complete("done")
                yield Decision("more", "yes", because="it went on")
            case _:
                yield "nonsense"  # type: ignore[misc]

    @on
    def closed(self, _: Closed) -> Effects[Complete]:
        self.event(Noticed)
        yield Complete("never")

    @on
    def gave_back(self, _: GivenBack) -> Effects[Complete]:
        return Complete("returned")  # type: ignore[return-value]  # what is wrong with it


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("twice", "paying is already running: one that runs for several things at once needs each=, which tells its runs apart"),
        ("unannounced", "yielded Abort, which its annotation does not announce"),
        ("after the end", "an ending comes last"),
        ("nonsense", "'nonsense', which is no effect"),
    ],
)
def test_a_reaction_that_breaks_its_word_suspends(text: str, error: str) -> None:
    scenario(Clumsy).given(began()).when(Noticed(id="1", text=text)).then_suspended(error)


def test_asking_for_an_event_that_was_not_taken_suspends_with_advice() -> None:
    scenario(Clumsy).given(began()).when(CLOSED).then_suspended("use find() where it may be missing")


def test_a_reaction_that_returns_instead_of_yielding_suspends_with_advice() -> None:
    scenario(Clumsy).given(began()).when(given_back()).then_suspended("returned Complete(outcome='returned'): it must yield its effects")


# ids


def _take(now: datetime = NOW, event: Event | None = None) -> list[Any]:
    return take(Flow.definition, Instance("flow", "1"), input_of(event or began("a", "b")), now).records


def test_the_same_decision_gives_the_same_bytes_and_ids() -> None:
    assert _take() == _take()


def test_another_decision_for_the_same_input_gives_other_ids() -> None:
    later, other = _take(NOW + timedelta(microseconds=1)), _take(event=began("a", "c"))
    assert {each.id for each in later}.isdisjoint(each.id for each in _take())
    assert [each.id for each in other] != [each.id for each in _take()]


class Varying(ProcessManager, key="id"):
    """Decides what the test says, as an older and a newer version of one class would."""

    decisions: ClassVar[int] = 0

    @starts
    def begin(self, _: Began) -> Effects[Complete]:
        for number in range(self.decisions):
            yield Decision(str(number), "yes", because="the test says so")

    @on
    def closed(self, _: Closed) -> Effects[Complete]:
        yield Complete("closed")


def test_no_block_is_the_start_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that compares ids alone would take the shorter one for a repeat of the longer one."""
    firsts = []
    for decisions in (1, 2):
        monkeypatch.setattr(Varying, "decisions", decisions)
        firsts.append(take(Varying.definition, Instance("varying", "1"), input_of(began()), NOW).records[0].id)
    assert firsts[0] != firsts[1]


def test_no_two_records_share_an_id() -> None:
    records = _take(event=began("a", "b", "c"))
    assert len({record.id for record in records}) == len(records) == 4


def test_the_facts_of_a_turn_are_those_that_its_records_hold() -> None:
    from process_manager.core.block import read_fact
    from process_manager.core.records import Record

    turn = take(Flow.definition, Instance("flow", "1"), input_of(began("a", "b")), NOW)
    assert [read_fact(Record(*record, "flow-1", 0, 0, 0)) for record in turn.records] == turn.facts


def test_taking_does_not_change_the_instance_it_was_given() -> None:
    before = Instance("flow", "1")
    take(Flow.definition, before, input_of(began("a")), NOW)
    assert before == Instance("flow", "1")


def test_an_input_of_a_newer_version_is_left_to_others() -> None:
    with pytest.raises(NewerFact):
        take(Flow.definition, Instance("flow", "1"), replace(input_of(began("a")), version=2), NOW)


def test_what_does_not_fit_one_turn_stays_behind_a_deadline_that_is_due_now() -> None:
    huge = replace(input_of(began("a"), 9), data=b'{"id":"1","x":"' + b"x" * 600_000 + b'"}')
    early = scenario(Flow).given(Noticed(id="1", text="quiet"))
    turn = take(Flow.definition, early.instance, huge, NOW)
    assert turn.instance.timers[LEFTOVER].due == NOW
    assert len(turn.instance.kept) == 1


# lives


class Again(ProcessManager, key="id"):
    """Lives as often as it is begun."""

    taking = Step(Take, done=Taken, within=FOREVER, needs_undo=False, then=Complete("taken"))

    @starts(again=True)
    def begin(self, event: Began) -> Effects[Take]:
        yield Take(id=event.id)

    @on
    def noticed(self, _: Noticed) -> Effects[Abort]:
        yield Abort("noticed")


def test_a_new_life_begins_after_the_end_and_knows_nothing_of_the_last() -> None:
    case = scenario(Again).given(began(), taken()).then_completed().when(began()).then(Take(id="1")).then_running()
    assert case.instance.life == 2
    assert case.instance.joins == {}
    case.when(taken()).then_completed()


def test_what_comes_between_two_lives_waits_for_the_next() -> None:
    scenario(Again).given(began(), taken()).when(NOTICED).then_waits("the next life").when(began()).then_aborted("noticed")


def test_a_redelivered_start_begins_no_new_life() -> None:
    scenario(Again).deliver_twice().given(began(), taken()).then_completed()


def test_an_answer_to_the_last_life_does_not_move_the_next() -> None:
    case = scenario(Again).given(began())
    old = next(iter(case.instance.commands))
    case.given(NOTICED, began()).when(unsolicited(taken(), causation=old)).then_ignored().then_open(Again.taking)


def _life(*events: tuple[int, Event]) -> Instance:
    instance = Instance("closing", "1")
    for position, event in events:
        instance = take(Closing.definition, instance, input_of(event, position), NOW).instance
    return instance


def test_a_start_that_comes_before_the_end_that_it_stands_behind_begins_the_next_life() -> None:
    instance = _life((1, began()), (3, began()), (2, CLOSED))
    assert (instance.status, instance.life, instance.started_position, instance.kept) == ("running", 2, 3, {})


def test_a_start_that_comes_before_the_undoing_that_it_stands_behind_is_over_begins_the_next_life() -> None:
    instance = _life((1, began("a")), (2, taken("a")), (3, NOTICED), (5, began()), (4, given_back("a")))
    assert (instance.status, instance.life, instance.started_position) == ("running", 2, 5)


def test_a_start_within_a_life_begins_none() -> None:
    instance = _life((2, began()), (3, began()), (1, began()), (4, CLOSED))
    assert (instance.status, instance.life, instance.kept) == ("completed", 1, {})


class ByCorrelation(ProcessManager, key="id", keys=(by_correlation_id(Noticed),)):
    """Is found by correlation."""

    @starts
    def begin(self, _: Began) -> Effects:
        yield Decision("begin", "yes", because="it began")

    @on
    def noticed(self, _: Noticed) -> Effects[Complete]:
        yield Complete("noticed")


def test_an_event_routed_by_correlation_is_taken() -> None:
    scenario(ByCorrelation).given(began()).when(Noticed(id="whatever")).then_completed()
