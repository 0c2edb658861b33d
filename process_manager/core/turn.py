"""One input taken to one block: `take` is a pure function of definition, instance, input and `now`."""

from collections import deque
from dataclasses import dataclass, field, replace
from datetime import datetime
from traceback import walk_tb

from process_manager.core import answers, facts
from process_manager.core.classify import Verdict, classify
from process_manager.core.deadlines import LEFTOVER, reached
from process_manager.core.definition import Definition
from process_manager.core.draft import Draft
from process_manager.core.facts import Fact, Input
from process_manager.core.instance import Instance, Kept, Run
from process_manager.core.messages import Message
from process_manager.core.operator import operate
from process_manager.core.reactions import Reaction, Wait
from process_manager.core.records import NewRecord
from process_manager.core.settling import settle
from process_manager.core.signals import (
    ADDRESSED,
    COMMAND_PARKED,
    DEADLINE_PASSED,
    OPERATOR_ACTION,
    CommandParked,
    DeadlinePassed,
    OperatorAction,
)
from process_manager.errors import NewerFact, ReactionError

TOLD = 10_000
"""Characters of what a reaction raised that are kept."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What a turn comes to: the instance after it, the records to append, the facts they hold, and, for a log, what a reaction raised."""

    instance: Instance
    records: list[NewRecord]
    facts: list[Fact]
    error: Exception | None = field(default=None, compare=False)


def take(definition: Definition, instance: Instance, taken: Input, now: datetime, message: Message | None = None) -> Turn:
    """Take one input that the instance does not know yet. `message` is the input decoded, where the caller has it.

    When a reaction raises, nothing of its input is left but one fact: the instance is suspended, with the input and the
    error. An input that is ignored by an instance without a stream leaves no records at all.
    Raises NewerFact when only a newer version can read what the turn needs.
    """
    draft = Draft(definition, instance, taken, now)
    try:
        _run(draft, message)
    except NewerFact:
        raise
    except Exception as error:  # noqa: BLE001  whatever user code raises, it would raise again
        return replace(_suspended(draft, instance, message, _told(draft, error)), error=error)
    return _turn(draft)


def _told(draft: Draft, error: Exception) -> str:
    """The error as text, with the reaction it was raised in and the innermost line of the definition's own module."""
    module = draft.definition.cls.__module__
    frames = [(frame.f_code.co_filename, line) for frame, line in walk_tb(error.__traceback__) if frame.f_globals["__name__"] == module]
    where = [draft.reacting] if draft.reacting else []
    where += [f"{file.rpartition('/')[2]}:{line}" for file, line in frames[-1:]]
    return f"{type(error).__name__}: {error}"[:TOLD] + (f" ({', '.join(where)})" if where else "")


def suspend(definition: Definition, instance: Instance, taken: Input, now: datetime, error: str) -> Turn:
    """The turn of an input that cannot be taken."""
    draft = Draft(definition, instance, taken, now)
    draft.receive(facts.Suspended(**draft.about(), error=error))
    return _turn(draft)


def _turn(draft: Draft) -> Turn:
    return Turn(draft.state, draft.records(), draft.facts)


def _suspended(failed: Draft, instance: Instance, message: Message | None, error: str) -> Turn:
    """The turn in which something raised: of the culprit nothing is left but the suspension.

    The culprit is the turn's own input, or a kept one that was offered again; what the turn took before that one stays.
    """
    main, culprit = failed.main, failed.input
    if culprit.id == main.id:
        return suspend(failed.definition, instance, main, failed.now, error)
    draft = Draft(failed.definition, instance, main, failed.now)
    try:
        _run(draft, message, until=culprit.id)
    except Exception:  # noqa: BLE001  a reaction that is not pure does not do again what it did: nothing of the turn can be kept
        return suspend(failed.definition, instance, main, failed.now, error)
    draft.input = culprit
    draft.receive(facts.Suspended(**draft.about(), error=error))
    return _turn(draft)


def _run(draft: Draft, message: Message | None, until: str = "") -> None:
    if reason := _behind(draft):
        draft.receive(facts.InputKept(input=draft.input, now=draft.now, reason=reason))
    else:
        _take_one(draft, _verdict(draft, draft.input), message)
    if not draft.state.suspended:
        _offer_kept(draft, until)


def _behind(draft: Draft) -> str:
    """Why an input has to wait behind kept ones; "" when it is taken now. An operator's action always is."""
    if draft.input.type == OPERATOR_ACTION:
        return ""
    if draft.state.suspended:
        return "suspended"
    leftover = draft.state.timers.get(LEFTOVER)
    if leftover is not None and leftover.due is not None:
        goes_first = draft.input.type != DEADLINE_PASSED or DeadlinePassed.read(draft.input.data).name != LEFTOVER
    else:
        goes_first = any(not _still_early(kept, _verdict(draft, kept.input)) for kept in draft.state.kept.values())
    return "what was kept before it comes first" if goes_first else ""


def _still_early(kept: Kept, verdict: Verdict | None) -> bool:
    """Whether a kept input goes on waiting. Only a changed class can make it fit before the next turn has changed the state."""
    return verdict is not None and verdict.meaning == "early" and kept.until is not None


def _verdict(draft: Draft, taken: Input) -> Verdict | None:
    """What an event means; None for a signal. An error while judging it counts as that event's failure, not as the turn's."""
    if taken.type in ADDRESSED:
        return None
    try:
        return classify(draft.definition, draft.state, taken)
    except NewerFact:
        raise
    except Exception as error:  # noqa: BLE001  an event that cannot be decoded any more, a join's own function
        return Verdict("fail", error=error)


def _take_one(draft: Draft, verdict: Verdict | None, message: Message | None) -> None:
    if verdict is not None:
        _event(draft, verdict, message)
    elif draft.input.type == DEADLINE_PASSED:
        _deadline_passed(draft, DeadlinePassed.read(draft.input.data))
    elif draft.input.type == COMMAND_PARKED:
        answers.parked(draft, CommandParked.read(draft.input.data))
    else:
        operate(draft, OperatorAction.read(draft.input.data))
    if not draft.state.suspended:
        settle(draft)


def _offer_kept(draft: Draft, until: str) -> None:
    """Offer kept inputs again, in the order of the log, until none of them moves the instance."""
    waiting = deque(sorted(draft.state.kept.values(), key=lambda kept: kept.input.position))
    early: list[Kept] = []
    while waiting and not draft.state.suspended:
        kept = waiting.popleft()
        if kept.input.id not in draft.state.kept:  # it has expired
            continue
        verdict = _verdict(draft, kept.input)
        if _still_early(kept, verdict):
            early.append(kept)
            continue
        if kept.input.id == until:
            return
        if draft.room <= 0:
            draft.set_deadline(LEFTOVER, draft.now)
            return
        draft.input = kept.input
        _take_one(draft, verdict, None)
        if kept.input.id in draft.state.kept:  # it turned out to be early
            early.append(draft.state.kept[kept.input.id])
        waiting.extendleft(reversed(early))
        early = []


def _event(draft: Draft, verdict: Verdict, message: Message | None) -> None:
    match verdict.meaning:
        case "start":
            _start(draft, verdict, message)
        case "done":
            answers.done(draft, verdict, message)
        case "failed":
            answers.failed(draft, verdict, message)
        case "event":
            draft.receive(facts.EventTaken(**draft.about()), message)
            _react(draft, verdict.reaction)
        case "early":
            assert isinstance(verdict.policy, Wait)
            until = draft.now + verdict.policy.span
            draft.receive(facts.InputKept(**draft.about(), reason=verdict.reason, until=until))
        case "ignore":
            draft.ignore(verdict.reason)
        case "fail":
            raise verdict.error or ReactionError(verdict.reason)


def _start(draft: Draft, verdict: Verdict, message: Message | None) -> None:
    correlation = draft.input.meta.get("$correlationId") or draft.input.id
    draft.receive(
        facts.Started(
            **draft.about(), process=draft.definition.name, key=draft.state.key, life=draft.state.life + 1,
            definition_version=draft.definition.version, correlation=str(correlation),
        ),
        message,
    )  # fmt: skip
    _react(draft, verdict.reaction)


def _react(draft: Draft, reaction: Reaction | None) -> None:
    assert reaction is not None
    event = draft.definition.handled[draft.input.type].event
    draft.react(reaction, draft.state.events[draft.input.type].decoded(event))


def _deadline_passed(draft: Draft, passed: DeadlinePassed) -> None:
    what = reached(draft.state, passed)
    if what is None:
        draft.ignore("the deadline was moved, cancelled or met")
    elif what == "expiry":
        draft.receive(facts.InputExpired(**draft.about(), expired=passed.name.partition("/")[2]))
    elif isinstance(what, Run):
        answers.deadline(draft, what, passed)
    else:
        draft.receive(facts.DeadlineReached(**draft.about(), name=passed.name, generation=passed.generation))
        reaction = draft.definition.due.get(passed.name)
        if reaction is not None and draft.state.status == "running":
            draft.react(reaction)
