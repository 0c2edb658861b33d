"""Undoing what was done: last step first, the runs of one step together, each confirmed before the next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from process_manager.core import facts
from process_manager.core.instance import Run

if TYPE_CHECKING:
    from process_manager.core.turn import Taking


def after_success(turn: Taking, run: Run) -> None:
    """A success that leads to no reaction: an undo's confirmation, or one that nobody waits for any more."""
    if run.undoes:
        _undo_recovered(turn)
    elif run.undoable and run.fate == "undo" and turn.state.status != "compensating":
        _undo(turn, turn.state.runs[run.operation])


def undo_gave_up(turn: Taking, run: Run) -> None:
    """An undo step has used up its attempts."""
    if not run.is_open:
        return
    turn.record(
        facts.CompensationFailed(
            step=run.step, run=run.key, operation=run.operation, reason=f"{run.step} could not undo {_undone_step(turn, run)}"
        )
    )


def _undone_step(turn: Taking, run: Run) -> str:
    target = turn.state.runs.get(run.undoes)
    return target.step if target else run.undoes


def _undo_recovered(turn: Taking) -> None:
    """A late confirmation of an undo that had been given up: go on where it stopped."""
    state = turn.state
    if state.status == "compensation_failed" and not any(run.undo == "failed" for run in state.runs.values()):
        turn.record(facts.CompensationStarted(reason=state.outcome))


def advance(turn: Taking) -> None:
    """Take a compensation as far as it can go now."""
    while turn.state.status == "compensating":
        runs = [run for run in turn.state.runs.values() if run.life == turn.state.life]
        if any(run.is_open and (run.undoable or run.undoes) for run in runs):
            return
        group = _last_done(runs)
        if not group:
            turn.record(facts.Ended(status="compensated", outcome=turn.state.outcome))
            return
        for run in group:
            _undo(turn, run)


def _last_done(runs: list[Run]) -> list[Run]:
    """The runs of the step that was answered last, of those that are done or may be, and not undone."""
    todo = [run for run in runs if run.undoable and run.undo == "" and run.status in {"done", "overdue"}]
    if not todo:
        return []
    last = max(todo, key=lambda run: run.settled).step
    return sorted((run for run in todo if run.step == last), key=lambda run: run.key)


def _undo(turn: Taking, run: Run) -> None:
    definition = turn.definition
    step = definition.steps[run.step]
    before = len(turn.state.runs)
    turn.undoing = run.operation
    turn.react(definition.undo[run.step], run.command.decoded(step.command))
    turn.undoing = ""
    if len(turn.state.runs) == before:
        turn.record(facts.NothingToUndo(step=run.step, run=run.key, operation=run.operation))
