"""One input taken to one block: `take` is a pure function of definition, instance, input and `now`."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from process_manager.core import compensation, facts
from process_manager.core.block import command_record, fact_metadata, fact_record
from process_manager.core.classify import Verdict, classify
from process_manager.core.codec import encode
from process_manager.core.definition import Definition, join_of
from process_manager.core.effects import Abort, Compensate, Complete, DeadlineCancelled, DeadlineSet, Decision, Ending
from process_manager.core.facts import Fact, Input, Receipt
from process_manager.core.fold import apply
from process_manager.core.instance import Instance, Run
from process_manager.core.joins import evaluate
from process_manager.core.messages import Command, Message
from process_manager.core.reactions import Reaction, Wait
from process_manager.core.records import NewRecord
from process_manager.core.signals import COMMAND_PARKED, DEADLINE_PASSED, CommandParked, DeadlinePassed
from process_manager.core.steps import AnyStep
from process_manager.core.timing import reached
from process_manager.errors import ReactionError

ROOM = 512 * 1024
"""Bytes after which a turn takes no more kept inputs; the rest waits behind a deadline that is due now."""

LEFTOVER = "pm/kept"
"""The name of that deadline."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What a turn comes to: the instance after it, the records to append, and the facts they hold."""

    instance: Instance
    records: list[NewRecord]
    facts: list[Fact]


def take(definition: Definition, instance: Instance, taken: Input, now: datetime, message: Message | None = None) -> Turn:
    """Take one input that the instance does not know yet. `message` is the input decoded, where the caller has it.

    A reaction that raises leaves nothing but one fact: the instance is suspended, with the input and the error.
    An input that is ignored by an instance without a stream leaves no records at all.
    """
    turn = Taking(definition, instance, taken, now)
    try:
        turn.run(message)
        return turn.finish()
    except Exception as error:  # noqa: BLE001  whatever user code raises, it would raise again
        return suspend(definition, instance, taken, now, f"{type(error).__name__}: {error}")


def suspend(definition: Definition, instance: Instance, taken: Input, now: datetime, error: str) -> Turn:
    """The turn of an input that cannot be taken."""
    turn = Taking(definition, instance, taken, now)
    turn.receive(facts.Suspended(input=taken, now=now, error=error))
    return turn.finish()


class Taking:
    """A turn under way: a draft of the instance, and the facts so far."""

    def __init__(self, definition: Definition, instance: Instance, taken: Input, now: datetime) -> None:
        self.definition = definition
        self.state = instance.copy()
        self.input = taken
        self.now = now
        self.receipt: Receipt | None = None
        self.undoing = ""  # the operation whose undo reaction runs
        self._main = taken
        self._laid: list[tuple[Fact, str, NewRecord | None]] = []  # fact, cause, the record where it is laid out already
        self._room = ROOM

    # -- the inputs ---------------------------------------------------------------------------------------------

    def run(self, message: Message | None) -> None:
        if self.state.suspended:
            self.receive(facts.InputKept(input=self.input, now=self.now, reason="suspended"))
            return
        match self.input.type:
            case t if t == DEADLINE_PASSED:
                self._deadline_passed(DeadlinePassed.read(self.input.data))
            case t if t == COMMAND_PARKED:
                self._command_parked(CommandParked.read(self.input.data))
            case _:
                self._event(classify(self.definition, self.state, self.input), message)
        self._settle()
        self._offer_kept()

    def receive(self, receipt: Receipt, message: Message | None = None) -> None:
        """Record what an input means."""
        self.receipt = receipt
        self.record(receipt, message)

    def ignore(self, reason: str) -> None:
        if self.state.exists:
            self.receive(facts.InputIgnored(**self._about(), reason=reason))

    def _about(self) -> dict[str, Any]:
        return {"input": self.input, "now": self.now, "kept": self.input.id in self.state.kept}

    def _event(self, verdict: Verdict, message: Message | None) -> None:
        match verdict.meaning:
            case "start":
                self._start(verdict, message)
            case "done":
                self._done(verdict, message)
            case "failed":
                self._failed(verdict, message)
            case "event":
                self.receive(facts.EventTaken(**self._about()), message)
                self._react_to_event(verdict.reaction)
            case "early":
                assert isinstance(verdict.policy, Wait)
                until = self.now + verdict.policy.span
                self.receive(facts.InputKept(input=self.input, now=self.now, reason=verdict.reason, until=until))
            case "ignore":
                self.ignore(verdict.reason)
            case "fail":
                raise ReactionError(verdict.reason)

    def _start(self, verdict: Verdict, message: Message | None) -> None:
        correlation = self.input.meta.get("$correlationId") or self.input.id
        self.receive(
            facts.Started(
                **self._about(), process=self.definition.name, key=self.state.key, life=self.state.life + 1,
                definition_version=self.definition.version, correlation=str(correlation),
            ),
            message,
        )  # fmt: skip
        self._react_to_event(verdict.reaction)

    def _react_to_event(self, reaction: Reaction | None) -> None:
        assert reaction is not None
        event = self.definition.handled[self.input.type].event
        self.react(reaction, self.state.events[self.input.type].decoded(event))

    # -- answers ------------------------------------------------------------------------------------------------

    def _run_of(self, verdict: Verdict) -> Run:
        assert verdict.run is not None
        return verdict.run

    def _done(self, verdict: Verdict, message: Message | None) -> None:
        run = self._run_of(verdict)
        self.receive(
            facts.StepCompleted(
                **self._about(), step=run.step, run=run.key, operation=run.operation, attempt=run.attempt, matched_by=verdict.matched_by
            ),
            message,
        )
        if run.undoes or run.status in {"overdue", "failed"} or run.fate != "react" or run.life != self.state.life:
            compensation.after_success(self, run)
            return
        if self.state.status != "running":
            return
        handled = self.definition.handled[self.input.type]
        if handled.on is not None:
            self._react_to_event(handled.on)
        elif handled.starts is None:
            self.follow(self.definition.steps[run.step].then)

    def _failed(self, verdict: Verdict, message: Message | None) -> None:
        run = self._run_of(verdict)
        retry = self.definition.retry_of(self.definition.steps[run.step])
        again = retry.refusals and run.attempt < retry.attempts and self._may_try(run)
        self.receive(
            facts.StepFailed(
                **self._about(), step=run.step, run=run.key, operation=run.operation, attempt=run.attempt, retrying=again,
                matched_by=verdict.matched_by,
            ),
            message,
        )  # fmt: skip
        self._try_again(run) if again else self._given_up(run)

    def _may_try(self, run: Run) -> bool:
        """No step is started once the process ends; undo steps are tried whatever happens."""
        return run.is_open and (bool(run.undoes) or (self.state.status == "running" and run.fate == "react"))

    def _try_again(self, run: Run) -> None:
        retry = self.definition.retry_of(self.definition.steps[run.step])
        delay = retry.delay(run.attempt)
        if delay:
            self.record(
                facts.RetryPlanned(step=run.step, run=run.key, operation=run.operation, attempt=run.attempt + 1, due=self.now + delay)
            )
        else:
            self._next_attempt(self.state.runs[run.operation])

    def _next_attempt(self, run: Run) -> None:
        step = self.definition.steps[run.step]
        refused = run.outcome is not None
        self._issue(
            step, run.command.decoded(step.command), run.key, attempt=run.attempt + 1,
            operation="" if refused else run.operation, replaces=run.operation if refused else "", undoes=run.undoes,
        )  # fmt: skip

    def _given_up(self, run: Run) -> None:
        """What follows from a run that failed or is overdue for good."""
        if run.undoes:
            compensation.undo_gave_up(self, run)
        elif self.state.status == "running" and run.fate == "react" and run.is_open and run.life == self.state.life:
            if not self.definition.joins_of(run.step):
                self._consequence(run.operation)
            # otherwise `_settle` finds out whether the join can still be reached

    def _consequence(self, operation: str) -> None:
        run = self.state.runs[operation]
        step = self.definition.steps[run.step]
        if run.status == "failed" and run.outcome is not None:
            handled = self.definition.handled[run.outcome.type]
            if handled.on is not None:
                self.react(handled.on, run.outcome.decoded(handled.event))
                return
        elif step.name in self.definition.overdue:
            self.react(self.definition.overdue[step.name], run.command.decoded(step.command))
            return
        if step.otherwise is None:
            raise ReactionError(f"the step {step.name} got no answer and says nothing about that")
        self.follow(step.otherwise)

    # -- deadlines ----------------------------------------------------------------------------------------------

    def _deadline_passed(self, passed: DeadlinePassed) -> None:
        what = reached(self.state, passed)
        if what is None:
            self.ignore("the deadline was moved, cancelled or met")
        elif what == "expiry":
            self.receive(facts.InputExpired(input=self.input, now=self.now, expired=passed.name.partition("/")[2]))
        elif isinstance(what, Run):
            self._run_deadline(what, passed)
        else:
            self.receive(facts.DeadlineReached(input=self.input, now=self.now, name=passed.name, generation=passed.generation))
            reaction = self.definition.due.get(passed.name)
            if reaction is not None and self.state.status == "running":
                self.react(reaction)

    def _run_deadline(self, run: Run, passed: DeadlinePassed) -> None:
        if run.status == "waiting":
            self.receive(facts.DeadlineReached(input=self.input, now=self.now, name=passed.name, generation=passed.generation))
            self._next_attempt(run)
        else:
            self._no_answer(run, "overdue", self.definition.retry_of(self.definition.steps[run.step]).attempts)

    def _command_parked(self, parked: CommandParked) -> None:
        run = self.state.run_of_command(parked.command_id)
        if run is None or not run.is_open:
            self.ignore("the step of the parked command was answered before")
        else:
            self._no_answer(run, f"parked: {parked.reason}", 0)

    def _no_answer(self, run: Run, reason: str, attempts: int) -> None:
        again = run.attempt < attempts and self._may_try(run)
        self.receive(
            facts.StepOverdue(
                input=self.input, now=self.now, step=run.step, run=run.key, operation=run.operation, attempt=run.attempt,
                retrying=again, reason=reason,
            )
        )  # fmt: skip
        self._try_again(run) if again else self._given_up(run)

    # -- what follows -------------------------------------------------------------------------------------------

    def _settle(self) -> None:
        """Decide joins until none moves, then go on with a compensation."""
        while self.state.status == "running" and self._decide_a_join():
            pass
        compensation.advance(self)

    def _decide_a_join(self) -> bool:
        for reaction in self.definition.joins:
            join = join_of(reaction)
            if join.name in self.state.joins:
                continue
            verdict = evaluate(self.definition, self.state, join, self.now)
            if verdict is None:
                continue
            runs = [run for step in join.steps for run in self.state.runs_of(step.name) if not run.undoes]
            self.record(facts.JoinDecided(join=join.name, reached=verdict, outstanding=self._surplus(join.name, runs)))
            if verdict:
                self.react(reaction)
            else:
                self._unreachable(join.name, runs)
            return True
        return False

    def _surplus(self, join: str, runs: list[Run]) -> list[str]:
        """Open runs that no other undecided join waits for."""
        waited = {
            step.name
            for each in self.definition.joins if join_of(each).name not in self.state.joins and join_of(each).name != join
            for step in join_of(each).steps
        }  # fmt: skip
        return [run.operation for run in runs if run.is_open and run.step not in waited]

    def _unreachable(self, join: str, runs: list[Run]) -> None:
        lost = [run for run in runs if run.status in {"failed", "overdue"}]
        if not lost:
            raise ReactionError(f"{join} can never be reached: only {len(runs)} runs were started")
        self._consequence(max(lost, key=lambda run: run.settled).operation)

    def _offer_kept(self) -> None:
        """Offer early inputs again, oldest first, until none of them moves the instance."""
        waiting = list(self.state.kept.values())
        while waiting:
            kept = waiting.pop(0)
            verdict = classify(self.definition, self.state, kept.input)
            if verdict.meaning == "early":
                continue
            if self._room <= 0:
                self.set_deadline(LEFTOVER, self.now)
                return
            self.input = kept.input
            self._event(verdict, None)
            self._settle()
            waiting = list(self.state.kept.values())

    # -- effects ------------------------------------------------------------------------------------------------

    def react(self, reaction: Reaction, *arguments: object) -> None:
        """Run a reaction and record what it yields."""
        assert self.receipt is not None
        self.receipt.reactions.append(reaction.name)
        self.state.reactions.add(reaction.name)
        effects = reaction.function(self.definition.cls(self.state, self.now), *arguments)
        if effects is None:
            raise ReactionError(f"{reaction.name} returned None: it must yield its effects")
        ended = False
        for effect in effects:
            if ended:
                raise ReactionError(f"{reaction.name} went on after its ending with {effect!r}: an ending comes last")
            ended = self._effect(reaction, effect)

    def _effect(self, reaction: Reaction, effect: object) -> bool:
        match effect:
            case Command():
                self._announced(reaction, effect)
                self.start_step(effect)
            case Decision(question, answer, because):
                self.record(facts.Decided(question=question, answer=answer, because=because, reaction=reaction.name))
            case DeadlineSet(name, at, after):
                self.set_deadline(name, at or self.now + (after or timedelta(0)))
            case DeadlineCancelled(name):
                self.cancel_deadline(name)
            case Complete() | Compensate() | Abort():
                self._announced(reaction, effect)
                self.follow(effect)
                return True
            case _:
                raise ReactionError(f"{reaction.name} yielded {effect!r}, which is no effect")
        return False

    def _announced(self, reaction: Reaction, effect: object) -> None:
        if type(effect) not in reaction.announces:
            raise ReactionError(f"{reaction.name} yielded {type(effect).__name__}, which its annotation does not announce: add it there")

    def start_step(self, command: Command) -> None:
        """Start the run that this command belongs to."""
        step = self.definition.by_command[type(command)]
        key = step.run_key(command)
        if not self.undoing and any(run.key == key and run.is_open for run in self.state.runs_of(step.name)):
            raise ReactionError(f"the step {step.name} is already running" + (f" for {key!r}" if key else ""))
        self._issue(step, command, key, undoes=self.undoing)

    def _issue(
        self, step: AnyStep, command: Command, key: str, attempt: int = 1, operation: str = "", replaces: str = "", undoes: str = ""
    ) -> None:
        undoable = step.needs_undo and not undoes
        fact = facts.StepStarted(
            step=step.name, run=key, attempt=attempt, type=command.message_type, command_version=command.message_version,
            data=encode(command), due=_due(self.now, step), operation=operation, replaces=replaces, undoes=undoes,
            keep=undoable or bool(self.definition.joins_of(step.name)), undoable=undoable,
        )  # fmt: skip
        record = command_record(
            self.state.stream, self.state.process, self.state.correlation, self.input.id, self.now, self._ordinal(), fact
        )
        self._room -= record.size
        apply(self.state, replace(fact, id=record.id), self.state.revision + 1, self.definition.evolve, command)
        self._laid.append((fact, self.input.id, record))

    def set_deadline(self, name: str, due: datetime) -> None:
        timer = self.state.timers.get(name)
        self.record(facts.DeadlineSet(name=name, generation=timer.generation + 1 if timer else 1, due=due))

    def cancel_deadline(self, name: str) -> None:
        timer = self.state.timers.get(name)
        if timer is not None and timer.due is not None:
            self.record(facts.DeadlineCancelled(name=name, generation=timer.generation))

    def follow(self, ending: Ending | object) -> None:
        """Do what an ending, or a step's stated default, says; CONTINUE says nothing."""
        if not isinstance(ending, Complete | Compensate | Abort):
            return
        for name in list(self.state.timers):
            self.cancel_deadline(name)
        match ending:
            case Complete(outcome):
                self.record(facts.Ended(status="completed", outcome=outcome))
            case Abort(reason):
                self.record(facts.Ended(status="aborted", outcome=reason))
            case Compensate(reason):
                self.record(facts.CompensationStarted(reason=reason))

    # -- the block ----------------------------------------------------------------------------------------------

    def record(self, fact: Fact, message: Message | None = None) -> None:
        apply(self.state, fact, self.state.revision + 1, self.definition.evolve, message)
        self._laid.append((fact, self.input.id, None))
        if isinstance(fact, Receipt):
            self._room -= len(fact.input.data) + len(fact.input.metadata) + 256

    def _ordinal(self) -> str:
        return f"{self._main.id}/{len(self._laid)}"

    def finish(self) -> Turn:
        records: list[NewRecord] = []
        metadata: dict[tuple[str, int], bytes] = {}
        correlation = self.state.correlation or self._main.meta.get("$correlationId") or self._main.id
        for index, (fact, cause, laid) in enumerate(self._laid):
            if laid is None:
                key = (cause, fact.fact_version)
                if key not in metadata:
                    metadata[key] = fact_metadata(str(correlation), cause, self.now, fact.fact_version)
                laid = fact_record(self.state.stream, cause, f"{self._main.id}/{index}", fact, metadata[key])
            records.append(laid)
        return Turn(self.state, records, [fact for fact, _, _ in self._laid])


def _due(now: datetime, step: AnyStep) -> datetime | None:
    return now + step.within if isinstance(step.within, timedelta) else None
