"""The contract of `process_manager.ports.EventStore`, as tests for any adapter. Its own test is three lines:

    class TestMyStore(StoreContract):
        def open_store(self, place: Path) -> EventStore:
            return MyStore(place / "store")

What the store's `features` do not declare is left out.
"""

from process_manager.testing.contract.appending import AppendContract, AppendManyContract
from process_manager.testing.contract.groups import GroupContract, MembershipContract
from process_manager.testing.contract.parking import ParkingContract
from process_manager.testing.contract.reading import ReadAllContract, ReadStreamContract, SubscriptionContract
from process_manager.testing.contract.sharing import SharingContract


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
