"""A small process with what the order process does not use: lives, a join by number, early events, deadlines, endings by hand, a fault."""

from process_manager import (
    Abort,
    Compensate,
    Complete,
    Deadline,
    Effects,
    ProcessManager,
    Retry,
    State,
    Step,
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
from tests.core.samples import Began, Closed, GiveBack, GivenBack, Noticed, Paid, Pay, Refused, Stuck, Take, Taken


class Notes(State):
    """How often it was noticed."""

    count: int = 0

    @applies
    def noticed(self, _: Noticed) -> "Notes":
        return self.but(count=self.count + 1)


class Errand(ProcessManager[Notes], version=1, key="id"):
    """Takes `need` of the items, pays when it is noticed, gives back what it does not need."""

    taking = Step(Take, each=lambda c: c.item, done=Taken, failed=Refused, within=hours(1), retry=Retry(2, wait=minutes(5), refusals=True))
    giving_back = Step(GiveBack, each=lambda c: c.item, done=GivenBack, failed=Stuck, within=hours(1), needs_undo=False, retry=Retry(2))
    paying = Step(Pay, done=Paid, within=hours(5), needs_undo=False, otherwise=Compensate("not paid"))
    patience = Deadline()

    @starts(again=True)
    def begin(self, event: Began) -> Effects[Take]:
        yield self.patience.after(hours(12))
        for item in event.items:
            yield Take(id=event.id, item=item)

    @on(n_of(lambda self: self.event(Began).need, taking))
    def enough(self) -> Effects:
        yield self.patience.after(days(1))

    @on(after=n_of(lambda self: self.event(Began).need, taking), early=wait(days(2)))
    def noticed(self, event: Noticed) -> Effects[Pay | Compensate]:
        if event.text == "boom":
            raise ValueError("boom")
        if event.text == "undo":
            yield Compensate("noticed")
        elif self.state.count == 1:
            yield Pay(id=self.key)
        else:
            yield self.patience.cancel()

    @on
    def paid(self, _: Paid) -> Effects[Complete]:
        yield Complete("paid")

    @on
    def closed(self, _: Closed) -> Effects[Abort]:
        yield Abort("closed")

    @on
    def refused(self, _: Refused) -> Effects[Compensate]:
        yield Compensate("too few")

    @overdue(taking)
    def not_taken(self, _: Take) -> Effects[Compensate]:
        yield Compensate("too few in time")

    @due(patience)
    def impatient(self) -> Effects[Compensate]:
        yield Compensate("out of patience")

    @undo(taking)
    def give_back(self, c: Take) -> Effects[GiveBack]:
        yield GiveBack(id=c.id, item=c.item)
