"""What a group delivers, and whom it delivers to."""

from dataclasses import dataclass, field

from process_manager.interfaces.devserver.wire import Resolved


@dataclass(slots=True, eq=False)
class Message:
    """A record on its way through a group."""

    resolved: Resolved
    at: int  # its revision in the group's stream, or its position in $all
    sequence: int = 0  # of the messages that the group took in; 0 for one that is replayed
    before: int | None = None  # `at` of the message taken in before it
    retries: int = 0
    pin: int | None = None  # the hash of what it is pinned by

    @property
    def id(self) -> str:
        """What consumers acknowledge by."""
        return self.resolved.original.id

    @property
    def is_replayed(self) -> bool:
        return self.sequence == 0

    @property
    def order(self) -> tuple[bool, int]:
        """Redeliveries come in the order of the log, replays after them."""
        return self.is_replayed, self.at


@dataclass(slots=True, eq=False)
class Consumer:
    """A member of a group: what it holds, and how much it may."""

    name: str
    capacity: int
    peer: str = ""
    delivered: int = 0
    in_flight: dict[str, Message] = field(default_factory=dict)

    @property
    def has_room(self) -> bool:
        return len(self.in_flight) < self.capacity
