"""What somebody does to an instance by hand: whether it applies, and what follows. Each action is a fact with actor and reason."""

from collections.abc import Callable

from process_manager.core import answers, compensation, facts
from process_manager.core.deadlines import EXPIRY, LEFTOVER, generation, pending
from process_manager.core.draft import Draft
from process_manager.core.effects import Compensate
from process_manager.core.instance import Instance, Kept
from process_manager.core.signals import Action, OperatorAction


def refusal(instance: Instance, asked: OperatorAction) -> str:
    """Why an action does not apply to an instance as it is; "" when it does."""
    return _REFUSALS[asked.action](instance, asked)


def operate(draft: Draft, asked: OperatorAction) -> None:
    """Do what is asked, or record why not."""
    why = refusal(draft.state, asked)
    if why:
        draft.ignore(f"{asked.action} by {asked.actor} does not apply: {why}")
        return
    culprit = draft.state.kept.get(draft.state.culprit)
    draft.receive(facts.OperatorActed(**draft.about(), action=asked.action, actor=asked.actor, reason=asked.reason))
    _follow(draft, asked, culprit)


def _follow(draft: Draft, asked: OperatorAction, culprit: Kept | None) -> None:
    """What a turn does anyway is not done here: kept inputs are offered once the instance is not suspended any more."""
    match asked.action:
        case "retry" if culprit is None:
            _retry_undos(draft)
        case "skip" if culprit is None:
            compensation.skip_failed(draft)
        case "skip":
            _skip(draft, culprit, asked)
        case "cancel":
            _cancel(draft, culprit, asked)
        case "compensate":
            draft.follow(Compensate(asked.reason))
        case "move-deadline":
            _move(draft, asked)
        case "cancel-deadline":
            draft.cancel_deadline(asked.deadline)
        case _:
            pass


def _retry_undos(draft: Draft) -> None:
    for run in compensation.failed_undos(draft.state):
        answers.next_attempt(draft, run)
    compensation.recover(draft)


def _skip(draft: Draft, culprit: Kept | None, asked: OperatorAction) -> None:
    if culprit is not None:
        draft.input = culprit.input
        draft.ignore(f"{asked.action} by {asked.actor}: {asked.reason}")
        draft.input = draft.main


def _cancel(draft: Draft, culprit: Kept | None, asked: OperatorAction) -> None:
    _skip(draft, culprit, asked)
    draft.cancel_deadlines()
    draft.record(facts.Ended(status="cancelled", outcome=asked.reason))


def _move(draft: Draft, asked: OperatorAction) -> None:
    assert asked.due is not None
    run = draft.state.runs.get(asked.deadline.partition("/")[2])
    if run is None:
        draft.set_deadline(asked.deadline, asked.due)
    else:
        moved = generation(run._replace(moves=run.moves + 1))
        draft.record(facts.DeadlineSet(name=asked.deadline, generation=moved, due=asked.due))


def _taking_again(instance: Instance, _: OperatorAction) -> str:
    if instance.suspended:
        return "" if instance.culprit else "somebody suspended it: resume it"
    if instance.status == "cancelled":
        return "it is cancelled"
    return "" if instance.undo_failed or instance.status == "compensation_failed" else "nothing is suspended, and no undo has failed"


def _cancelling(instance: Instance, _: OperatorAction) -> str:
    if instance.status == "not_started":
        return "it has not started" + (": skip what suspended it" if instance.culprit else "")
    return f"it is {instance.status}" if instance.ended else ""


def _compensating(instance: Instance, _: OperatorAction) -> str:
    if instance.status == "compensation_failed":
        return "its compensation has failed: retry or skip what could not be undone"
    return "" if instance.status == "running" else _status(instance)


def _suspending(instance: Instance, _: OperatorAction) -> str:
    if instance.suspended:
        return "it is suspended already"
    return _status(instance) if instance.ended else ""


def _resuming(instance: Instance, _: OperatorAction) -> str:
    if not instance.suspended:
        return "it is not suspended"
    return "an input could not be taken: retry it, or skip it" if instance.culprit else ""


def _moving(instance: Instance, asked: OperatorAction) -> str:
    if asked.due is None:
        return "it does not say to when"
    if asked.deadline == LEFTOVER or asked.deadline.startswith(EXPIRY):
        return "it is no deadline of the process"
    return "" if any(each.name == asked.deadline for each in pending(instance)) else f"no deadline {asked.deadline} is set"


def _cancelling_deadline(instance: Instance, asked: OperatorAction) -> str:
    if "/" in asked.deadline:
        return "without its deadline a step would wait for ever: move it"
    timer = instance.timers.get(asked.deadline)
    return "" if timer is not None and timer.due is not None else f"no deadline {asked.deadline} is set"


def _status(instance: Instance) -> str:
    return "it has not started" if instance.status == "not_started" else f"it is {instance.status}"


_REFUSALS: dict[Action, Callable[[Instance, OperatorAction], str]] = {
    "retry": _taking_again,
    "skip": _taking_again,
    "cancel": _cancelling,
    "suspend": _suspending,
    "resume": _resuming,
    "compensate": _compensating,
    "move-deadline": _moving,
    "cancel-deadline": _cancelling_deadline,
}
