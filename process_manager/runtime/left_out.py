"""Commands that a consumer group has left out: a pass over the log offers them, and a runner takes them beside what is delivered."""

from collections.abc import Sequence

from process_manager.ports import Delivery


class LeftOut:
    """What was offered to a runner and is not settled. The group does not know of it, so it is kept here when the runner starts over."""

    def __init__(self) -> None:
        self.declined = 0
        """How many of those that were offered last were left to a newer version."""
        self._owed: dict[int, Delivery] = {}  # by position
        self._todo: list[Delivery] = []

    def __len__(self) -> int:
        return len(self._owed)

    @property
    def waits(self) -> bool:
        """Whether something has still to be taken."""
        return bool(self._todo)

    def offer(self, deliveries: Sequence[Delivery]) -> Sequence[Delivery]:
        """Let these be taken, apart from those that are owed already. Returns the others."""
        fresh = {delivery.record.position: delivery for delivery in deliveries if delivery.record.position not in self._owed}
        self.declined = 0
        self._owed |= fresh
        self._todo += fresh.values()
        return list(fresh.values())

    def take(self, limit: int) -> list[Delivery]:
        """At most so many that were not taken yet, in the order in which they were offered."""
        taken, self._todo = self._todo[:limit], self._todo[limit:]
        return taken

    def again(self) -> None:
        """Let everything that is not settled be taken anew."""
        self._todo = list(self._owed.values())

    def settled(self, delivery: Delivery) -> bool:
        """Forget a delivery. Returns whether it was one of these."""
        return self._owed.pop(delivery.record.position, None) is not None

    def decline(self, delivery: Delivery) -> bool:
        """Leave it to a newer version. Returns whether it was one of these."""
        declined = self.settled(delivery)
        self.declined += declined
        return declined
