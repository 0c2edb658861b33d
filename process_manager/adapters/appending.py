"""The rules of an append that hold wherever it is stored, as pure functions."""

from collections.abc import Sequence
from enum import Enum, auto

from process_manager.errors import AppendTooLarge
from process_manager.ports import MAX_APPEND, Block, ExpectedVersion, StreamState


class Verdict(Enum):
    """What an expected version says about an append."""

    WRITE = auto()
    COMPARE = auto()  # the version has passed: a repeat if the ids that stand there are these
    CONFLICT = auto()


def verdict(expected: ExpectedVersion, actual: int | None) -> Verdict:
    """Judge an expected version against the revision of the stream's last record, None where there is no stream."""
    if isinstance(expected, int):
        if actual is None or expected > actual:
            return Verdict.CONFLICT
        return Verdict.WRITE if expected == actual else Verdict.COMPARE
    if expected is StreamState.NO_STREAM:
        return Verdict.WRITE if actual is None else Verdict.COMPARE
    if expected is StreamState.EXISTS and actual is None:
        return Verdict.CONFLICT
    return Verdict.WRITE


def first_revision(expected: ExpectedVersion) -> int:
    """Where the first record of a block with an exact expected version belongs."""
    return expected + 1 if isinstance(expected, int) else 0


def check_blocks(blocks: Sequence[Block]) -> None:
    """Raise ValueError for what no store could append, before anything is written."""
    if len({block.stream for block in blocks}) < len(blocks):
        raise ValueError("two blocks name one stream: make them one block")
    for block in blocks:
        _check(block)


def _check(block: Block) -> None:
    if not block.stream or "\0" in block.stream:
        raise ValueError(f"{block.stream!r} cannot name a stream: it is empty or holds a NUL")
    if not block.records:
        raise ValueError(f"an append to {block.stream!r} holds no records")
    if isinstance(block.expected, int) and block.expected < 0:
        raise ValueError(f"expected version {block.expected} is below 0: say NO_STREAM, ANY or EXISTS")
    for record in block.records:
        if not record.type or len(record.id) != 36:
            raise ValueError(f"a record for {block.stream!r} has no type, or an id that is no UUID: {record.id!r}")


def block_size(block: Block) -> int:
    """Bytes that count towards the limit; `NewRecord.size` of each, without a call for each."""
    return sum([len(data) + len(metadata) + 2 * len(type_) for _, type_, data, metadata in block.records])


def too_large(block: Block, size: int) -> AppendTooLarge | None:
    return AppendTooLarge(block.stream, size, MAX_APPEND) if size > MAX_APPEND else None
