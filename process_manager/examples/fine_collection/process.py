"""The whole process, and its two policies of charging the penalty."""

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from process_manager import (
    FOREVER,
    IGNORE,
    Complete,
    Deadline,
    Decision,
    Effects,
    ProcessManager,
    State,
    Step,
    applies,
    due,
    on,
    starts,
)
from process_manager.examples.fine_collection.messages import (
    AddPenalty,
    AppealedToJudge,
    AppealForwarded,
    AppealLodged,
    AppealResultReceived,
    FineCreated,
    FineNotified,
    FineSent,
    ForwardAppeal,
    NotifyResult,
    OffenderNotified,
    PaymentReceived,
    PenaltyAdded,
    SendFine,
    SendToCollection,
    SentToCollection,
)

ROME = ZoneInfo("Europe/Rome")
DAYS_TO_PAY = 60


def midnight(day: date) -> datetime:
    """The beginning of a day in Italy; calendar days are not all 24 hours long."""
    return datetime.combine(day, time(), ROME)


class Fine(State):
    """What is owed and what was paid."""

    amount: Decimal = Decimal(0)
    expense: Decimal = Decimal(0)
    paid: Decimal = Decimal(0)

    @property
    def owed(self) -> Decimal:
        return self.amount + self.expense

    @applies
    def set_amount(self, event: FineCreated | PenaltyAdded) -> "Fine":
        return self.but(amount=event.amount)

    @applies
    def add_postage(self, sent: FineSent) -> "Fine":
        return self.but(expense=sent.expense)

    @applies
    def add_payment(self, payment: PaymentReceived) -> "Fine":
        return self.but(paid=self.paid + payment.amount)


class FineCollection(ProcessManager[Fine], version=1, key="case"):
    """Collects a fine: sends it, charges a penalty 60 days after its notification, hears appeals, hands it to collection.

    Nobody answers for sure: a fine that is paid early is never sent, an appeal may rest for years. So no step is ever overdue, and a
    case ends only with credit collection; all others stay open for what may still come.
    """

    # the steps: what is asked for, and what answers it

    send_fine = Step(SendFine, done=FineSent, within=FOREVER, needs_undo=False)
    add_penalty = Step(AddPenalty, done=PenaltyAdded, within=FOREVER, needs_undo=False)
    forward_appeal = Step(ForwardAppeal, done=AppealForwarded, within=FOREVER, needs_undo=False)
    notify_result = Step(NotifyResult, done=OffenderNotified, within=FOREVER, needs_undo=False)
    send_to_collection = Step(SendToCollection, done=SentToCollection, within=FOREVER, needs_undo=False)
    payment_due = Deadline()

    # what follows from what

    @starts
    def fine_created(self, fine: FineCreated) -> Effects[SendFine]:
        yield SendFine(case=fine.case)

    @on
    def fine_notified(self, fine: FineNotified) -> Effects:
        yield self.payment_due.at(midnight(fine.notified_on + timedelta(days=DAYS_TO_PAY)))

    @due(payment_due)
    def payment_overdue(self) -> Effects[AddPenalty]:
        charged, reason = self.charge_penalty()
        yield Decision("charge the penalty?", "yes" if charged else "no", because=reason)
        if charged:
            yield AddPenalty(case=self.key)

    @on(early=IGNORE)
    def penalty_added(self, penalty: PenaltyAdded) -> Effects[SendToCollection]:
        yield SendToCollection(case=penalty.case)

    @on
    def appeal_lodged(self, appeal: AppealLodged) -> Effects[ForwardAppeal]:
        yield ForwardAppeal(case=appeal.case)

    @on
    def appeal_result_received(self, result: AppealResultReceived) -> Effects[NotifyResult]:
        yield NotifyResult(case=result.case)

    @on(early=IGNORE)
    def sent_to_collection(self, _: SentToCollection) -> Effects[Complete]:
        yield Complete("sent to credit collection")

    @on
    def noted(self, _: FineSent | PaymentReceived | AppealedToJudge) -> Effects:
        """Nothing follows; the state knows what it means for the balance."""
        yield from ()

    @on(early=IGNORE)
    def appeal_answered(self, _: AppealForwarded | OffenderNotified) -> Effects:
        """Nothing follows; an answer that nobody asked for yet is recorded and left at that."""
        yield from ()

    def charge_penalty(self) -> tuple[bool, str]:
        """Whether to charge it, and why. Here: a payment does not cancel it."""
        return True, f"always charged after {DAYS_TO_PAY} days; {self.balance()}"

    def balance(self) -> str:
        return f"paid {self.state.paid} of {self.state.owed}"


class CancelWhenPaid(FineCollection, version=1, key="case", name=FineCollection.definition.name):
    """The same process with another policy: who has paid what was owed by then is not charged."""

    def charge_penalty(self) -> tuple[bool, str]:
        return self.state.paid < self.state.owed, self.balance()
