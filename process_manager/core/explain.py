"""Explains an instance: why it is where it is, what it waits for, and what happens if nothing comes. Only the last needs its definition."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

import orjson

from process_manager.core.compensation import failed_undos, left_to_advance
from process_manager.core.deadlines import Pending, pending, set_by
from process_manager.core.definition import Definition
from process_manager.core.facts import Fact, Input, Started, StepFailed, StepOverdue, StepStarted
from process_manager.core.instance import Instance, Run
from process_manager.core.operator import refusal
from process_manager.core.outlook import announced, answers, outlook
from process_manager.core.replay import Replay
from process_manager.core.signals import DEADLINE_PASSED, OPERATOR_ACTION, Action, DeadlinePassed, OperatorAction
from process_manager.core.story import Line
from process_manager.core.turn import take
from process_manager.core.view import called


@dataclass(frozen=True, slots=True)
class Waiting:
    """Something that the instance waits for."""

    what: str
    since: datetime | None
    due: datetime | None
    answers: list[str]  # types of the events that end it, where the definition is known


@dataclass(frozen=True, slots=True)
class Late:
    """A step that nothing waits for any more. When it is done after all, or has no answer until it is due, it is undone."""

    what: str
    due: datetime | None
    undone_by: list[str]  # types of the commands, where the definition is known


@dataclass(frozen=True, slots=True)
class Passing:
    """The deadline that passes next if nothing comes; what follows is known with the definition only."""

    what: str
    due: datetime
    follows: list[str] | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """Where an instance stands."""

    instance: str
    status: str
    since: datetime | None  # when the status became this
    outcome: str
    decisions: list[Line]  # of this life
    because: list[Line]  # of the turn that changed something last
    waiting: list[Waiting]
    late: list[Late]
    next: Passing | None
    possible: dict[str, list[str]] | None  # by event type, what may follow; None without the definition
    actions: list[Action]  # by hand, of those that lead on from where it stands still
    retried: list[str] | None  # what the first of these actions would lead to now; None without definition or actions
    failed: list[str]  # ids of the commands of undos that failed


class Explainer:
    """Goes through a history and keeps what an explanation needs."""

    def __init__(self, process: str, key: str, definition: Definition | None = None) -> None:
        self._definition = definition
        self._replay = Replay(process, key, definition.evolve if definition else None)
        self._since: dict[str, datetime] = {}  # by operation, deadline, id of what is kept
        self._gave_up: dict[str, Line] = {}  # by operation, what its last attempt came to
        self._status_since: datetime | None = None
        self._decisions: list[Line] = []
        self._because: list[Line] = []

    def take(self, recorded: Iterable[tuple[Fact, int]]) -> None:
        """Go through facts. Raises MessageError for one that cannot be read."""
        for turn in self._replay.take(recorded):
            if turn.time is None:
                continue
            lines = {line.revision: line for line in turn.lines}
            for fact, revision in turn.turn.facts:
                self._note(fact, turn.time)
                if isinstance(fact, StepFailed | StepOverdue):
                    self._gave_up[fact.operation] = lines[revision]
            self._decisions += [line for line in turn.lines if line.kind == "decision"]
            self._because = turn.lines if turn.changes else self._because
            if {"status", "suspended"} & turn.changes.keys():
                self._status_since = turn.time

    def _note(self, fact: Fact, now: datetime) -> None:
        if isinstance(fact, Started):
            self._decisions = []
        if deadline := set_by(fact):
            self._since[deadline.name] = now
        if isinstance(fact, StepStarted):
            self._since.setdefault(fact.operation or fact.id, now)

    def explanation(self, now: datetime) -> Explanation:
        """As far as facts were taken. With the definition, what a retry would do at `now` is tried; nothing of it is kept."""
        instance, definition = self._replay.instance, self._definition
        status = "suspended" if instance.suspended else instance.status
        actions = _actions(instance)
        return Explanation(
            instance.stream, status, self._status_since, instance.suspended or instance.outcome, self._decisions, self._because,
            list(self._waiting(instance)), list(self._late(instance)), self._next(instance),
            None if definition is None else outlook(definition, instance),
            actions, self._retried(instance, actions, now), [run.command_id for run in _given_up(instance)],
        )  # fmt: skip

    def _waiting(self, instance: Instance) -> Iterator[Waiting]:
        yield from self._operator(instance)
        answered = {run.operation for kept in instance.kept.values() if (run := _answers(instance, kept.input))}
        for run in instance.runs.values():
            if run.is_open and run.operation not in answered and run.matters and not _not_needed(instance, run):
                asked = "an answer to" if run.status == "open" else "the next attempt of"
                attempt = f" (attempt {run.attempt})" if run.status == "open" and run.attempt > 1 else ""
                what = f"{called(run)}: {asked} {run.command.type}{attempt}"
                expected = answers(self._definition, run) if self._definition else []
                yield Waiting(what, self._since.get(run.operation), run.due, expected)
        for name, timer in instance.timers.items():
            if timer.due is not None:
                yield Waiting(f"the deadline {name}", self._since.get(name), timer.due, [])
        for kept in instance.kept.values():
            if kept.input.id != instance.culprit:
                yield Waiting(
                    f"its turn: {self._replay.teller.called(kept.input)}, kept because {kept.reason}", kept.input.time, kept.until, []
                )

    def _late(self, instance: Instance) -> Iterator[Late]:
        undo = self._definition.undo if self._definition else {}
        for run in instance.runs.values():
            if run.is_open and run.matters and _not_needed(instance, run):
                yield Late(called(run), run.due, announced(undo[run.step]) if run.step in undo else [])

    def _operator(self, instance: Instance) -> Iterator[Waiting]:
        culprit = instance.kept.get(instance.culprit)
        if culprit is not None:
            answer = _answers(instance, culprit.input)
            what = f"{self._replay.teller.called(culprit.input)} {culprit.input.id}" + (
                f", the answer to {called(answer)}," if answer else ""
            )
            yield Waiting(f"an operator, because {what} could not be taken,", self._status_since, None, [])
        elif instance.suspended:
            yield Waiting("an operator, who lets it go on", self._status_since, None, [])
        for run in _given_up(instance):
            line = self._gave_up.get(run.operation)
            undone = instance.runs.get(run.undoes)
            what = f"an operator, because {called(run)} could not undo {called(undone) if undone else run.undoes}"
            yield Waiting(what + (f" ({line.text})" if line else ""), line.time if line else self._status_since, None, [])

    def _retried(self, instance: Instance, actions: list[Action], now: datetime) -> list[str] | None:
        if self._definition is None or not actions:
            return None
        asked = OperatorAction(instance.stream, "", actions[0], "", "")
        taken = Input("", OPERATOR_ACTION, 1, orjson.dumps(asked), b"null", asked.stream, 0, instance.taken_position + 1, now)
        return self._told(instance, taken)[1:]

    def _next(self, instance: Instance) -> Passing | None:
        kept = [DeadlinePassed.read(each.input.data) for each in instance.kept.values() if each.input.type == DEADLINE_PASSED]
        passed = {(each.name, each.generation) for each in kept}
        in_vain = {run.deadline for run in instance.runs.values() if not run.matters}
        to_come = [each for each in pending(instance) if (each.name, each.generation) not in passed and each.name not in in_vain]
        deadline = min(to_come, key=lambda each: each.due, default=None)
        if deadline is None:
            return None
        return Passing(self._named(instance, deadline), deadline.due, self._if_nothing_comes(instance, deadline))

    def _named(self, instance: Instance, deadline: Pending) -> str:
        kind, _, rest = deadline.name.partition("/")
        run = instance.runs.get(rest)
        kept = instance.kept.get(rest)
        return called(run) if run else f"the wait of {kept.input.type}" if kept else kind

    def _if_nothing_comes(self, instance: Instance, deadline: Pending) -> list[str] | None:
        """The definition is asked what it would do; nothing of it is kept."""
        if self._definition is None:
            return None
        passed = DeadlinePassed(instance.stream, deadline.name, deadline.generation, deadline.due)
        taken = Input("", DEADLINE_PASSED, 1, orjson.dumps(passed), b"null", passed.stream, 0, instance.taken_position + 1, deadline.due)
        return self._told(instance, taken)

    def _told(self, instance: Instance, taken: Input) -> list[str]:
        """What the definition makes of an input at its time."""
        assert self._definition is not None
        decided = take(self._definition, instance, taken, taken.time)
        told = (self._replay.teller.line(fact, 0, taken.time) for fact in decided.facts)
        return [line.text for line in told if line is not None]


def _not_needed(instance: Instance, run: Run) -> bool:
    """Whether a run would be undone as soon as it is done: nothing but its undo waits for its answer."""
    return run.fate == "undo" and not left_to_advance(instance, run)


def _given_up(instance: Instance) -> list[Run]:
    return failed_undos(instance) if instance.status == "compensation_failed" else []


def _answers(instance: Instance, taken: Input) -> Run | None:
    """The run that an input names as its cause."""
    return instance.run_of_command(str(taken.meta.get("$causationId")))


def _actions(instance: Instance) -> list[Action]:
    if not instance.suspended and instance.status != "compensation_failed":
        return []
    leads_on: tuple[Action, ...] = ("retry", "skip", "resume", "compensate", "cancel")
    return [each for each in leads_on if not refusal(instance, OperatorAction(instance.stream, "", each, "", ""))]
