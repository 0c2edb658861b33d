"""The events and commands of the town, its post office, the prefecture and the judge."""

from datetime import date
from decimal import Decimal

from process_manager import Command, Event


class FineCreated(Event, type="fines.fine-created"):
    case: str
    amount: Decimal
    article: str = ""
    points: int = 0
    vehicle_class: str = ""
    dismissal: str = ""


class SendFine(Command, type="fines.send-fine"):
    case: str


class FineSent(Event, type="fines.fine-sent"):
    case: str
    expense: Decimal


class FineNotified(Event, type="fines.fine-notified"):
    case: str
    notified_on: date


class PaymentReceived(Event, type="fines.payment-received"):
    case: str
    amount: Decimal
    total: Decimal | None = None
    """What the payment office says was paid in all; it is sometimes wrong, so believe the payments."""


class AddPenalty(Command, type="fines.add-penalty"):
    case: str


class PenaltyAdded(Event, type="fines.penalty-added"):
    case: str
    amount: Decimal
    """The fine with its penalty, without the postage."""


class AppealLodged(Event, type="fines.appeal-lodged"):
    case: str


class ForwardAppeal(Command, type="fines.forward-appeal"):
    case: str


class AppealForwarded(Event, type="fines.appeal-forwarded"):
    case: str
    dismissal: str = ""
    """`#` when the prefecture has dismissed the fine."""


class AppealResultReceived(Event, type="fines.appeal-result-received"):
    case: str


class NotifyResult(Command, type="fines.notify-result"):
    case: str


class OffenderNotified(Event, type="fines.offender-notified"):
    case: str


class AppealedToJudge(Event, type="fines.appealed-to-judge"):
    case: str
    dismissal: str = ""


class SendToCollection(Command, type="fines.send-to-collection"):
    case: str


class SentToCollection(Event, type="fines.sent-to-collection"):
    case: str
