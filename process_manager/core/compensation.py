"""Undoing what was done: last step first, the runs of one step together, each confirmed before the next."""

from process_manager.core import facts
from process_manager.core.draft import Draft
from process_manager.core.instance import Instance, Run


def after_success(draft: Draft, run: Run) -> None:
    """Handle a success that no reaction follows: an undo was confirmed, or nothing needs the run any more, so that it is undone."""
    if run.undoes:
        recover(draft)
    elif run.undoable and run.fate == "undo" and not left_to_advance(draft.state, run):
        _undo(draft, draft.state.runs[run.operation])


def left_to_advance(instance: Instance, run: Run) -> bool:
    """Whether `advance` undoes this run in its turn: it belongs to the life that is being compensated. Any other run is undone at once."""
    return instance.status == "compensating" and run.life == instance.life


def after_overdue(draft: Draft, run: Run) -> None:
    """Undo a run that is not needed any more and got no answer, since it may have been done."""
    now = draft.state.runs.get(run.operation)
    if now is not None and now.undoable and now.status == "overdue" and not now.undo:
        _undo(draft, now)


def undo_surplus(draft: Draft) -> None:
    """After Complete: undo each run that is not needed and got no answer, since it may have been done."""
    for run in list(draft.state.runs.values()):
        if run.fate == "undo":
            after_overdue(draft, run)


def undo_gave_up(draft: Draft, run: Run) -> None:
    """An undo step has used up its attempts: the compensation failed, unless its target is undone by now."""
    target = draft.state.runs.get(run.undoes)
    if run.is_open and run.fate != "ignore" and (target is None or target.undo == "failed"):
        _failed(draft, run, f"{run.step} could not undo {target.step if target else run.undoes}")


def _failed(draft: Draft, run: Run, reason: str) -> None:
    draft.record(facts.CompensationFailed(step=run.step, run=run.key, operation=run.operation, reason=reason))


def failed_undos(instance: Instance) -> list[Run]:
    """The undo runs that have used up their attempts. Of each target only those that were asked for since it was last done."""
    found = []
    given_up = [run for run in instance.runs.values() if run.undoes and run.status in {"failed", "overdue"}]
    for target in [run for run in instance.runs.values() if run.undo == "failed"]:
        its = [run for run in given_up if run.undoes == target.operation]
        found += [run for run in its if run.asked >= target.settled] or its
    return found + [run for run in given_up if run.undoes not in instance.runs]


def skip_failed(draft: Draft) -> None:
    """Leave what could not be undone as it is, and go on with the rest."""
    for run in [run for run in draft.state.runs.values() if run.undo == "failed"]:
        draft.record(facts.UndoSkipped(step=run.step, run=run.key, operation=run.operation))
    recover(draft)


def recover(draft: Draft) -> None:
    """Go on where the compensation stopped, if every undo that failed was confirmed after all, is tried again, or was skipped."""
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
    """Undo as far as that is possible now: wait while runs are open, end the compensation when nothing is left to undo."""
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
    """The runs of the step that was answered last, among those that were done or may have been, and are not undone yet."""
    todo = [run for run in runs if run.undoable and run.undo == "" and run.status in {"done", "overdue"}]
    if not todo:
        return []
    last = max(todo, key=lambda run: run.settled).step
    return sorted((run for run in todo if run.step == last), key=lambda run: run.key)


def _undo(draft: Draft, run: Run) -> None:
    command = run.command.decoded(draft.definition.step(run.step).command)
    if not draft.undo(draft.definition.undo[run.step], run.operation, command):
        draft.record(facts.NothingToUndo(step=run.step, run=run.key, operation=run.operation))
