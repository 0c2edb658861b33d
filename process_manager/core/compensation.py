"""Undoing what was done: last step first, the runs of one step together, each confirmed before the next."""

from process_manager.core import facts
from process_manager.core.draft import Draft
from process_manager.core.instance import Instance, Run


def after_success(draft: Draft, run: Run) -> None:
    """A success that leads to no reaction: an undo's confirmation, or one that nobody waits for any more."""
    if run.undoes:
        recover(draft)
    elif run.undoable and run.fate == "undo" and not left_to_advance(draft, run):
        _undo(draft, draft.state.runs[run.operation])


def left_to_advance(draft: Draft, run: Run) -> bool:
    """A run of the life that is being compensated is undone in its turn; one of an earlier life at once."""
    return draft.state.status == "compensating" and run.life == draft.state.life


def after_overdue(draft: Draft, run: Run) -> None:
    """A run that is not needed any more got no answer: it may have been done all the same."""
    now = draft.state.runs.get(run.operation)
    if now is not None and now.undoable and now.status == "overdue" and not now.undo:
        _undo(draft, now)


def undo_surplus(draft: Draft) -> None:
    """The process has completed: what is not needed and got no answer may have been done."""
    for run in list(draft.state.runs.values()):
        if run.fate == "undo":
            after_overdue(draft, run)


def undo_gave_up(draft: Draft, run: Run) -> None:
    """An undo step has used up its attempts."""
    target = draft.state.runs.get(run.undoes)
    if run.is_open and run.fate != "ignore" and (target is None or target.undo == "failed"):
        _failed(draft, run, f"{run.step} could not undo {target.step if target else run.undoes}")


def _failed(draft: Draft, run: Run, reason: str) -> None:
    draft.record(facts.CompensationFailed(step=run.step, run=run.key, operation=run.operation, reason=reason))


def failed_undos(instance: Instance) -> list[Run]:
    """The undo runs that have used up their attempts: of each target the newest ones, asked for since it was last done."""
    found = []
    given_up = [run for run in instance.runs.values() if run.undoes and run.status in {"failed", "overdue"}]
    for target in [run for run in instance.runs.values() if run.undo == "failed"]:
        its = [run for run in given_up if run.undoes == target.operation]
        found += [run for run in its if run.asked >= target.settled] or its
    return found + [run for run in given_up if run.undoes not in instance.runs]


def skip_failed(draft: Draft) -> None:
    """What could not be undone stays as it is; go on with the rest."""
    for run in [run for run in draft.state.runs.values() if run.undo == "failed"]:
        draft.record(facts.UndoSkipped(step=run.step, run=run.key, operation=run.operation))
    recover(draft)


def recover(draft: Draft) -> None:
    """An undo that had been given up is confirmed after all, tried again, or skipped: go on where the compensation stopped."""
    state = draft.state
    if state.status != "compensation_failed" or state.undo_failed:
        return
    if state.compensates:
        draft.record(facts.CompensationStarted(reason=state.outcome))
    else:
        draft.record(facts.Ended(status="completed", outcome=state.outcome, left_undone=_left_undone(state)))


def _left_undone(instance: Instance) -> list[str]:
    return sorted({run.step for run in instance.runs.values() if run.undo == "skipped" and run.life == instance.life})


def advance(draft: Draft) -> None:
    """Take a compensation as far as it can go now."""
    while draft.state.status == "compensating":
        runs = [run for run in draft.state.runs.values() if run.life == draft.state.life]
        if any(run.is_open and (run.undoable or run.undoes) for run in runs):
            return
        group = _last_done(runs)
        for run in group:
            _undo(draft, run)
        if not group:
            _end(draft)


def _end(draft: Draft) -> None:
    failed = next((run for run in draft.state.runs.values() if run.undo == "failed"), None)
    if failed is None:
        draft.record(facts.Ended(status="compensated", outcome=draft.state.outcome, left_undone=_left_undone(draft.state)))
    else:
        _failed(draft, failed, f"{failed.step} was not undone")


def _last_done(runs: list[Run]) -> list[Run]:
    """The runs of the step that was answered last, of those that are done or may be, and not undone."""
    todo = [run for run in runs if run.undoable and run.undo == "" and run.status in {"done", "overdue"}]
    if not todo:
        return []
    last = max(todo, key=lambda run: run.settled).step
    return sorted((run for run in todo if run.step == last), key=lambda run: run.key)


def _undo(draft: Draft, run: Run) -> None:
    command = run.command.decoded(draft.definition.step(run.step).command)
    if not draft.undo(draft.definition.undo[run.step], run.operation, command):
        draft.record(facts.NothingToUndo(step=run.step, run=run.key, operation=run.operation))
