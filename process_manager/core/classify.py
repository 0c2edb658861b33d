"""What an event means to an instance at this moment. Pure; every (event, situation) has an answer."""

from typing import Literal, NamedTuple

from process_manager.core.codec import decode
from process_manager.core.definition import Definition, Handled
from process_manager.core.facts import Input
from process_manager.core.instance import Instance, Run
from process_manager.core.joins import holds
from process_manager.core.messages import Event
from process_manager.core.reactions import DEFAULT_EARLY, IGNORE, Early, Policy, Reaction, Wait
from process_manager.core.steps import AnyStep

Meaning = Literal["start", "done", "failed", "event", "early", "ignore", "fail"]


class Verdict(NamedTuple):
    """What an event means to an instance.

    An answer comes with its `run` and how it was matched, an event that is taken with its `reaction`, any other with a `reason`, an early
    one with its `policy` too.
    """

    meaning: Meaning
    reaction: Reaction | None = None
    run: Run | None = None
    matched_by: str = "causation"
    reason: str = ""
    policy: Early = DEFAULT_EARLY
    error: Exception | None = None  # why it fails, where that was raised


def classify(definition: Definition, instance: Instance, taken: Input) -> Verdict:
    """What a domain event means to an instance now."""
    handled = definition.handled.get(taken.type)
    asked = _asked(instance, taken)
    if asked is not None and _missed(definition, asked) and asked.status != "done":
        return Verdict("fail", reason=f"it answers {asked.step}, a step that the class has no more: put it back and retry")
    if handled is None:
        return Verdict("ignore", reason="this version of the definition has no use for it")
    verdict = _answer(definition, handled, instance, taken) if handled.answers else None
    return verdict or _as_event(definition, handled, instance, taken)


def _as_event(definition: Definition, handled: Handled, instance: Instance, taken: Input) -> Verdict:
    """What an event means that answers no command."""
    if handled.starts is not None:
        return _starting(handled, instance, taken, handled.starts)
    if instance.status == "not_started":
        return _early(handled, "the instance has not started")
    if instance.ended and _again(definition) and taken.position > instance.ended_position and not handled.answers:
        return _early(handled, "the next life has not started")
    if instance.status != "running":
        return _late(handled, f"the instance is {instance.status}")
    if _earlier(instance, taken):
        return _late(handled, "it belongs to an earlier life")
    return _now(definition, handled, instance, taken)


def _earlier(instance: Instance, taken: Input, *, answers: bool = False) -> bool:
    """Whether an event belongs to an earlier life: it stands before the end of the last one in the log, while that position is known.

    What stands between two lives belongs to the later one, but for an answer: the later one had not given its command yet.
    """
    begins = instance.started_position if instance.ended or answers else instance.ended_position
    return instance.life > 1 and taken.position < begins


def _answer(definition: Definition, handled: Handled, instance: Instance, taken: Input) -> Verdict | None:
    """What an answer to a command means; None when it has to be judged as an event from outside."""
    run, cause = _asked(instance, taken), taken.meta.get("$causationId")
    if run is not None:
        return _answer_to(handled, run)
    if cause is not None:
        return Verdict("ignore", reason=f"it answers {cause}, which this instance did not ask for")
    if _earlier(instance, taken, answers=True):
        return _late(handled, "it belongs to an earlier life")
    open_runs = [run for run in _meant(handled, instance, taken) if run.is_open]
    if len(open_runs) == 1:
        verdict = _answer_to(handled, open_runs[0])
        return Verdict(verdict.meaning, run=verdict.run, matched_by="only one open", reason=verdict.reason)
    if len(open_runs) > 1:
        return _late(handled, f"it names no command and {len(open_runs)} operations are open")
    return _answer_to_the_missing(definition, instance, taken)


def _answer_to_the_missing(definition: Definition, instance: Instance, taken: Input) -> Verdict | None:
    """What an answer without causation may be where the class has lost, or renamed, a step that waits for one.

    What was early while the class had the step has not answered it.
    """
    kept = instance.kept.get(taken.id)
    if kept is not None and kept.until is not None:
        return None
    for run in instance.runs.values():
        if run.is_open and run.life == instance.life and _missed(definition, run):
            return Verdict("fail", reason=f"it may answer {run.step}, a step that the class has no more: put it back and retry")
    return None


def _missed(definition: Definition, run: Run) -> bool:
    """Whether the class has lost the step of a run whose answer something may follow from."""
    return run.step not in definition.steps and run.matters


def _asked(instance: Instance, taken: Input) -> Run | None:
    """The run whose command the event names as its cause."""
    cause = taken.meta.get("$causationId")
    return instance.run_of_command(cause) if isinstance(cause, str) else None


def _meant(handled: Handled, instance: Instance, taken: Input) -> list[Run]:
    """The runs of this life that an answer without causation may mean: by step and, where the event has it, by key."""
    steps = {step.name: step for step in (*handled.done, *handled.failed)}
    runs = [run for run in instance.runs.values() if run.step in steps and run.life == instance.life]
    if all(steps[run.step].each is None for run in runs):
        return runs
    event = decode(handled.event, taken.version, taken.data)
    return [run for run in runs if _key(steps[run.step], event) in {None, run.key}]


def _key(step: AnyStep, event: Event) -> str | None:
    try:
        return step.run_key(event)
    except (AttributeError, LookupError, TypeError, ValueError):
        return None  # the event does not say


def _answer_to(handled: Handled, run: Run) -> Verdict:
    done = any(step.name == run.step for step in handled.done)
    if not done and not any(step.name == run.step for step in handled.failed):
        return Verdict("ignore", reason=f"it is no answer to the step {run.step}")
    if run.status == "done" or (run.outcome is not None and not done):
        return Verdict("ignore", reason=f"the step {run.step} was answered before")
    return Verdict("done" if done else "failed", run=run)


def _again(definition: Definition) -> bool:
    return any(each.mark.again for each in definition.reactions)


def _starting(handled: Handled, instance: Instance, taken: Input, reaction: Reaction) -> Verdict:
    if instance.status == "not_started":
        return Verdict("start", reaction=reaction)
    if instance.ended:
        if reaction.mark.again and taken.position > instance.ended_position:
            return Verdict("start", reaction=reaction)
        return _late(handled, f"the instance is {instance.status}")
    if instance.status != "running":
        verdict = _late(handled, f"the instance is {instance.status}")
    elif _earlier(instance, taken):
        verdict = _late(handled, "it belongs to an earlier life")
    elif taken.type in instance.events:
        verdict = Verdict("ignore", reason="the instance was started by such an event before")
    else:
        return Verdict("event", reaction=reaction)
    if reaction.mark.again and taken.position > instance.started_position:  # the end that stands before it may come after it
        return _early(handled, "the next life has not started")
    return verdict


def _early(handled: Handled, reason: str) -> Verdict:
    policy = handled.on.mark.early if handled.on else DEFAULT_EARLY
    if isinstance(policy, Wait):
        return Verdict("early", reason=reason, policy=policy)
    return _by_policy(policy, f"early: {reason}")


def _late(handled: Handled, reason: str) -> Verdict:
    return _by_policy(handled.on.mark.late if handled.on else IGNORE, f"late: {reason}")


def _by_policy(policy: Policy, reason: str) -> Verdict:
    return Verdict("ignore" if policy is IGNORE else "fail", reason=reason)


def _now(definition: Definition, handled: Handled, instance: Instance, taken: Input) -> Verdict:
    if handled.answers:
        ran = _meant(handled, instance, taken)
        return _late(handled, "its step is not open any more") if ran else _early(handled, "its step has not started")
    assert handled.on is not None
    after = handled.on.mark.after
    if after is not None and not holds(definition, instance, after):
        return _early(handled, f"{after.name} is not reached")
    return Verdict("event", reaction=handled.on)
