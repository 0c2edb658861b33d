"""Joins over sets known only at run time."""

import pytest

from process_manager import (
    CONTINUE,
    FOREVER,
    Abort,
    Compensate,
    Complete,
    Decision,
    Effects,
    ProcessManager,
    Step,
    all_of,
    any_of,
    hours,
    minutes,
    n_of,
    on,
    overdue,
    starts,
    undo,
)
from process_manager.testing.scenario import Scenario, scenario
from tests.core.processes import Quorum, Race
from tests.core.samples import (
    DECLINED,
    NOTICED,
    PAID,
    PAY,
    Began,
    Declined,
    GiveBack,
    GivenBack,
    Noticed,
    Paid,
    Pay,
    Refund,
    Refunded,
    Refused,
    Stuck,
    Take,
    Taken,
    began,
    by_item,
    give_back,
    given_back,
    refused,
    take,
    taken,
)


class Everything(ProcessManager, key="id"):
    """Takes every item, then pays."""

    taking = Step(Take, each=by_item, done=Taken, failed=Refused, within=hours(1))
    giving_back = Step(GiveBack, each=by_item, done=GivenBack, within=hours(1), needs_undo=False)
    paying = Step(Pay, done=Paid, within=hours(1), needs_undo=False, otherwise=Compensate("not paid"))

    @starts
    def begin(self, event: Began) -> Effects[Take]:
        for item in event.items:
            yield Take(id=event.id, item=item)

    @on(all_of(taking))
    def all_taken(self) -> Effects[Pay]:
        yield Decision("items", ",".join(self.results(Everything.taking)), because="all were taken")
        yield Pay(id=self.key)

    @on
    def paid(self, _: Paid) -> Effects[Complete]:
        yield Complete("paid")

    @on
    def refused(self, event: Refused) -> Effects[Compensate]:
        yield Compensate(f"{event.item} refused")

    @overdue(taking)
    def overdue_taking(self, c: Take) -> Effects[Compensate]:
        yield Compensate(f"{c.item} overdue")

    @undo(taking)
    def back(self, c: Take) -> Effects[GiveBack]:
        yield GiveBack(id=c.id, item=c.item)


def everything(*items: str) -> Scenario:
    return scenario(Everything).given(began(*items))


def quorum(need: int, *items: str) -> Scenario:
    return scenario(Quorum).given(began(*items, need=need))


def test_all_of_waits_for_every_run_and_sees_results_sorted_by_key() -> None:
    everything("b", "a").when(taken("b")).then_nothing().when(taken("a")).then_decided("items", "a,b").then(PAY)


def test_all_of_over_no_runs_holds_at_once() -> None:
    everything().then_decided("items", "").then(PAY).when(PAID).then_completed("paid")


def test_a_join_that_can_no_longer_be_reached_is_the_steps_failure_and_is_decided_once() -> None:
    case = everything("a", "b", "c").given(taken("a")).when(refused("b")).then_compensating("b refused").then()
    case.when(refused("c")).then(give_back("a")).when(given_back("a")).then_compensated("b refused")


def test_overdue_makes_all_of_unreachable_too() -> None:
    case = everything("a", "b").given(taken("a")).after(hours(1)).then_compensating("b overdue").then(give_back("a"), give_back("b"))
    case.when(given_back("a"), given_back("b")).then_compensated("b overdue")


def test_n_of_takes_its_number_from_the_instance() -> None:
    quorum(2, "a", "b", "c").when(taken("a")).then_nothing().when(taken("c")).then(PAY)


def test_a_refusal_that_leaves_the_join_possible_leads_to_nothing() -> None:
    quorum(2, "a", "b", "c").when(refused("b")).then_nothing().when(taken("a"), taken("c")).then(PAY)


def test_n_of_fails_when_too_few_are_left() -> None:
    case = quorum(2, "a", "b", "c").given(taken("a"), refused("b")).when(refused("c")).then_compensating("too few").then(give_back("a"))
    case.when(given_back("a")).then_compensated()


def test_a_success_that_the_join_no_longer_needs_is_undone_at_once() -> None:
    case = quorum(1, "a", "b").given(taken("a")).when(taken("b")).then(give_back("b")).then_running()
    case.when(given_back("b")).then_nothing().when(PAID).then_completed()


def test_a_surplus_success_after_the_end_is_undone_as_well() -> None:
    quorum(1, "a", "b").given(taken("a"), PAID).then_completed().when(taken("b")).then(give_back("b")).when(
        given_back("b")
    ).then_completed()


def test_surplus_that_is_overdue_may_have_been_done_and_is_undone_without_another_attempt() -> None:
    quorum(1, "a", "b").given(taken("a")).after(hours(1)).then(give_back("b")).then_running()


def test_surplus_that_waits_for_its_next_attempt_is_not_tried_again() -> None:
    case = quorum(1, "a", "b").after(hours(1)).then_open(Quorum.taking).given(taken("a"))
    case.then(PAY, give_back("b")).after(minutes(30)).then()


def test_what_was_overdue_or_refused_before_the_join_was_reached_is_surplus_too() -> None:
    refused_first = quorum(1, "a", "b").given(refused("b"), taken("a"))
    refused_first.when(taken("b")).then(give_back("b")).when(given_back("b")).then_running()
    late = quorum(1, "a", "b").after(hours(1)).after(minutes(5)).then(take("a"), take("b")).after(hours(1))
    late.then_compensating("too few in time")


def test_a_late_success_of_what_made_a_join_unreachable_is_undone() -> None:
    case = scenario(Race).given(began(), refused(), PAID).then_running()
    case.when(taken()).then(give_back())


STUCK = Stuck(id="1", item="b")


def test_surplus_that_cannot_be_undone_shows_when_the_process_ends() -> None:
    case = quorum(1, "a", "b").given(taken("a"), taken("b"), STUCK).then_running().when(PAID).then_compensation_failed()
    case.when(given_back("b")).then_completed("paid").then()


def test_surplus_that_cannot_be_undone_after_the_end_shows_too() -> None:
    case = quorum(1, "a", "b").given(taken("a"), PAID, taken("b")).then_completed().when(STUCK).then_compensation_failed()
    case.when(given_back("b")).then_completed("paid")


def test_a_compensation_is_not_over_while_earlier_surplus_could_not_be_undone() -> None:
    case = quorum(1, "a", "b").given(taken("a"), taken("b"), STUCK).after(hours(5)).then_compensating("not paid")
    case.when(given_back("a")).then_compensation_failed().when(given_back("b")).then_compensated("not paid")


def test_surplus_that_is_refused_leads_to_nothing() -> None:
    quorum(1, "a", "b").given(taken("a")).when(refused("b")).then_nothing().then_running()


def test_more_than_was_started_can_never_be_reached_and_says_so() -> None:
    quorum(3, "a", "b").then_suspended("can never be reached: only 2 runs")


def test_compensation_takes_in_what_a_join_made_surplus() -> None:
    case = quorum(1, "a", "b").given(taken("a")).after(hours(5)).then_compensating("not paid")
    case.when(given_back("b")).then(give_back("a")).when(given_back("a")).then_compensated()


def test_any_of_several_steps_and_all_of_them_may_wait_together() -> None:
    scenario(Race).given(began()).when(PAID).then_decided("first", "paid").then().when(taken()).then_completed("both")


def test_a_step_started_again_after_its_join_was_decided_still_has_a_consequence() -> None:
    case = scenario(Race).given(began()).when(refused()).then_decided("go on", "yes").when(PAID).then_decided("first", "paid")
    case.when(NOTICED).then(take()).when(refused()).then_decided("go on", "yes")


class Wider(Everything, key="id", name="everything", version=2):
    """Waits for money that is given back as well."""

    refunding = Step(Refund, done=Refunded, within=hours(1), needs_undo=False, otherwise=CONTINUE)

    @on(all_of(Everything.taking, refunding))
    def all_taken(self) -> Effects[Pay]:
        yield Pay(id=self.key)

    @on
    def noticed(self, event: Noticed) -> Effects[Refund]:
        if event != NOTICED:
            yield Refund(id=event.id)


def test_newer_code_that_waits_for_more_does_not_decide_a_join_again() -> None:
    everything("a").when(taken("a")).then(PAY).deployed(Wider).when(NOTICED).then().then_running().when(PAID).then_completed("paid")


@pytest.mark.parametrize("order", [("a", "b", "c"), ("c", "a", "b"), ("b", "c", "a")])
def test_the_order_of_arrival_changes_nothing_for_all_of(order: tuple[str, ...]) -> None:
    everything("a", "b", "c").when(*map(taken, order)).then_decided("items", "a,b,c").then(PAY)


class Ahead(ProcessManager, key="id"):
    """Completes when it is paid, while another join still waits for what is taken."""

    taking = Step(Take, each=by_item, done=Taken, failed=Refused, within=hours(1), otherwise=CONTINUE)
    giving_back = Step(GiveBack, each=by_item, done=GivenBack, within=hours(1), needs_undo=False)
    paying = Step(Pay, done=Paid, within=hours(5), needs_undo=False, otherwise=CONTINUE)

    @starts
    def begin(self, event: Began) -> Effects[Take | Pay]:
        yield Pay(id=event.id)
        for item in event.items:
            yield Take(id=event.id, item=item)

    @on(any_of(paying))
    def paid(self) -> Effects[Complete]:
        yield Complete("paid")

    @on(n_of(2, taking, paying))
    def two(self) -> Effects:
        yield Decision("two", "yes", because="two are done")

    @undo(taking)
    def back(self, c: Take) -> Effects[GiveBack]:
        yield GiveBack(id=c.id, item=c.item)


def test_surplus_that_an_undecided_join_waited_for_is_undone_when_it_comes_after_the_end() -> None:
    case = scenario(Ahead).given(began("a", "b")).when(PAID).then().then_completed("paid")
    case.when(taken("b")).then(give_back("b")).when(given_back("b")).then_completed("paid")


def test_surplus_that_an_undecided_join_waited_for_and_is_overdue_is_undone_at_the_end() -> None:
    case = scenario(Ahead).given(began("a", "b"), taken("b")).after(hours(1)).then_nothing()
    case.when(PAID).then(give_back("a")).then_completed("paid")


class Bulk(ProcessManager, key="id"):
    """Takes many items, and is closed by an event that waits for 120 of them."""

    taking = Step(Take, each=by_item, done=Taken, within=hours(1), needs_undo=False, then=CONTINUE, otherwise=CONTINUE)

    @starts
    def begin(self, event: Began) -> Effects[Take]:
        for item in event.items:
            yield Take(id=event.id, item=item)

    @on(after=n_of(120, taking))
    def noticed(self, _: Noticed) -> Effects[Complete]:
        yield Complete("noticed")


def test_an_event_may_wait_for_more_runs_than_a_state_keeps_of_those_that_nothing_counts() -> None:
    items = [str(number) for number in range(120)]
    case = scenario(Bulk).given(began(*items), NOTICED, *map(taken, items[:-1])).then_running()
    case.when(taken(items[-1])).then_completed("noticed")


class Fallback(ProcessManager, key="id"):
    """Needs three items, and says what follows where they cannot be had."""

    taking = Step(Take, each=by_item, done=Taken, within=hours(1), needs_undo=False, otherwise=Complete("too few"))

    @starts
    def begin(self, event: Began) -> Effects[Take]:
        for item in event.items:
            yield Take(id=event.id, item=item)

    @on(n_of(3, taking))
    def enough(self) -> Effects[Complete]:
        yield Complete("enough")


def test_more_than_was_started_is_the_steps_failure_where_it_says_what_follows() -> None:
    scenario(Fallback).when(began("a", "b")).then(take("a"), take("b")).then_completed("too few")


class FirstAndAll(ProcessManager, key="id"):
    """Pays when one is taken, ends when all are."""

    taking = Step(Take, each=by_item, done=Taken, within=hours(1), otherwise=CONTINUE)
    giving_back = Step(GiveBack, each=by_item, done=GivenBack, within=hours(1), needs_undo=False)
    paying = Step(Pay, done=Paid, within=hours(1), needs_undo=False, then=CONTINUE, otherwise=CONTINUE)

    @starts
    def begin(self, event: Began) -> Effects[Take]:
        for item in event.items:
            yield Take(id=event.id, item=item)

    @on(any_of(taking))
    def first(self) -> Effects[Pay]:
        yield Pay(id=self.key)

    @on(all_of(taking))
    def all_taken(self) -> Effects[Complete]:
        yield Complete("all")

    @undo(taking)
    def back(self, c: Take) -> Effects[GiveBack]:
        yield GiveBack(id=c.id, item=c.item)


def test_what_one_join_needs_no_more_and_another_waits_for_is_no_surplus() -> None:
    case = scenario(FirstAndAll).given(began("a", "b")).when(taken("a")).then(PAY)
    case.when(taken("b")).then().then_completed("all")


class Substitute(ProcessManager, key="id"):
    """Takes one item, or is given one back for it where it is refused or late; ends when it has either."""

    taking = Step(Take, each=by_item, done=Taken, failed=Refused, within=hours(1), needs_undo=False)
    mending = Step(GiveBack, each=by_item, done=GivenBack, failed=Declined, within=hours(1), needs_undo=False, otherwise=Abort("neither"))

    @starts
    def begin(self, event: Began) -> Effects[Take]:
        yield from (Take(id=event.id, item=item) for item in event.items)

    @on
    def refused(self, event: Refused) -> Effects[GiveBack]:
        if event.item != "c":
            yield GiveBack(id=event.id, item=event.item)

    @overdue(taking)
    def late(self, c: Take) -> Effects[GiveBack]:
        yield GiveBack(id=c.id, item=c.item)

    @on(any_of(taking, mending))
    def either(self) -> Effects[Complete]:
        yield Complete("either")


def test_a_join_does_not_hold_up_the_reaction_that_starts_what_it_waits_for() -> None:
    scenario(Substitute).given(began("a")).when(refused("a")).then(give_back("a")).when(given_back("a")).then_completed("either")
    scenario(Substitute).given(began("a")).after(hours(1)).then(give_back("a")).when(given_back("a")).then_completed("either")
    scenario(Substitute).given(began("a", "b")).when(refused("a")).then(give_back("a")).when(taken("b")).then_completed("either")


def test_such_a_reaction_runs_once_and_what_the_steps_say_follows_when_the_join_is_lost_all_the_same() -> None:
    scenario(Substitute).given(began("a")).when(refused("a")).then(give_back("a")).when(DECLINED).then_aborted("neither")
    scenario(Substitute).given(began("c")).when(refused("c")).then().then_aborted("neither")
    scenario(Substitute).given(began("a", "c"), refused("a"), DECLINED).then_running().when(refused("c")).then_aborted("neither")


class Elsewhere(ProcessManager, key="id"):
    """Takes every item, from elsewhere where it is refused, and closes then."""

    taking = Step(Take, each=by_item, done=Taken, failed=Refused, within=FOREVER, needs_undo=False)

    @starts
    def begin(self, event: Began) -> Effects[Take]:
        yield from (Take(id=event.id, item=item) for item in event.items)

    @on
    def refused(self, event: Refused) -> Effects[Take]:
        if event.item != "c":
            yield Take(id=event.id, item=event.item)

    @on(all_of(taking))
    def all_taken(self) -> Effects[Complete]:
        yield Complete("all")


def test_a_run_that_was_started_again_counts_in_the_place_of_the_one_that_was_lost() -> None:
    case = scenario(Elsewhere).given(began("a", "b")).when(refused("a")).then(take("a")).when(taken("b")).then_running()
    case.when(taken("a")).then_completed("all")


def test_where_the_reaction_starts_no_other_the_join_is_lost_and_nothing_says_what_follows() -> None:
    scenario(Elsewhere).given(began("b", "c")).when(refused("c")).then_suspended("say what follows by otherwise=")


class Otherwise(ProcessManager, key="id"):
    """Takes every item; what is refused is taken again, or is paid for in its place. What is late is given up."""

    taking = Step(Take, each=by_item, done=Taken, failed=Refused, within=hours(1), needs_undo=False, otherwise=Abort("late"))
    paying = Step(Pay, done=Paid, within=FOREVER, needs_undo=False)

    @starts
    def begin(self, event: Began) -> Effects[Take]:
        yield from (Take(id=event.id, item=item) for item in event.items)

    @on
    def refused(self, event: Refused) -> Effects[Take | Pay]:
        if event.item == "a":
            yield Pay(id=event.id)
        elif event.item == "b":
            yield Take(id=event.id, item="another b")

    @on
    def paid(self, _: Paid) -> Effects[Complete]:
        yield Complete("paid")

    @on(all_of(taking))
    def all_taken(self) -> Effects[Complete]:
        yield Complete("all")


def test_a_run_that_the_reaction_to_a_loss_starts_counts_in_the_place_of_the_lost_one_whatever_its_key() -> None:
    case = scenario(Otherwise).given(began("b", "d")).when(refused("b")).then(take("another b")).when(taken("d")).then_running()
    case.when(taken("another b")).then_completed("all")
    scenario(Otherwise).given(began("b", "d"), refused("b")).when(refused("another b")).then_aborted("late")


def test_where_the_reaction_to_a_lost_run_leads_on_by_another_way_nothing_more_follows_from_its_join() -> None:
    case = scenario(Otherwise).given(began("a", "c")).when(refused("a")).then(PAY).then_running()
    case.when(taken("c")).then().then_running().when(PAID).then_completed("paid")
    scenario(Otherwise).given(began("c")).when(refused("c")).then_aborted("late")


class Instead(ProcessManager, key="id"):
    """Takes and pays; where nothing can be taken it is given back in its place, and the join of the two is lost."""

    taking = Step(Take, done=Taken, failed=Refused, within=FOREVER, needs_undo=False)
    giving = Step(GiveBack, done=GivenBack, within=FOREVER, needs_undo=False)

    @starts
    def begin(self, event: Began) -> Effects[Take]:
        yield Take(id=event.id)

    @on
    def refused(self, event: Refused) -> Effects[GiveBack]:
        yield GiveBack(id=event.id)

    @on(all_of(taking, giving))
    def both(self) -> Effects[Complete]:
        yield Complete("both")

    @on
    def given(self, _: GivenBack) -> Effects[Complete]:
        yield Complete("instead")


def test_what_is_started_in_the_place_of_a_lost_run_is_none_of_the_join_that_is_lost_with_it() -> None:
    scenario(Instead).given(began()).when(refused()).then(give_back()).when(given_back()).then_completed("instead")


class Asked(ProcessManager, key="id"):
    """Takes an item; where it is refused, it is paid for, and one is given back then. It ends when there is either."""

    taking = Step(Take, done=Taken, failed=Refused, within=FOREVER, needs_undo=False)
    paying = Step(Pay, done=Paid, failed=Declined, within=FOREVER, needs_undo=False, otherwise=Abort("not paid"))
    giving = Step(GiveBack, done=GivenBack, within=FOREVER, needs_undo=False)

    @starts
    def begin(self, event: Began) -> Effects[Take]:
        yield Take(id=event.id)

    @on
    def refused(self, event: Refused) -> Effects[Pay]:
        yield Pay(id=event.id)

    @on
    def paid(self, event: Paid) -> Effects[GiveBack]:
        yield GiveBack(id=event.id)

    @on(any_of(taking, giving))
    def either(self) -> Effects[Complete]:
        yield Complete("either")


def test_a_join_does_not_hold_up_the_reaction_that_leads_to_what_it_waits_for_by_another_step() -> None:
    case = scenario(Asked).given(began()).when(refused()).then(PAY).when(PAID).then(give_back()).when(given_back())
    case.then_completed("either")
