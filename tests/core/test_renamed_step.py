"""A person's answer, without causation, and a class that has another name for the step meanwhile."""

from process_manager import CONTINUE, Complete, Effects, ProcessManager, Step, days, hours, on, starts, wait
from process_manager.core.facts import InputExpired, StepCompleted
from process_manager.core.turn import take
from process_manager.testing.scenario import Scenario, scenario, unsolicited
from tests.core.samples import CLOSED, NOW, PAID, Began, Closed, Declined, Noticed, Paid, Pay, Take, Taken, began, input_of, park, taken


class Asking(ProcessManager, key="id", name="asking"):
    """Asks one person, waits three days."""

    ask = Step(Pay, done=Paid, failed=Declined, within=days(3), needs_undo=False, otherwise=Complete("nobody answered"))

    @starts
    def begin(self, event: Began) -> Effects[Pay]:
        yield Pay(id=event.id)

    @on
    def approved(self, _: Paid) -> Effects[Complete]:
        yield Complete("approved")


class Renamed(ProcessManager, key="id", name="asking"):
    """The same, by another name."""

    ask2 = Step(Pay, done=Paid, failed=Declined, within=days(3), needs_undo=False, otherwise=Complete("nobody answered"))

    @starts
    def begin(self, event: Began) -> Effects[Pay]:
        yield Pay(id=event.id)

    @on
    def approved(self, _: Paid) -> Effects[Complete]:
        yield Complete("approved")


class Cautious(ProcessManager, key="id", name="asking"):
    """Takes an approval, and what closes it, only when it has taken."""

    ask = Step(Pay, done=Declined, within=days(3), needs_undo=False, then=CONTINUE, otherwise=Complete("nobody answered"))
    take = Step(Take, done=Taken, within=hours(1), needs_undo=False, then=CONTINUE, otherwise=CONTINUE)

    @starts
    def begin(self, event: Began) -> Effects[Pay]:
        yield Pay(id=event.id)

    @on
    def noticed(self, event: Noticed) -> Effects[Take]:
        yield Take(id=event.id)

    @on(after=take)
    def approved(self, _: Paid) -> Effects[Complete]:
        yield Complete("approved")

    @on(after=take)
    def closed(self, _: Closed) -> Effects[Complete]:
        yield Complete("closed")


class Hasty(Cautious, key="id", name="asking"):
    """Lets an approval wait for a day."""

    @on(after=Cautious.take, early=wait(days(1)))
    def approved(self, _: Paid) -> Effects[Complete]:
        yield Complete("approved")


class Shorter(ProcessManager, key="id", name="shy"):
    """Takes once it is told to."""

    take = Step(Take, done=Taken, within=hours(1), needs_undo=False, then=Complete("taken"), otherwise=CONTINUE)

    @starts
    def begin(self, _: Began) -> Effects[Take]:
        yield from ()

    @on
    def noticed(self, event: Noticed) -> Effects[Take]:
        yield Take(id=event.id)


class Shy(Shorter, key="id", name="shy"):
    """Asks as well."""

    ask = Step(Pay, done=Paid, within=days(3), needs_undo=False, then=CONTINUE, otherwise=CONTINUE)

    @on
    def closed(self, event: Closed) -> Effects[Pay]:
        yield Pay(id=event.id)


APPROVAL = unsolicited(PAID)


def asked() -> Scenario:
    return scenario(Asking).given(began())


def test_an_answer_to_a_step_of_another_name_is_not_lost() -> None:
    case = asked().deployed(Renamed).when(APPROVAL).then_suspended("it may answer ask, a step that the class has no more")
    case.deployed(Asking).operator("retry").then_completed("approved")


def test_the_deadline_that_passes_meanwhile_comes_behind_the_answer() -> None:
    case = asked().deployed(Renamed).when(APPROVAL).deployed(Asking).after(days(3)).then_waits("suspended")
    case.operator("retry").then_completed("approved")


def test_what_is_answered_by_a_step_that_the_class_has_goes_on() -> None:
    """An answer that is taken needs nobody: another step's open run is the only one that it can be meant for."""
    case = scenario(Renamed).given(began()).deployed(Asking)
    case.instance.runs |= {"other": next(iter(case.instance.runs.values()))._replace(operation="other", step="ask")}
    turn = take(Asking.definition, case.instance, input_of(PAID, 9), NOW)
    assert [type(fact) for fact in turn.facts][:1] == [StepCompleted]


def test_an_ended_process_whose_step_is_gone_takes_no_notice() -> None:
    case = asked().operator("cancel").deployed(Renamed).when(APPROVAL).then_ignored("late")
    case.then_cancelled()


def test_a_late_answer_to_a_step_that_is_gone_suspends_no_process_that_needs_it_no_more() -> None:
    case = asked().operator("cancel").deployed(Renamed)
    late = unsolicited(PAID, causation=next(iter(case.instance.commands)))
    case.when(late).then_ignored("no answer to the step ask").then_cancelled()


def test_the_deadline_of_a_step_that_is_gone_suspends_no_process_that_needs_it_no_more() -> None:
    asked().operator("cancel").deployed(Renamed).after(days(3)).then_cancelled()


def test_a_command_parked_of_a_step_that_is_gone_suspends_no_process_that_needs_it_no_more() -> None:
    case = asked().operator("cancel").deployed(Renamed)
    park(case, next(iter(case.instance.commands)))
    case.then_cancelled()


def test_an_answer_that_was_early_while_the_class_had_the_step_is_none_to_it() -> None:
    case = scenario(Shy).given(began(), CLOSED).when(unsolicited(taken())).then_waits("has not started")
    case.deployed(Shorter).when(Noticed(id="1")).then_completed("taken")


def waiting() -> Scenario:
    """An approval is kept by code that has a wrong notion of its moment."""
    return scenario(Cautious).given(began()).when(APPROVAL).then_waits("take is not reached")


def test_what_waits_and_fits_new_code_is_taken_before_a_deadline() -> None:
    waiting().deployed(Asking).after(days(3)).then_completed("approved")


def test_what_waits_and_fits_new_code_is_taken_at_once_by_suspend_and_resume() -> None:
    waiting().deployed(Asking).operator("suspend").operator("resume").then_completed("approved")


def test_what_waits_and_fits_new_code_is_taken_before_what_comes_later() -> None:
    waiting().deployed(Asking).when(unsolicited(Declined(id="1"))).then_completed("approved")


def test_what_waits_and_fits_new_code_does_not_expire() -> None:
    case = scenario(Hasty).given(began()).when(APPROVAL).deployed(Asking).after(days(1)).then_completed("approved")
    assert not [fact for fact in case.facts if isinstance(fact, InputExpired)]


def test_what_waits_and_breaks_new_code_is_named_as_what_suspends() -> None:
    class Broken(ProcessManager, key="id", name="asking"):
        ask = Step(Pay, done=Paid, failed=Declined, within=days(3), needs_undo=False, otherwise=Complete("nobody answered"))

        @starts
        def begin(self, event: Began) -> Effects[Pay]:
            yield Pay(id=event.id)

        @on
        def approved(self, _: Paid) -> Effects[Complete]:
            raise ValueError("broken")

    case = waiting().deployed(Broken).after(days(3)).then_suspended("broken")
    assert case.instance.kept[case.instance.culprit].input.type == Paid.message_type
    case.deployed(Asking).operator("retry").then_completed("approved")


def test_what_waits_goes_on_waiting_where_nothing_has_changed() -> None:
    waiting().when(CLOSED).then_waits("take is not reached").when(Noticed(id="1")).when(taken()).then_completed("approved")
