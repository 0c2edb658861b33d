"""Undoing: order, confirmation, what may have been done, what was done late, and what cannot be undone."""

from process_manager import (
    CONTINUE,
    Compensate,
    Effects,
    ProcessManager,
    Retry,
    Step,
    hours,
    minutes,
    on,
    starts,
    undo,
)
from process_manager.testing.scenario import Scenario, answer, scenario, unsolicited
from tests.core.processes import Purchase
from tests.core.samples import (
    CLOSED,
    DECLINED,
    NOTICED,
    PAID,
    REFUND,
    REFUNDED,
    Began,
    GiveBack,
    GivenBack,
    Noticed,
    Paid,
    Pay,
    Refund,
    Refunded,
    Stuck,
    Take,
    began,
    give_back,
    given_back,
    refused,
    taken,
)


def purchase(*items: str) -> Scenario:
    return scenario(Purchase).given(began(*items))


def paid(*items: str) -> Scenario:
    return purchase(*items).given(*map(taken, items), PAID)


def test_the_last_step_is_undone_first_and_runs_of_one_step_together() -> None:
    case = paid("b", "a").when(NOTICED).then(REFUND).then_compensating("noticed")
    case.when(REFUNDED).then(give_back("a"), give_back("b"))
    case.when(given_back("b")).then_nothing().when(given_back("a")).then_compensated("noticed")


def test_nothing_done_is_compensated_at_once() -> None:
    purchase().given(DECLINED).then_compensated("declined")


def test_an_undo_that_asks_for_nothing_is_recorded_and_passed_over() -> None:
    case = paid("gift").given(NOTICED).when(REFUNDED).then().then_compensated()
    assert "nothing to undo" in case.story


def test_what_is_still_out_is_settled_first() -> None:
    purchase("a").when(NOTICED).then_compensating().then().when(taken("a")).then(give_back("a"))


def test_what_is_out_and_refused_needs_no_undo() -> None:
    purchase("a").given(NOTICED).when(refused("a")).then_compensated()


def test_what_is_out_and_overdue_may_have_been_done() -> None:
    purchase("a").given(NOTICED).after(hours(1)).then(give_back("a"))


def test_no_step_is_tried_again_once_it_compensates() -> None:
    purchase().given(NOTICED).after(hours(2)).then(REFUND)


def test_no_reaction_runs_once_it_compensates() -> None:
    case = purchase("a", "b").given(NOTICED)
    case.when(taken("a"), taken("b")).then(give_back("a"), give_back("b")).when(CLOSED).then_ignored("is compensating")


def test_a_success_after_its_undo_was_confirmed_is_undone_once_more() -> None:
    case = purchase().given(NOTICED).after(hours(2)).then(REFUND).when(REFUNDED).then_compensated()
    case.when(PAID).then(REFUND).then_compensated().when(REFUNDED).then_compensated().then_open()


def test_a_success_while_its_undo_is_under_way_is_undone_once_more_after_it() -> None:
    """The first undo may have run before the success, and have found nothing to undo."""
    case = purchase().given(NOTICED).after(hours(2)).then(REFUND).when(PAID).then().then_compensating()
    case.when(REFUNDED).then(REFUND).then_compensating().when(REFUNDED).then_compensated()


def test_a_success_after_a_compensation_is_undone_even_where_it_had_been_refused() -> None:
    case = purchase("a", "b").given(refused("a")).then_compensating().given(refused("b")).then_compensated()
    case.when(answer(taken("a"), to=Take(id="1", item="a"))).then(give_back("a"))


def test_after_complete_a_late_success_stays_where_no_join_waited_for_it() -> None:
    purchase().given(CLOSED).then_completed().when(PAID).then().then_completed("closed")


def test_after_complete_a_late_success_is_undone_where_a_join_still_waited_for_it() -> None:
    case = purchase("a").when(CLOSED).then().then_completed().when(taken("a")).then(give_back("a"))
    case.when(given_back("a")).then_completed("closed").then_open()


def test_after_complete_what_a_join_still_waited_for_and_is_overdue_may_have_been_done() -> None:
    purchase("a").given(CLOSED).after(hours(1)).then(give_back("a")).then_completed("closed")


def test_abort_ends_without_undoing() -> None:
    case = paid("a").when(Noticed(id="1", text="abort")).then_aborted("noticed").then()
    case.when(PAID).then_ignored()


def test_an_undo_that_fails_is_tried_again_and_then_its_own_state() -> None:
    case = purchase("a").given(taken("a")).when(DECLINED).then(give_back("a"))
    case.after(hours(1)).then_compensating().after(minutes(1)).then(give_back("a"))
    case.after(hours(1)).then_compensation_failed()
    assert "giving_back could not undo taking" in case.story


def test_a_refused_undo_is_given_up() -> None:
    purchase("a").given(taken("a"), DECLINED).when(Stuck(id="1", item="a")).then_compensation_failed()


def test_a_failed_compensation_stops_and_goes_on_when_the_undo_is_confirmed_after_all() -> None:
    case = paid("a").given(NOTICED).after(hours(1)).then_compensation_failed().then()
    case.when(REFUNDED).then_compensating("noticed").then(give_back("a")).when(given_back("a")).then_compensated("noticed")


def test_one_failed_undo_of_several_keeps_the_compensation_failed() -> None:
    case = purchase("a", "b").given(taken("a"), taken("b"), DECLINED).when(Stuck(id="1", item="a")).then_compensation_failed()
    case.when(given_back("b")).then_compensation_failed().when(given_back("a")).then_compensated()


def test_a_success_while_the_compensation_has_failed_is_undone() -> None:
    case = purchase("a").given(NOTICED).after(hours(1)).given(Stuck(id="1", item="a")).then_compensation_failed()
    case.when(taken("a")).then(give_back("a")).when(given_back("a")).then_compensated("noticed")


def test_an_undo_from_before_the_success_neither_confirms_nor_vetoes_the_one_after_it() -> None:
    case = scenario(Purchase).given(began(), NOTICED).after(hours(2)).then(REFUND)
    case.after(hours(1)).then_compensation_failed().when(PAID).then(REFUND).then_compensation_failed()
    first, second = (run.command_id for run in case.instance.runs.values() if run.undoes)
    case.when(unsolicited(REFUNDED, causation=first)).then().then_compensating()
    case.when(unsolicited(REFUNDED, causation=second)).then_compensated("noticed")


def test_a_late_confirmation_from_before_the_success_has_it_undone_once_more() -> None:
    case = scenario(Purchase).given(began(), NOTICED).after(hours(2)).then(REFUND).when(PAID).then()
    case.after(hours(1)).then_compensation_failed().when(REFUNDED).then(REFUND).then_compensating()
    case.when(REFUNDED).then_compensated("noticed")


class Twofold(ProcessManager, key="id"):
    """One step, undone by two."""

    paying = Step(Pay, done=Paid, within=hours(1), then=CONTINUE, otherwise=CONTINUE)
    refunding = Step(Refund, done=Refunded, within=hours(1), needs_undo=False, retry=Retry(1))
    giving_back = Step(GiveBack, done=GivenBack, within=hours(1), needs_undo=False, retry=Retry(1))

    @starts
    def begin(self, event: Began) -> Effects[Pay]:
        yield Pay(id=event.id)

    @on
    def noticed(self, _: Noticed) -> Effects[Compensate]:
        yield Compensate("noticed")

    @undo(paying)
    def back(self, c: Pay) -> Effects[Refund | GiveBack]:
        yield Refund(id=c.id)
        yield GiveBack(id=c.id)


def test_an_undo_of_two_commands_is_done_when_both_are_confirmed() -> None:
    case = scenario(Twofold).given(began(), PAID).when(NOTICED).then(REFUND, give_back())
    case.when(REFUNDED).then_compensating().when(given_back()).then_compensated()


def test_an_undo_of_two_commands_has_failed_when_one_has() -> None:
    case = scenario(Twofold).given(began(), PAID, NOTICED, REFUNDED).after(hours(1)).then_compensation_failed()
    case.when(given_back()).then_compensated()
    other = scenario(Twofold).given(began(), PAID, NOTICED).after(hours(1)).then_compensation_failed()
    other.when(REFUNDED).then_compensation_failed().when(given_back()).then_compensated()


def test_what_is_overdue_and_left_alone_is_undone_by_a_later_compensation() -> None:
    scenario(Twofold).given(began()).after(hours(1)).then_running().when(NOTICED).then(REFUND, give_back())


def test_a_success_after_its_overdue_counts_as_done() -> None:
    scenario(Twofold).given(began()).after(hours(1)).when(PAID).then_nothing().then_running().when(NOTICED).then(REFUND, give_back())


class Recurring(ProcessManager, key="id"):
    """One step, life after life."""

    paying = Step(Pay, done=Paid, within=hours(1), then=CONTINUE, otherwise=CONTINUE)
    refunding = Step(Refund, done=Refunded, within=hours(1), needs_undo=False)

    @starts(again=True)
    def begin(self, event: Began) -> Effects[Pay]:
        yield Pay(id=event.id)

    @on
    def noticed(self, _: Noticed) -> Effects[Compensate]:
        yield Compensate("noticed")

    @undo(paying)
    def refund(self, c: Pay) -> Effects[Refund]:
        yield Refund(id=c.id)


def test_a_late_success_of_an_earlier_life_is_undone_while_the_next_one_is_compensated() -> None:
    case = scenario(Recurring).given(began())
    first = next(iter(case.instance.runs.values())).command_id
    case.after(hours(1)).given(NOTICED).when(REFUNDED).then_compensated()
    case.given(began()).given(PAID).when(NOTICED).then(REFUND)
    case.when(unsolicited(PAID, causation=first)).then(REFUND).then_compensating()
    for undo_run in [run for run in case.instance.runs.values() if run.undoes and run.is_open]:
        case.then_compensating().when(unsolicited(REFUNDED, causation=undo_run.command_id))
    case.then_compensated("noticed")
    assert all(run.undo == "done" for run in case.instance.runs.values() if run.step == "paying")


class Forgetful(Recurring, key="id"):
    """Its undo looks at what else was taken."""

    @undo(Recurring.paying)
    def refund(self, c: Pay) -> Effects[Refund]:
        if self.event(Began).need == 1:
            yield Refund(id=c.id)


def overdue_in_an_earlier_life(definition: type[ProcessManager]) -> tuple[Scenario, str]:
    """The second life has begun; and the command of the first, which was overdue."""
    case = scenario(definition).given(began())
    first = next(iter(case.instance.runs.values())).command_id
    return case.after(hours(1)).given(NOTICED, REFUNDED).then_compensated().given(began(need=2)), first


def test_what_an_earlier_life_is_answered_late_is_no_event_of_this_one() -> None:
    case, first = overdue_in_an_earlier_life(Recurring)
    case.when(unsolicited(PAID, causation=first)).then(REFUND).then_running()
    assert Paid.message_type not in case.instance.events


def test_the_undo_of_an_earlier_life_does_not_see_the_events_of_this_one() -> None:
    case, first = overdue_in_an_earlier_life(Forgetful)
    case.when(unsolicited(PAID, causation=first)).then_suspended("Began is forgotten with the life that took it")
    case.operator("skip").then_running()
