"""The review of one order: by rule for small and for very large totals, else by a person."""

from decimal import Decimal

from process_manager import Aggregate, Refused
from process_manager.examples.order_fulfilment.messages import ReviewApproved, ReviewRejected, ReviewRequested

APPROVED_UP_TO = Decimal(1000)
REJECTED_OVER = Decimal(5000)


class Review(Aggregate, category="review"):
    """One for each order. Between the limits it waits for a person, who publishes ReviewApproved or ReviewRejected, or never answers."""

    def request(self, total: Decimal) -> None:
        if total > REJECTED_OVER:
            raise Refused(ReviewRejected(order_id=self.id, reviewer="rules"))
        if total > APPROVED_UP_TO:
            self.record(ReviewRequested(order_id=self.id, total=total))
        else:
            self.record(ReviewApproved(order_id=self.id, reviewer="rules"))
