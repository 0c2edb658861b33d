"""Tells refusals of an append that a runner expects from those that end its step."""

from collections.abc import Iterable

from process_manager.errors import StoreError, StreamDeleted, WrongExpectedVersion
from process_manager.ports import Appended


def allow_conflicts(answers: Iterable[Appended | StoreError]) -> None:
    """Raise the first refusal that is not about a stream's version or deletion, such as AccessDenied: trying again would not help."""
    for answer in answers:
        if isinstance(answer, StoreError) and not isinstance(answer, WrongExpectedVersion | StreamDeleted):
            raise answer
