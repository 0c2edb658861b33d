"""The contract of `process_manager.ports.EventStore`, as tests for any adapter. Its own test is three lines:

    class TestMyStore(StoreContract):
        def open_store(self, place: Path) -> EventStore:
            return MyStore(place / "store")

What the store's `features` do not declare is left out.
"""

import pytest

pytest.register_assert_rewrite("process_manager.testing.contract")

from process_manager.testing.contract.appending import AppendContract, AppendManyContract  # noqa: E402  after the line above
from process_manager.testing.contract.groups import GroupContract, MembershipContract, ParkingContract  # noqa: E402
from process_manager.testing.contract.reading import ReadAllContract, ReadStreamContract, SubscriptionContract  # noqa: E402
from process_manager.testing.contract.sharing import SharingContract  # noqa: E402


class StoreContract(
    AppendContract,
    AppendManyContract,
    ReadStreamContract,
    ReadAllContract,
    SubscriptionContract,
    GroupContract,
    ParkingContract,
    MembershipContract,
    SharingContract,
):
    """Everything that an adapter owes."""
