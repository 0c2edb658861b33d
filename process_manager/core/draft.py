"""A turn under way: a draft of the instance, the facts so far, and the records that they become."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from process_manager.core import facts
from process_manager.core.block import command_record, fact_metadata, fact_record
from process_manager.core.codec import encode
from process_manager.core.deadlines import generation
from process_manager.core.definition import Definition
from process_manager.core.effects import Abort, Compensate, Complete, DeadlineCancelled, DeadlineSet, Decision, Ending
from process_manager.core.facts import Fact, Input, Receipt
from process_manager.core.fold import apply
from process_manager.core.instance import Instance
from process_manager.core.joins import surplus_at_end
from process_manager.core.messages import Command, Message
from process_manager.core.reactions import Reaction
from process_manager.core.records import NewRecord
from process_manager.core.steps import AnyStep, Default
from process_manager.errors import ReactionError

ROOM = 512 * 1024
"""Bytes after which a turn takes no more kept inputs; the rest waits behind a deadline that is due now."""

LETS_GO = facts.JoinDecided | facts.CompensationStarted | facts.Ended
"""Facts after which some runs may not be needed any more."""


class Draft:
    """What a turn has come to. Everything it does is a fact, applied to the draft at once."""

    def __init__(self, definition: Definition, instance: Instance, taken: Input, now: datetime) -> None:
        self.definition = definition
        self.state = instance.copy()
        self.input = taken
        """The input that is taken now: the turn's own, or one that had been kept."""
        self.now = now
        self.room = ROOM
        self.facts: list[Fact] = []
        self.main = taken
        self.reacting = ""
        """The reaction that runs; the one that raised, when it did."""
        self._receipt: Receipt | None = None
        self._undoing = ""
        self._laid: list[tuple[str, NewRecord | None]] = []  # for each fact its cause, and the record where it is laid out already

    def about(self) -> dict[str, Any]:
        """What every receipt of the input says."""
        return {"input": self.input, "now": self.now, "kept": self.input.id in self.state.kept}

    def receive(self, receipt: Receipt, message: Message | None = None) -> None:
        """Record what the input means. `message` is the input decoded, where it is at hand."""
        self._receipt = receipt
        self.room -= len(receipt.input.data) + len(receipt.input.metadata) + 256
        self.record(receipt, message)

    def ignore(self, reason: str) -> None:
        """Record that the input changes nothing; where the instance has no stream yet, nothing is recorded."""
        if self.state.exists:
            self.receive(facts.InputIgnored(**self.about(), reason=reason))

    def record(self, fact: Fact, message: Message | None = None) -> None:
        """Add a fact and apply it. Where it makes planned retries needless, their deadlines are cancelled as well."""
        waiting = [run for run in self.state.runs.values() if run.status == "waiting"] if isinstance(fact, LETS_GO) else []
        apply(self.state, fact, self.state.revision + 1, self.definition.evolve, message)
        self.facts.append(fact)
        self._laid.append((self.input.id, None))
        for run in waiting:
            if not self.state.runs[run.operation].is_open:
                self.record(facts.DeadlineCancelled(name=run.deadline, generation=generation(run)))

    # -- effects ------------------------------------------------------------------------------------------------

    def react(self, reaction: Reaction, *arguments: object) -> None:
        """Run a reaction and record what it yields."""
        assert self._receipt is not None
        self._receipt.reactions.append(reaction.name)
        self.state.reactions.add(reaction.name)
        self.reacting = reaction.name
        effects = reaction.function(self.definition.cls(self._remembered(), self.now), *arguments)
        if not isinstance(effects, Iterator):
            raise ReactionError(f"{reaction.name} returned {effects!r}: it must yield its effects")
        ended = False
        for effect in effects:
            if ended:
                raise ReactionError(f"{reaction.name} went on after its ending with {effect!r}: an ending comes last")
            ended = self._effect(reaction, effect)
        self.reacting = ""

    def _remembered(self) -> Instance:
        """The instance that a reaction sees. The undo of a run of an earlier life sees an empty one: what that life took is forgotten."""
        undone = self.state.runs.get(self._undoing)
        earlier = undone is not None and undone.life != self.state.life
        return Instance(self.state.process, self.state.key) if earlier else self.state

    def undo(self, reaction: Reaction, operation: str, command: Command) -> bool:
        """Run the undo reaction of an operation. Returns whether it gave a command."""
        before = len(self.state.commands)
        self._undoing = operation
        self.react(reaction, command)
        self._undoing = ""
        return len(self.state.commands) > before

    def _effect(self, reaction: Reaction, effect: object) -> bool:
        match effect:
            case Command():
                _announced(reaction, effect)
                self._start_step(effect)
            case Decision(question, answer, because):
                self.record(facts.Decided(question=question, answer=answer, because=because, reaction=reaction.name))
            case DeadlineSet(name, at, after):
                self._set_deadline(reaction, name, at or self.now + (after or timedelta(0)))
            case DeadlineCancelled(name):
                self.cancel_deadline(name)
            case Complete() | Compensate() | Abort():
                _announced(reaction, effect)
                self.follow(effect)
                return True
            case _:
                raise ReactionError(f"{reaction.name} yielded {effect!r}, which is no effect")
        return False

    def follow(self, ending: Default) -> None:
        """Do what an ending, or a step's stated default, says; CONTINUE says nothing."""
        if not isinstance(ending, Ending):
            return
        self.cancel_deadlines()
        match ending:
            case Complete(outcome):
                surplus = [run.operation for run in self.state.runs.values() if surplus_at_end(self.definition, self.state, run)]
                self.record(facts.Ended(status="completed", outcome=outcome, surplus=surplus))
            case Abort(reason):
                self.record(facts.Ended(status="aborted", outcome=reason))
            case Compensate(reason):
                self.record(facts.CompensationStarted(reason=reason))

    def _start_step(self, command: Command) -> None:
        step = self.definition.by_command[type(command)]
        key = step.run_key(command)
        if not self._undoing and any(run.key == key and run.is_open for run in self.state.runs_of(step.name)):
            cure = f" for {key!r}" if step.each else ": one that runs for several things at once needs each=, which tells its runs apart"
            raise ReactionError(f"the step {step.name} is already running{cure}")
        self.issue(step, command, key, undoes=self._undoing)

    def issue(
        self, step: AnyStep, command: Command, key: str, attempt: int = 1, operation: str = "", replaces: str = "", undoes: str = ""
    ) -> None:
        """Give a command: the start of a run, or its next attempt."""
        undoable = step.needs_undo and not undoes
        record, fact = command_record(
            self.state, self.input.id, self.now, f"{self.main.id}/{len(self._laid)}",
            step=step.name, run=key, attempt=attempt, type=command.message_type, command_version=command.message_version,
            data=encode(command), due=_due(self.now, step), operation=operation, replaces=replaces, undoes=undoes,
            keep=undoable or (step.name in self.definition.counted and not undoes), undoable=undoable,
        )  # fmt: skip
        self.room -= record.size
        apply(self.state, fact, self.state.revision + 1, self.definition.evolve, command)
        self.facts.append(fact)
        self._laid.append((self.input.id, record))

    def _set_deadline(self, reaction: Reaction, name: str, due: datetime) -> None:
        if name not in self.definition.deadlines:
            raise ReactionError(f"{reaction.name} set the deadline {name!r}, which is no Deadline of this class")
        self.set_deadline(name, due)

    def set_deadline(self, name: str, due: datetime) -> None:
        """Set a deadline, or move it."""
        timer = self.state.timers.get(name)
        self.record(facts.DeadlineSet(name=name, generation=timer.generation + 1 if timer else 1, due=due))

    def cancel_deadlines(self) -> None:
        """Take back every named deadline, as each ending does."""
        for name in list(self.state.timers):
            self.cancel_deadline(name)

    def cancel_deadline(self, name: str) -> None:
        """Take a named deadline back; nothing happens when it is not set."""
        timer = self.state.timers.get(name)
        if timer is not None and timer.due is not None:
            self.record(facts.DeadlineCancelled(name=name, generation=timer.generation))

    # -- the block ----------------------------------------------------------------------------------------------

    def records(self) -> list[NewRecord]:
        """The block: a record for each fact, in order. Its length goes into the ids, so that no block is the start of another."""
        metadata: dict[tuple[str, int], bytes] = {}
        correlation = self.state.correlation or str(self.main.meta.get("$correlationId") or self.main.id)
        stream = self.state.stream
        found: list[NewRecord] = []
        for index, (fact, (cause, laid)) in enumerate(zip(self.facts, self._laid, strict=True)):
            if laid is not None:
                found.append(laid)
                continue
            key = (cause, fact.fact_version)
            if key not in metadata:
                metadata[key] = fact_metadata(correlation, cause, self.now, fact.fact_version)
            found.append(fact_record(stream, cause, f"{self.main.id}/{index}/{len(self.facts)}", fact, metadata[key]))
        return found


def _announced(reaction: Reaction, effect: object) -> None:
    if type(effect) not in reaction.announces:
        raise ReactionError(f"{reaction.name} yielded {type(effect).__name__}, which its annotation does not announce: add it there")


def _due(now: datetime, step: AnyStep) -> datetime | None:
    return now + step.within if isinstance(step.within, timedelta) else None
