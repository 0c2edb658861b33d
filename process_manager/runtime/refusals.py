"""Which refusals of an append are everyday."""

from collections.abc import Iterable

from process_manager.errors import StoreError, StreamDeleted, WrongExpectedVersion
from process_manager.ports import Appended


def allow_conflicts(answers: Iterable[Appended | StoreError]) -> None:
    """Raise the first refusal that tells nothing about a stream, such as AccessDenied: it is no conflict, and would be the same again."""
    for answer in answers:
        if isinstance(answer, StoreError) and not isinstance(answer, WrongExpectedVersion | StreamDeleted):
            raise answer
