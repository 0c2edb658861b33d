"""What one instance has to take in of a batch, and what comes of it."""

from dataclasses import dataclass, field

from process_manager.core.instance import Instance
from process_manager.core.records import NewRecord
from process_manager.core.turn import Turn
from process_manager.ports import Block, Delivery, StreamState
from process_manager.runtime.router import Incoming, Target


@dataclass(slots=True)
class Work:
    """The inputs of one instance, in order of position, and the turns that answer them."""

    target: Target
    inputs: list[tuple[Incoming, Delivery]] = field(default_factory=list)
    instance: Instance | None = None
    records: list[NewRecord] = field(default_factory=list)
    size: int = 0
    taken: int = 0  # inputs that `records` answer
    turns: list[tuple[Turn, Delivery]] = field(default_factory=list)  # what `records` are made of
    duplicates: int = 0
    refused: bool = False  # its last append was, so that the stream has to be read

    @property
    def block(self) -> Block:
        """The append: the records, behind the instance as it was before them."""
        assert self.instance is not None
        before = self.instance.revision - len(self.records)
        return Block(self.target.stream, self.records, before if before >= 0 else StreamState.NO_STREAM)
