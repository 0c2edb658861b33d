"""Small processes over the messages of `samples`, which the tests of several modules use."""

from datetime import timedelta
from typing import Any

from process_manager import (
    CONTINUE,
    FAIL,
    FOREVER,
    IGNORE,
    Abort,
    Compensate,
    Complete,
    Deadline,
    Decision,
    Effects,
    ProcessManager,
    Retry,
    State,
    Step,
    all_of,
    any_of,
    applies,
    days,
    due,
    hours,
    minutes,
    n_of,
    on,
    overdue,
    starts,
    undo,
    wait,
)
from process_manager.testing.scenario import START, Scenario, scenario
from tests.core.samples import (
    Began,
    Closed,
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
)


class Memory(State):
    noticed: int = 0

    @applies
    def count(self, _: Noticed) -> "Memory":
        return self.but(noticed=self.noticed + 1)


class Flow(ProcessManager[Memory], key="id"):
    """Takes items, is noticed once all are taken, pays, is closed."""

    taking = Step(Take, each=by_item, done=Taken, within=FOREVER, needs_undo=False, then=CONTINUE)
    paying = Step(Pay, done=Paid, failed=Declined, within=hours(1), needs_undo=False, then=Complete("paid"), otherwise=Abort("not paid"))

    @starts
    def begin(self, event: Began) -> Effects[Take]:
        for item in event.items:
            yield Take(id=event.id, item=item)

    @on(after=all_of(taking), early=wait(days(2)), late=FAIL)
    def noticed(self, event: Noticed) -> Effects[Pay]:
        if event.text == "boom":
            raise ValueError("boom")
        if event.text != "quiet":
            yield Pay(id=event.id)

    @on(early=IGNORE)
    def closed(self, _: Closed) -> Effects[Abort]:
        yield Abort("closed")


class Closing(ProcessManager, key="id"):
    """Lives as often as it is begun, and undoes what it took when it is noticed."""

    taking = Step(Take, done=Taken, within=FOREVER, then=CONTINUE)
    giving_back = Step(GiveBack, done=GivenBack, within=FOREVER, needs_undo=False)

    @starts(again=True)
    def begin(self, event: Began) -> Effects[Take]:
        yield from (Take(id=event.id, item=item) for item in event.items)

    @on
    def closed(self, _: Closed) -> Effects[Complete]:
        yield Complete("closed")

    @on
    def noticed(self, _: Noticed) -> Effects[Compensate]:
        yield Compensate("noticed")

    @undo(taking)
    def back(self, c: Take) -> Effects[GiveBack]:
        yield GiveBack(id=c.id, item=c.item)


class Purchase(ProcessManager, key="id"):
    """Takes items, pays, and ends as it is told."""

    taking = Step(Take, each=by_item, done=Taken, failed=Refused, within=hours(1), otherwise=Compensate("not taken"))
    giving_back = Step(
        GiveBack, each=by_item, done=GivenBack, failed=Stuck, within=hours(1), needs_undo=False, retry=Retry(2, wait=minutes(1))
    )
    paying = Step(Pay, done=Paid, failed=Declined, within=hours(2), then=CONTINUE, retry=Retry(2))
    refunding = Step(Refund, done=Refunded, within=hours(1), needs_undo=False, retry=Retry(1))

    @starts
    def begin(self, event: Began) -> Effects[Take]:
        for item in event.items:
            yield Take(id=event.id, item=item)

    @on(all_of(taking))
    def all_taken(self) -> Effects[Pay]:
        yield Pay(id=self.key)

    @on
    def declined(self, _: Declined) -> Effects[Compensate]:
        yield Compensate("declined")

    @overdue(paying)
    def not_paid(self, _: Pay) -> Effects[Compensate]:
        yield Compensate("not paid")

    @on
    def noticed(self, _: Noticed) -> Effects[Compensate | Abort]:
        if self.event(Noticed).text == "abort":
            yield Abort("noticed")
        else:
            yield Compensate("noticed")

    @on
    def closed(self, _: Closed) -> Effects[Complete]:
        yield Complete("closed")

    @undo(taking)
    def give(self, c: Take) -> Effects[GiveBack]:
        if c.item != "gift":
            yield GiveBack(id=c.id, item=c.item)

    @undo(paying)
    def refund(self, c: Pay) -> Effects[Refund]:
        yield Refund(id=c.id)


class Quorum(ProcessManager, key="id"):
    """Takes `need` of the items; what is not needed is given back."""

    taking = Step(Take, each=by_item, done=Taken, failed=Refused, within=hours(1), retry=Retry(2, wait=minutes(5)))
    giving_back = Step(GiveBack, each=by_item, done=GivenBack, failed=Stuck, within=hours(1), needs_undo=False)
    paying = Step(Pay, done=Paid, within=hours(5), needs_undo=False, otherwise=Compensate("not paid"))

    @starts
    def begin(self, event: Began) -> Effects[Take]:
        for item in event.items:
            yield Take(id=event.id, item=item)

    @on(n_of(lambda self: self.event(Began).need, taking))
    def enough(self) -> Effects[Pay]:
        yield Pay(id=self.key)

    @on
    def paid(self, _: Paid) -> Effects[Complete]:
        yield Complete("paid")

    @on
    def refused(self, _: Refused) -> Effects[Compensate]:
        yield Compensate("too few")

    @overdue(taking)
    def overdue_taking(self, _: Take) -> Effects[Compensate]:
        yield Compensate("too few in time")

    @undo(taking)
    def back(self, c: Take) -> Effects[GiveBack]:
        yield GiveBack(id=c.id, item=c.item)


class Race(ProcessManager, key="id"):
    """Whoever is first."""

    taking = Step(Take, done=Taken, failed=Refused, within=hours(1), otherwise=CONTINUE)
    giving_back = Step(GiveBack, done=GivenBack, within=hours(1), needs_undo=False)
    paying = Step(Pay, done=Paid, within=hours(1), otherwise=CONTINUE)
    refunding = Step(Refund, done=Refunded, within=hours(1), needs_undo=False)

    @starts
    def begin(self, event: Began) -> Effects[Take | Pay]:
        yield Take(id=event.id)
        yield Pay(id=event.id)

    @on(any_of(taking, paying))
    def first(self) -> Effects:
        yield Decision("first", "paid" if self.find(Paid) else "taken", because="it came first")

    @on(all_of(taking, paying))
    def both(self) -> Effects[Complete]:
        yield Complete("both")

    @on
    def taking_refused(self, _: Refused) -> Effects:
        yield Decision("go on", "yes", because="it was refused")

    @on
    def restart(self, _: Noticed) -> Effects[Take]:
        yield Take(id=self.key)

    @undo(taking)
    def back(self, c: Take) -> Effects[GiveBack]:
        yield GiveBack(id=c.id, item=c.item)

    @undo(paying)
    def refund(self, c: Pay) -> Effects[Refund]:
        yield Refund(id=c.id)


class Waiting(ProcessManager, key="id"):
    """Waits for a notice, which puts the deadline off."""

    first = Deadline()
    second = Deadline()

    @starts
    def begin(self, _: Began) -> Effects:
        yield self.first.after(days(3))
        yield self.second.at(START + days(3))

    @on
    def noticed(self, event: Noticed) -> Effects:
        yield self.first.after(days(5))
        if event.text == "both":
            yield self.second.cancel()
            yield self.second.cancel()

    @on
    def closed(self, _: Closed) -> Effects[Complete]:
        yield Complete("closed")

    @due(first)
    def first_due(self) -> Effects[Abort]:
        yield Abort("first")

    @due(second)
    def second_due(self) -> Effects[Abort]:
        yield Abort("second")


def flow(*items: str) -> Any:
    return scenario(Flow).given(began(*items))


BOOM = Noticed(id="1", text="boom")


def suspended() -> Scenario:
    case: Scenario = flow().given(BOOM).then_suspended("boom")
    return case


class Sale(ProcessManager, version=1, key="id", name="sale"):
    """Asks for the money, waits three days for what may come after it."""

    paying = Step(Pay, done=Paid, within=hours(1), needs_undo=False, otherwise=Abort("not paid"))
    patience = Deadline()

    @starts
    def began(self, event: Began) -> Effects[Pay]:
        yield Decision("wanted", "yes", because=f"{event.need} of them")
        yield self.patience.after(self.span())
        yield Pay(id=event.id)

    @on
    def paid(self, _: Paid) -> Effects[Complete]:
        yield Complete(self.outcome())

    @due(patience)
    def gone(self) -> Effects[Abort]:
        yield Abort(self.reason())

    def span(self) -> timedelta:
        return days(3)

    def outcome(self) -> str:
        return "sold"

    def reason(self) -> str:
        return "nobody came"


class Broken(Sale, key="id", name="sale"):
    """Cannot say what it came to."""

    def outcome(self) -> str:
        raise ZeroDivisionError


class Patient(Sale, key="id", name="sale"):
    """Takes a notice in as soon as it has begun."""

    @on
    def noticed(self, notice: Noticed) -> Effects:
        yield Decision("heard", notice.text, because="it was said")


class Paying(ProcessManager, key="id"):
    """Begins, pays, is done."""

    paying = Step(Pay, done=Paid, within=FOREVER, needs_undo=False)

    @starts
    def begin(self, event: Began) -> Effects[Pay]:
        yield Pay(id=event.id)

    @on
    def paid(self, _: Paid) -> Effects[Complete]:
        yield Complete("paid")
