"""What becomes of a run: done, failed, overdue or parked, tried again or given up."""

from process_manager.core import compensation, facts
from process_manager.core.classify import Verdict
from process_manager.core.draft import Draft
from process_manager.core.instance import Run
from process_manager.core.joins import left_to_joins, reaction_to_loss
from process_manager.core.messages import Message
from process_manager.core.retry import Retry
from process_manager.core.signals import CommandParked, DeadlinePassed
from process_manager.errors import ReactionError


def done(draft: Draft, verdict: Verdict, message: Message | None) -> None:
    """The input is the success of a run."""
    run = _run_of(verdict)
    draft.receive(
        facts.StepCompleted(
            **draft.about(), step=run.step, run=run.key, operation=run.operation, attempt=run.attempt, matched_by=verdict.matched_by
        ),
        message,
    )
    if run.undoes or not run.is_open or run.fate != "react" or run.life != draft.state.life:
        compensation.after_success(draft, run)
    elif draft.state.status == "running":
        _follow_success(draft, run)


def _follow_success(draft: Draft, run: Run) -> None:
    handled = draft.definition.handled[draft.input.type]
    if handled.reaction is not None:
        draft.react(handled.reaction, draft.state.events[draft.input.type].decoded(handled.event))
    else:
        draft.follow(draft.definition.step(run.step).then)


def failed(draft: Draft, verdict: Verdict, message: Message | None) -> None:
    """The input is the refusal of a run."""
    run = _run_of(verdict)
    retry = _retry(draft, run)
    again = retry.refusals and run.attempt < retry.attempts and _may_try(draft, run)
    draft.receive(
        facts.StepFailed(
            **draft.about(), step=run.step, run=run.key, operation=run.operation, attempt=run.attempt, retrying=again,
            matched_by=verdict.matched_by,
        ),
        message,
    )  # fmt: skip
    _try_again(draft, run) if again else _given_up(draft, run)


def deadline(draft: Draft, run: Run, passed: DeadlinePassed) -> None:
    """The deadline of an attempt passed, or the wait before the next one."""
    if run.status == "waiting":
        draft.receive(facts.DeadlineReached(**draft.about(), name=passed.name, generation=passed.generation))
        next_attempt(draft, run)
    else:
        _no_answer(draft, run, "overdue")


def parked(draft: Draft, signal: CommandParked) -> None:
    """A command's handler has given up. An older attempt's handler may: the newer attempt is still out."""
    run = draft.state.run_of_command(signal.command_id)
    if run is None or not run.is_open:
        draft.ignore("the step of the parked command was answered before")
    elif run.command_id != signal.command_id:
        draft.ignore("a newer attempt is under way")
    elif run.status == "waiting":
        draft.ignore("its attempt has ended, and the next one is planned")
    else:
        _no_answer(draft, run, f"parked: {signal.reason}", in_vain=signal.unread)


def _no_answer(draft: Draft, run: Run, reason: str, *, in_vain: bool = False) -> None:
    again = not in_vain and _may_try(draft, run) and run.attempt < _retry(draft, run).attempts
    draft.receive(
        facts.StepOverdue(
            **draft.about(), step=run.step, run=run.key, operation=run.operation, attempt=run.attempt, retrying=again, reason=reason
        )
    )
    _try_again(draft, run) if again else _given_up(draft, run)


def _run_of(verdict: Verdict) -> Run:
    assert verdict.run is not None
    return verdict.run


def _may_try(draft: Draft, run: Run) -> bool:
    """No step is started once the process ends; undo steps are tried until it is cancelled."""
    return run.is_open and (run.fate != "ignore" if run.undoes else draft.state.status == "running" and run.fate == "react")


def _retry(draft: Draft, run: Run) -> Retry:
    return draft.definition.retry_of(draft.definition.step(run.step))


def _try_again(draft: Draft, run: Run) -> None:
    delay = _retry(draft, run).delay(run.attempt)
    if delay:
        due = draft.now + delay
        draft.record(facts.RetryPlanned(step=run.step, run=run.key, operation=run.operation, attempt=run.attempt + 1, due=due))
    else:
        next_attempt(draft, draft.state.runs[run.operation])


def next_attempt(draft: Draft, run: Run) -> None:
    """After a refusal a new operation, after no answer the same one."""
    step = draft.definition.step(run.step)
    refused = run.outcome is not None
    draft.issue(
        step, run.command.decoded(step.command), run.key, attempt=run.attempt + 1,
        operation="" if refused else run.operation, replaces=run.operation if refused else "", undoes=run.undoes,
    )  # fmt: skip


def _given_up(draft: Draft, run: Run) -> None:
    """What follows from a run that failed or is overdue for good."""
    if run.undoes:
        compensation.undo_gave_up(draft, run)
    elif run.fate == "undo" and not compensation.left_to_advance(draft.state, run):
        compensation.after_overdue(draft, run)
    elif (
        draft.state.status == "running"
        and run.fate == "react"
        and run.is_open
        and not left_to_joins(draft.definition, draft.state, draft.state.runs[run.operation])
    ):
        consequence(draft, run.operation)


def consequence(draft: Draft, operation: str) -> None:
    """Run what the definition says about a run that failed or is overdue."""
    run = draft.state.runs[operation]
    step = draft.definition.step(run.step)
    reaction = reaction_to_loss(draft.definition, run)
    if reaction is not None and run.status == "failed" and run.outcome is not None:
        draft.react(reaction, run.outcome.decoded(draft.definition.handled[run.outcome.type].event))
    elif reaction is not None:
        draft.react(reaction, run.command.decoded(step.command))
    elif step.otherwise is None:
        raise ReactionError(f"the step {step.name} got no answer and says nothing about that: give it otherwise=, or within=FOREVER")
    else:
        draft.follow(step.otherwise)
