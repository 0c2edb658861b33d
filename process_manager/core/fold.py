"""Facts to state. One function for each kind of fact; no reaction runs here, so rebuilding cannot act."""

from collections.abc import Callable, Iterable
from typing import Any

from process_manager.core import facts
from process_manager.core.deadlines import LEFTOVER
from process_manager.core.facts import Fact, Input, Receipt
from process_manager.core.instance import LOOSE_RUNS, WINDOW, Fate, Instance, Kept, Payload, Run, RunStatus, Timer, Undo

Evolve = Callable[[Any, Payload], Any]
"""How a definition's own state takes in an event."""


def fold(instance: Instance, recorded: Iterable[tuple[Fact, int]], evolve: Evolve | None = None) -> Instance:
    """Take facts in, each with its revision, and return the instance, which is changed in place."""
    for fact, revision in recorded:
        apply(instance, fact, revision, evolve)
    return instance


def apply(instance: Instance, fact: Fact, revision: int, evolve: Evolve | None = None, message: Any = None) -> None:
    """Take one fact in. `message` is the decoded input or command, where the caller has it."""
    instance.revision = revision
    instance.records_since_snapshot += 1
    if isinstance(fact, Receipt):
        _remember(instance, fact.input)
        instance.taken_at = fact.now
        moves = _MOVES.get(type(fact))
        if moves is None or moves(fact):
            instance.taken_position = max(instance.taken_position, fact.input.position)
        if fact.kept:
            instance.kept.pop(fact.input.id, None)
    payload = APPLY[type(fact)](instance, fact, revision, message)
    if isinstance(fact, Receipt):
        instance.reactions.update(fact.reactions)
    if payload is not None:
        instance.events[payload.type] = payload
        if evolve is not None:
            instance.data = evolve(instance.data, payload)


_MOVES: dict[type[Fact], Callable[[Any], bool]] = {
    facts.InputKept: lambda _: False,
    facts.InputIgnored: lambda _: False,
    facts.Suspended: lambda _: False,
    facts.OperatorActed: lambda fact: fact.action in {"cancel", "compensate"},
    facts.DeadlineReached: lambda fact: fact.name != LEFTOVER,
}
"""For receipts after which a life need not have moved on: whether their input counts as its newest position. What only releases kept
inputs does not, since those stand before it in the log."""


def _remember(instance: Instance, taken: Input) -> None:
    instance.seen[taken.id] = taken.position
    if len(instance.seen) > WINDOW:
        oldest = next(iter(instance.seen))
        instance.floor = max(instance.floor, instance.seen.pop(oldest))


def _payload(taken: Input, revision: int, message: Any) -> Payload:
    return Payload(taken.type, taken.version, taken.data, revision, message)


def _started(instance: Instance, fact: facts.Started, revision: int, message: Any) -> Payload:
    if fact.life > 1:
        _forget_last_life(instance)
    instance.status = "running"
    instance.life = fact.life
    instance.definition_version = fact.definition_version
    instance.correlation = fact.correlation
    instance.started_position = fact.input.position
    instance.started_at = fact.input.time
    instance.ended_at = None
    instance.outcome = ""
    instance.compensates = False
    return _payload(fact.input, revision, message)


def _forget_last_life(instance: Instance) -> None:
    """All but what an answer that is still out would need, and the generations of deadlines, which never repeat."""
    instance.data = None
    instance.events.clear()
    instance.joins.clear()
    instance.reactions.clear()
    out = {id_: run for id_, run in instance.runs.items() if run.undoes or (run.undoable and run.status in {"open", "overdue"})}
    instance.runs = out
    instance.commands = {id_: operation for id_, operation in instance.commands.items() if operation in out}


def _answered(instance: Instance, fact: facts.StepCompleted | facts.StepFailed, revision: int, message: Any) -> Payload | None:
    run = instance.runs[fact.operation]
    payload = _payload(fact.input, revision, message)
    instance.settlements += 1
    done = isinstance(fact, facts.StepCompleted)
    retrying = isinstance(fact, facts.StepFailed) and fact.retrying
    status: RunStatus = "waiting" if retrying else "done" if done else "failed"
    run = run._replace(status=status, outcome=payload, settled=instance.settlements)
    if done and run.undo != "open":  # a success after its undo: to be undone once more
        run = run._replace(undo="")
    _settle(instance, run)
    return payload if run.life == instance.life else None


def _overdue(instance: Instance, fact: facts.StepOverdue, _revision: int, _message: Any) -> None:
    run = instance.runs[fact.operation]
    instance.settlements += 1
    _settle(instance, run._replace(status="waiting" if fact.retrying else "overdue", settled=instance.settlements))


def _settle(instance: Instance, run: Run) -> None:
    instance.runs[run.operation] = run
    if run.is_open:
        return
    if run.undoes:
        _settle_undo(instance, run)
    if not run.keep:
        loose = [
            each for each in instance.runs.values() if not each.keep and not each.is_open and not (each.undoes and each.status != "done")
        ]
        if len(loose) > LOOSE_RUNS:
            _drop(instance, loose[0])


def _settle_undo(instance: Instance, undo: Run) -> None:
    """A run is undone when each command that was asked for since it was last done, or may have been, is confirmed.

    Where none was asked for since, the one that is settled now came before the success, which is to be undone once more.
    """
    target = instance.runs.get(undo.undoes)
    if target is None or target.undo in {"done", "skipped"}:
        return
    newest = [each for each in instance.runs.values() if each.undoes == undo.undoes and each.asked >= target.settled]
    found = {each.status for each in newest or [undo]}
    state: Undo = "failed" if found & {"failed", "overdue"} else "open" if found != {"done"} else "done" if newest else ""
    instance.runs[target.operation] = target._replace(undo=state)


def _drop(instance: Instance, run: Run) -> None:
    del instance.runs[run.operation]
    for command_id in [each for each, operation in instance.commands.items() if operation == run.operation]:
        del instance.commands[command_id]


def _step_started(instance: Instance, fact: facts.StepStarted, revision: int, message: Any) -> None:
    command = Payload(fact.type, fact.command_version, fact.data, revision, message)
    operation = fact.operation or fact.id
    instance.commands[fact.id] = operation
    known = instance.runs.get(operation)
    if known is not None:
        known = known._replace(attempt=fact.attempt, status="open", command_id=fact.id, due=fact.due, moves=0)
        instance.runs[operation] = known
        _settle_undo(instance, known)
        return
    fate: Fate = "react"
    if fact.replaces and fact.replaces in instance.runs:
        fate = instance.runs[fact.replaces].fate
        _drop(instance, instance.runs[fact.replaces])
    instance.runs[operation] = Run(
        operation, fact.step, fact.run, instance.life, fact.attempt, "open", command, fact.id, fact.keep, fact.undoable,
        undoes=fact.undoes, fate=fate, due=fact.due, asked=instance.settlements,
    )  # fmt: skip
    target = instance.runs.get(fact.undoes)
    if target is not None:
        instance.runs[target.operation] = target._replace(undo="open")


def _event_taken(_instance: Instance, fact: facts.EventTaken, revision: int, message: Any) -> Payload:
    return _payload(fact.input, revision, message)


def _deadline_set(instance: Instance, fact: facts.DeadlineSet, _revision: int, _message: Any) -> None:
    run = instance.runs.get(fact.name.partition("/")[2])
    if run is not None:
        instance.runs[run.operation] = run._replace(due=fact.due, moves=run.moves + 1)
        return
    instance.timers[fact.name] = Timer(fact.generation, fact.due)


def _deadline_over(instance: Instance, fact: facts.DeadlineCancelled | facts.DeadlineReached, _revision: int, _message: Any) -> None:
    if fact.name in instance.timers:
        instance.timers[fact.name] = Timer(fact.generation, None)


def _kept(instance: Instance, fact: facts.InputKept, revision: int, _message: Any) -> None:
    instance.kept[fact.input.id] = Kept(fact.input, fact.reason, fact.until, revision)


def _expired(instance: Instance, fact: facts.InputExpired, _revision: int, _message: Any) -> None:
    instance.kept.pop(fact.expired, None)


def _suspended(instance: Instance, fact: facts.Suspended, revision: int, _message: Any) -> None:
    instance.suspended, instance.culprit = fact.error, fact.input.id
    instance.kept[fact.input.id] = Kept(fact.input, "suspended", None, revision)


def _operator_acted(instance: Instance, fact: facts.OperatorActed, _revision: int, _message: Any) -> None:
    if fact.action == "suspend":
        instance.suspended = f"by {fact.actor}: {fact.reason}"
    elif not fact.action.endswith("-deadline"):
        instance.suspended = instance.culprit = ""


def _join_decided(instance: Instance, fact: facts.JoinDecided, _revision: int, _message: Any) -> None:
    instance.joins[fact.join] = fact.reached
    for operation in fact.outstanding:
        if operation in instance.runs:
            instance.runs[operation] = _let_go(instance.runs[operation], "undo")


def _retry_planned(instance: Instance, fact: facts.RetryPlanned, _revision: int, _message: Any) -> None:
    run = instance.runs[fact.operation]
    instance.runs[fact.operation] = run._replace(status="waiting", due=fact.due, moves=0)


def _compensation_started(instance: Instance, fact: facts.CompensationStarted, _revision: int, _message: Any) -> None:
    instance.status = "compensating"
    instance.compensates = True
    instance.outcome = fact.reason
    for run in list(instance.runs.values()):
        if run.life == instance.life and not run.undoes:
            instance.runs[run.operation] = _let_go(run, "undo")


def _let_go(run: Run, fate: Fate) -> Run:
    """Note that nothing waits for a run any more: it is not tried again."""
    if run.status != "waiting":
        return run._replace(fate=fate)
    return run._replace(fate=fate, status="overdue" if run.outcome is None else "failed")


def _nothing_to_undo(instance: Instance, fact: facts.NothingToUndo, _revision: int, _message: Any) -> None:
    instance.runs[fact.operation] = instance.runs[fact.operation]._replace(undo="done")


def _undo_skipped(instance: Instance, fact: facts.UndoSkipped, _revision: int, _message: Any) -> None:
    instance.runs[fact.operation] = instance.runs[fact.operation]._replace(undo="skipped")


def _compensation_failed(instance: Instance, _fact: facts.CompensationFailed, _revision: int, _message: Any) -> None:
    if instance.status in {"compensating", "compensated", "completed"}:
        instance.status = "compensation_failed"


def _ended(instance: Instance, fact: facts.Ended, _revision: int, _message: Any) -> None:
    unclean = fact.status == "completed" and instance.undo_failed
    instance.status = "compensation_failed" if unclean else fact.status  # type: ignore[assignment]  # written by us, one of Status
    instance.outcome = fact.outcome
    instance.ended_position = instance.taken_position
    instance.ended_at = instance.taken_at
    for run in list(instance.runs.values()):
        if run.life != instance.life:
            continue
        if fact.status == "cancelled":
            instance.runs[run.operation] = _let_go(run, "ignore")
        elif not run.undoes and (run.fate == "react" or fact.status == "aborted"):
            instance.runs[run.operation] = _let_go(run, "undo" if run.operation in fact.surplus else "ignore")


def _nothing(_instance: Instance, _fact: Fact, _revision: int, _message: Any) -> None:
    """A fact that only readers need."""


def _snapshot(instance: Instance, _fact: facts.SnapshotTaken, _revision: int, _message: Any) -> None:
    instance.records_since_snapshot = 0


APPLY: dict[type[Fact], Callable[[Instance, Any, int, Any], Payload | None]] = {
    facts.Started: _started,
    facts.StepCompleted: _answered,
    facts.StepFailed: _answered,
    facts.StepOverdue: _overdue,
    facts.StepStarted: _step_started,
    facts.EventTaken: _event_taken,
    facts.DeadlineSet: _deadline_set,
    facts.DeadlineCancelled: _deadline_over,
    facts.DeadlineReached: _deadline_over,
    facts.InputKept: _kept,
    facts.InputExpired: _expired,
    facts.InputIgnored: _nothing,
    facts.Suspended: _suspended,
    facts.OperatorActed: _operator_acted,
    facts.Decided: _nothing,
    facts.JoinDecided: _join_decided,
    facts.RetryPlanned: _retry_planned,
    facts.CompensationStarted: _compensation_started,
    facts.NothingToUndo: _nothing_to_undo,
    facts.CompensationFailed: _compensation_failed,
    facts.UndoSkipped: _undo_skipped,
    facts.Ended: _ended,
    facts.SnapshotTaken: _snapshot,
    facts.Foreign: _nothing,
}
