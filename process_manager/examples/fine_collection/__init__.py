"""Fine collection: a 60-day deadline by the calendar, a decision by policy, and thirteen years of a real log to replay.

Read `process` first. `recording` reads the recorded log, `replay` plays it against the process, `views` is a projection of its own.
"""

from typing import Literal

from process_manager import App
from process_manager.examples.fine_collection.process import CancelWhenPaid, FineCollection

Policy = Literal["charge-always", "cancel-when-paid"]
POLICIES: dict[Policy, type[FineCollection]] = {"charge-always": FineCollection, "cancel-when-paid": CancelWhenPaid}


def fine_collection(policy: Policy) -> App:
    """The app with a policy. One store keeps one policy: what was decided in it is not decided again."""
    return App(name="fine_collection", processes=[POLICIES[policy]])


app = fine_collection("charge-always")
cancel_when_paid = fine_collection("cancel-when-paid")
