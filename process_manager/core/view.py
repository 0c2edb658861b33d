"""An instance's state as named values, to show and to compare. Ids and counters that say nothing to people are left out."""

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from process_manager.core.instance import Instance, Run, Undo

View = dict[str, Any]
"""Names of things to their values, all of them JSON or times."""

Changes = dict[str, tuple[Any, Any]]
"""Names of things to their values before and after; None where there was or is nothing."""


def view(instance: Instance) -> View:
    """The state: status, runs of steps, deadlines, joins, what is kept, and the definition's own state where it is known."""
    return {name: value for name, value in _things(instance) if value not in ("", None)}


def changes(before: View, after: View) -> Changes:
    """What differs."""
    names = dict.fromkeys((*before, *after))
    return {name: (before.get(name), after.get(name)) for name in names if before.get(name) != after.get(name)}


def _things(instance: Instance) -> Iterator[tuple[str, Any]]:
    yield "status", instance.status
    yield "life", instance.life if instance.life > 1 else None
    yield "outcome", instance.outcome
    yield "suspended", instance.suspended
    for run in instance.runs.values():
        yield f"step {called(run)}", _status(run)
    for join, reached in instance.joins.items():
        yield f"join {join}", "reached" if reached else "out of reach"
    for name, timer in instance.timers.items():
        yield f"deadline {name}", timer.due
    for kept in instance.kept.values():
        yield f"kept {kept.input.type} {kept.input.id}", kept.reason
    if isinstance(instance.data, BaseModel):
        for name, value in instance.data.model_dump(mode="json").items():
            yield f"state {name}", value


def called(run: Run) -> str:
    """A run as people call it."""
    return f"{run.step} [{run.key}]" if run.key else run.step


_UNDO: dict[Undo, str] = {"open": "being undone", "done": "undone", "failed": "undo failed", "skipped": "left undone by hand"}


def _status(run: Run) -> str:
    words: list[str] = [run.status if run.status != "waiting" else "waiting for its next attempt"]
    words += [f"attempt {run.attempt}"] if run.attempt > 1 else []
    words += [_UNDO[run.undo]] if run.undo else []
    return ", ".join(words)
