"""Given, when, then: a definition tested with no runtime and no store.

    scenario(OrderFulfilment).given(OrderPlaced(...)).when(StockReserved(...)).then(ChargeCard(...))

`given` and `when` deliver events, `at` and `after` move the clock, `operator` steps in by hand; the assertions are
about what the last of these calls led to. An answer carries the causation of the command that it answers: of the one open
run of a step with this answer, of several the one whose command agrees in every field that both have, or the one named by
`answer(event, to=command)`.
After every turn the recorded bytes are read and folded again, and a snapshot is restored: both must give an equal instance.
"""

import random
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Self
from uuid import UUID

import orjson

from process_manager.core.codec import decode, encode
from process_manager.core.deadlines import Pending, cleared_by, pending, set_by
from process_manager.core.definition import Definition
from process_manager.core.effects import Deadline
from process_manager.core.facts import Decided, Fact, Input, InputIgnored, InputKept, Receipt, StepStarted
from process_manager.core.instance import Instance, Status
from process_manager.core.messages import Command, Event
from process_manager.core.process import ProcessManager
from process_manager.core.records import Record
from process_manager.core.signals import DEADLINE_PASSED, OPERATOR_ACTION, Action, DeadlinePassed, OperatorAction
from process_manager.core.steps import AnyStep
from process_manager.core.story import story
from process_manager.core.turn import Turn, take
from process_manager.testing.answering import Delivery, answer, command_answered, unsolicited
from process_manager.testing.rebuilding import rebuilding, rebuilt

__all__ = ["START", "Scenario", "answer", "scenario", "unsolicited"]

START = datetime(2026, 1, 1, tzinfo=UTC)
"""When a scenario's clock starts, unless it is told otherwise."""


def scenario(process: type[ProcessManager[Any]], *, key: str = "", at: datetime = START) -> "Scenario":
    """A scenario of one instance, which is the one that the first event concerns, or that `key` names."""
    return Scenario(process.definition, key, at)


class Scenario:
    """One instance, what was delivered to it, and what came of it. Every method returns the scenario."""

    def __init__(self, definition: Definition, key: str, at: datetime) -> None:
        self.definition = definition
        self.now = at
        self.instance = Instance(definition.name, key)
        self.records: list[Record] = []
        self.facts: list[Fact] = []
        """What the last given, when, at or after led to."""
        self._pending: dict[str, Pending] = {}
        self._deliveries = 0
        self._twice = False
        self._random: random.Random | None = None

    # what is delivered

    def given(self, *events: Event | Delivery) -> Self:
        """These events happened. What is asserted right after it, before a `when`, is asserted of what they led to."""
        return self.when(*events)

    def when(self, *events: Event | Delivery) -> Self:
        """These events happen; what follows is asserted by the `then...` methods."""
        self.facts = []
        deliveries = [each if isinstance(each, Delivery) else Delivery(each) for each in events]
        if self._random:
            self._random.shuffle(deliveries)
        inputs = [self._deliver(each) for each in deliveries]
        if self._twice:
            for taken in inputs:
                self._take(taken)
        return self

    def deliver_twice(self) -> Self:
        """From here on what a `when` delivers is delivered once more, after all of it."""
        self._twice = True
        return self

    def deliver_shuffled(self, seed: int) -> Self:
        """From here on the events of one `when` are delivered in a random order that this seed repeats."""
        self._random = random.Random(seed)  # noqa: S311  repeatable on purpose
        return self

    def after(self, span: timedelta) -> Self:
        """This much time passes; deadlines that come due fire on the way."""
        return self.at(self.now + span)

    def at(self, time: datetime) -> Self:
        """It becomes this time; deadlines that come due fire on the way, each at its own time."""
        self.facts = []
        while (next_ := min(self._pending.values(), key=lambda each: each.due, default=None)) and next_.due <= time:
            del self._pending[next_.name]
            self.now = max(self.now, next_.due)
            self._fire(next_)
        self.now = max(self.now, time)
        return self

    def operator(self, action: Action, reason: str = "by hand", *, deadline: str = "", due: datetime | None = None) -> Self:
        """Somebody does this to the instance, as with `pm retry` and its like. `deadline` names the one that is moved or cancelled,
        as `pm deadlines list` shows it: that of a step may be named by its step while one run of it is open."""
        self.facts = []
        named = [each.name for each in pending(self.instance) if deadline and each.name.partition("/")[0] == deadline]
        request = str(self._deliveries + 1)
        name = named[0] if len(named) == 1 else deadline
        self._take(self._signal(OPERATOR_ACTION, OperatorAction(self.instance.stream, request, action, "operator", reason, name, due)))
        return self

    def deployed(self, process: type[ProcessManager[Any]]) -> Self:
        """From here on this class takes the inputs, as after a deploy of newer code: it reads the instance from what is recorded."""
        self.definition = process.definition
        self.instance = rebuilt(self.definition, self.instance, self.records)
        return self

    # what is asserted

    def then(self, *commands: Command) -> Self:
        """Exactly these commands were given, in whatever order."""
        given = self.commands
        missing, surplus = _without(commands, given), _without(given, commands)
        if missing or surplus:
            self._fail("the commands are others than expected", *[f"missing:    {each!r}" for each in missing],
                       *[f"unexpected: {each!r}" for each in surplus])  # fmt: skip
        return self

    def then_nothing(self) -> Self:
        """Nothing followed: no command, no decision, no deadline, no ending."""
        followed = [each for each in self.facts if not isinstance(each, Receipt)]
        if followed:
            self._fail("something followed, nothing was expected", *[type(each).__name__ for each in followed])
        return self

    def then_decided(self, question: str, answer: str, because: str = "") -> Self:
        """This was decided, for a reason that contains `because`."""
        decisions = [each for each in self.facts if isinstance(each, Decided)]
        if not any((each.question, each.answer) == (question, answer) and because in each.because for each in decisions):
            wanted = f"{question}? {answer}" + (f", because {because}" if because else "")
            self._fail(f"it was not decided: {wanted}", *[f"decided: {d.question}? {d.answer}, because {d.because}" for d in decisions])
        return self

    def then_running(self) -> Self:
        """The instance is under way."""
        return self._then_status("running", "")

    def then_completed(self, outcome: str = "") -> Self:
        """The process has reached its goal."""
        return self._then_status("completed", outcome)

    def then_compensating(self, reason: str = "") -> Self:
        """It is being undone."""
        return self._then_status("compensating", reason)

    def then_compensated(self, reason: str = "") -> Self:
        """All that was done is undone."""
        return self._then_status("compensated", reason)

    def then_compensation_failed(self) -> Self:
        """Something could not be undone; somebody has to look."""
        return self._then_status("compensation_failed", "")

    def then_aborted(self, reason: str = "") -> Self:
        """It ended without undoing anything."""
        return self._then_status("aborted", reason)

    def then_cancelled(self, reason: str = "") -> Self:
        """Somebody ended it by hand."""
        return self._then_status("cancelled", reason)

    def then_not_started(self) -> Self:
        """No life has begun."""
        return self._then_status("not_started", "")

    def then_suspended(self, error: str = "") -> Self:
        """The instance stands still, with an error that contains this."""
        if not self.instance.suspended or error not in self.instance.suspended:
            self._fail(f"it is not suspended with {error!r}", f"suspended: {self.instance.suspended or 'no'}")
        return self

    def then_waits(self, reason: str = "") -> Self:
        """An event came early and is kept, for a reason that contains this."""
        return self._then_receipt(InputKept, "kept", reason)

    def then_ignored(self, reason: str = "") -> Self:
        """An event was recorded as ignored, for a reason that contains this. Where there is no instance nothing is recorded."""
        if not self.instance.exists and not self.facts:
            return self
        return self._then_receipt(InputIgnored, "ignored", reason)

    def then_open(self, *steps: AnyStep) -> Self:
        """Exactly these steps wait for an answer or for their next attempt."""
        expected = sorted(step.name for step in steps)
        found = sorted({run.step for run in self.instance.runs.values() if run.is_open})
        if expected != found:
            self._fail("other steps are open", f"expected: {', '.join(expected) or 'none'}", f"open:     {', '.join(found) or 'none'}")
        return self

    def then_due(self, deadline: Deadline, when: datetime | timedelta | None) -> Self:
        """The deadline is set to this time, or to so much later than now; None: it is not set."""
        timer = self.instance.timers.get(deadline.name)
        found = timer.due if timer else None
        expected = self.now + when if isinstance(when, timedelta) else when
        if found != expected:
            self._fail(f"the deadline {deadline.name} is at another time", f"expected: {expected}", f"it is:    {found}")
        return self

    # what can be looked at

    @property
    def commands(self) -> list[Command]:
        """The commands that the last step of the scenario led to."""
        steps = self.definition.steps
        return [decode(steps[each.step].command, each.command_version, each.data) for each in self.facts if isinstance(each, StepStarted)]

    @property
    def story(self) -> str:
        """What happened so far, as text."""
        return "\n".join(str(line) for line in story(self.records))

    # how it is done

    def _then_status(self, status: Status, outcome: str) -> Self:
        if self.instance.suspended:
            self._fail(f"it is not {status}: it is suspended", self.instance.suspended)
        if self.instance.status != status:
            self._fail(f"it is not {status}", f"it is {self.instance.status}" + (f": {o}" if (o := self.instance.outcome) else ""))
        if outcome not in self.instance.outcome:
            self._fail(f"it is {status} in another way", f"expected: {outcome}", f"it is:    {self.instance.outcome}")
        return self

    def _then_receipt(self, kind: type[InputKept | InputIgnored], word: str, reason: str) -> Self:
        found = [each for each in self.facts if isinstance(each, kind)]
        if not any(reason in each.reason for each in found):
            self._fail(f"no event was {word}" + (f" because {reason!r}" if reason else ""), *[f"{word}: {each.reason}" for each in found])
        return self

    def _fail(self, problem: str, *details: str) -> None:
        lines = [problem, *(f"  {each}" for each in details), "", "the story so far:", *(f"  {line}" for line in self.story.splitlines())]
        raise AssertionError("\n".join(lines))

    def _deliver(self, delivery: Delivery) -> Input:
        self._check_key(delivery)
        event = delivery.event
        cause = delivery.causation or self._cause(delivery)
        named = {"$causationId": cause, "$correlationId": delivery.correlation}
        metadata = orjson.dumps({name: value for name, value in named.items() if value})
        taken = self._input(event.message_type, event.message_version, encode(event), metadata)
        self._take(taken, event)
        return taken

    def _cause(self, delivery: Delivery) -> str:
        try:
            return command_answered(self.definition, self.instance, delivery)
        except LookupError as error:
            self._fail(str(error.args[0]))
            raise

    def _check_key(self, delivery: Delivery) -> None:
        event = delivery.event
        route = self.definition.routes.get(event.message_type)
        if route is None:
            self._fail(f"{self.definition.cls.__name__} has no use for {type(event).__name__}")
            return
        if route.by_correlation:
            return
        key = route.key(event)
        if not self.instance.key:
            self.instance.key = key
        if key != self.instance.key:
            self._fail(f"{event!r} concerns the instance {key!r}, this scenario is about {self.instance.key!r}")

    def _input(self, type_: str, version: int, data: bytes, metadata: bytes) -> Input:
        self._deliveries += 1
        number = self._deliveries
        return Input(str(UUID(int=number)), type_, version, data, metadata, f"scenario-{number}", 0, 1000 * number, self.now)

    def _fire(self, due: Pending) -> None:
        passed = DeadlinePassed(self.instance.stream, due.name, due.generation, due.due)
        self._take(self._signal(DEADLINE_PASSED, passed))

    def _signal(self, type_: str, signal: DeadlinePassed | OperatorAction) -> Input:
        return self._input(type_, 1, orjson.dumps(signal), b"{}")

    def _take(self, taken: Input, event: Event | None = None) -> None:
        if self.instance.knows(taken.id, taken.position):
            return
        turn = take(self.definition, self.instance, taken, self.now, event)
        self._record(turn)
        self.instance = turn.instance
        self.facts += turn.facts
        for fact in turn.facts:
            for name in cleared_by(fact):
                self._pending.pop(name, None)
            if new := set_by(fact):
                self._pending[new.name] = new
        self._check()

    def _record(self, turn: Turn) -> None:
        created = int(self.now.timestamp() * 1_000_000)
        for each in turn.records:
            revision = len(self.records)
            self.records.append(Record(*each, turn.instance.stream, revision, 1000 * self._deliveries + 1 + revision % 999, created))

    def _check(self) -> None:
        for problem, differences in rebuilding(self.definition, self.instance, self.records):
            self._fail(problem, *differences)


def _without(some: Iterable[Command], others: Iterable[Command]) -> list[Command]:
    """The first without the second, as multisets."""
    left = Counter(repr(each) for each in others)
    found = []
    for each in some:
        left[repr(each)] -= 1
        if left[repr(each)] < 0:
            found.append(each)
    return found
