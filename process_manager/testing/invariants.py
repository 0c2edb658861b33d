"""What must hold for the stream of any instance at any moment, as small checks with the promise for a name."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import orjson

from process_manager.core import facts
from process_manager.core.block import read_fact
from process_manager.core.definition import Definition
from process_manager.core.facts import Fact, Receipt
from process_manager.core.fold import fold
from process_manager.core.instance import Instance
from process_manager.core.records import Record
from process_manager.testing.rebuilding import rebuilding

Facts = Sequence[tuple[Fact, Record]]


def broken_promises(definition: Definition, key: str, records: Sequence[Record]) -> list[str]:
    """What is wrong with the stream of an instance, in sentences; nothing when all is well."""
    recorded = [(read_fact(record), record) for record in records]
    instance = fold(Instance(definition.name, key), [(fact, record.revision) for fact, record in recorded], definition.evolve)
    found = [f"{check.__name__}: {problem}" for check in STREAM for problem in check(recorded)]
    found += [f"{check.__name__}: {problem}" for check in STATE for problem in check(recorded, instance)]
    found += [f"{problem}: {'; '.join(differences)}" for problem, differences in rebuilding(definition, instance, list(records))]
    return [f"{instance.stream}: {problem}" for problem in found]


def no_input_is_taken_twice(recorded: Facts) -> Iterator[str]:
    """One receipt when an input arrives, and at most one more when it had been kept."""
    receipts = [fact for fact, _ in recorded if isinstance(fact, Receipt)]
    arrived = Counter(fact.input.id for fact in receipts if not fact.kept)
    taken = Counter(fact.input.id for fact in receipts if fact.kept and not isinstance(fact, facts.InputKept | facts.Suspended))
    for input_id, count in (*arrived.items(), *taken.items()):
        if count > 1:
            yield f"the input {input_id} has {count} receipts"


def what_was_held_back_is_taken_in_the_order_of_the_log(recorded: Facts) -> Iterator[str]:
    """What came to a suspended instance, the input that suspended it among it, which alone may be skipped before the others."""
    held: dict[str, int] = {}
    skipping = False
    for fact, record in recorded:
        if isinstance(fact, Receipt):
            position = held.pop(fact.input.id, None)
            if position is not None and not skipping and any(each < position for each in held.values()):
                yield f"{fact.input.type} {fact.input.id} was taken at revision {record.revision}, before what came earlier"
            if isinstance(fact, facts.Suspended) or (isinstance(fact, facts.InputKept) and fact.until is None):
                held[fact.input.id] = fact.input.position
        skipping = isinstance(fact, facts.OperatorActed) and fact.action in {"skip", "cancel"}


def every_record_has_its_receipt(recorded: Facts) -> Iterator[str]:
    """A command or a decision follows from an input whose receipt stands before it."""
    inputs: set[str] = set()
    for fact, record in recorded:
        if isinstance(fact, Receipt):
            inputs.add(fact.input.id)
        elif not isinstance(fact, facts.Foreign) and (cause := orjson.loads(record.metadata)["$causationId"]) not in inputs:
            yield f"{record.type} at revision {record.revision} follows from {cause}, which has no receipt"


def no_command_is_given_twice(recorded: Facts) -> Iterator[str]:
    """Every attempt of an operation is one command."""
    attempts = Counter((fact.operation or fact.id, fact.attempt, fact.step) for fact, _ in recorded if isinstance(fact, facts.StepStarted))
    for (operation, attempt, step), count in attempts.items():
        if count > 1:
            yield f"attempt {attempt} of {step} ({operation}) was given {count} times"


def a_life_ends_once(recorded: Facts) -> Iterator[str]:
    """Only a new life, or a compensation that had failed, leads to another end."""
    ended = False
    for fact, record in recorded:
        if isinstance(fact, facts.Ended):
            if ended:
                yield f"a second end at revision {record.revision}"
            ended = True
        elif isinstance(fact, facts.Started | facts.CompensationFailed):
            ended = False


def no_step_starts_after_the_end(recorded: Facts) -> Iterator[str]:
    """Once it compensates or has ended, an instance only undoes."""
    over = False
    for fact, record in recorded:
        if isinstance(fact, facts.Started):
            over = False
        elif isinstance(fact, facts.CompensationStarted | facts.Ended):
            over = True
        elif isinstance(fact, facts.StepStarted) and over and not fact.undoes:
            yield f"{fact.step} was started at revision {record.revision}, after the end"


def only_what_may_have_been_done_is_undone(recorded: Facts) -> Iterator[str]:
    """An undo follows a success, or an overdue that may have been one."""
    possible: set[str] = set()
    for fact, record in recorded:
        if isinstance(fact, facts.StepCompleted | facts.StepOverdue):
            possible.add(fact.operation)
        elif isinstance(fact, facts.StepStarted) and fact.undoes and fact.undoes not in possible:
            yield f"{fact.step} at revision {record.revision} undoes {fact.undoes}, which was never done"


def outstanding_is_started_minus_answered(recorded: Facts, instance: Instance) -> Iterator[str]:
    """What is open in the state is what was started and not answered in the log, counted without the fold."""
    outstanding: set[str] = set()
    for fact, _ in recorded:
        match fact:
            case facts.Started():
                outstanding.clear()
            case facts.StepStarted():
                outstanding.discard(fact.replaces)
                outstanding.add(fact.operation or fact.id)
            case facts.StepCompleted() | facts.StepFailed() | facts.StepOverdue():
                outstanding.discard(fact.operation)
            case _:
                pass
    state = {run.operation for run in instance.runs.values() if run.status == "open" and run.life == instance.life}
    if state != outstanding:
        yield f"the state holds {sorted(state)} open, the log {sorted(outstanding)}"


def what_a_compensated_instance_has_done_is_undone(_: Facts, instance: Instance) -> Iterator[str]:
    """When the compensation is over, what was done, or may have been, is undone; a success that comes later is being undone."""
    undoing = {run.undoes for run in instance.runs.values() if run.is_open}
    for run in instance.runs.values() if instance.status == "compensated" else ():
        possible = run.undoable and run.life == instance.life and run.status in {"done", "overdue"}
        if possible and run.undo not in {"done", "skipped"} and run.operation not in undoing:
            yield f"{run.step}[{run.key}] is {run.status} and not undone"


STREAM: list[Callable[[Facts], Iterator[str]]] = [
    no_input_is_taken_twice,
    what_was_held_back_is_taken_in_the_order_of_the_log,
    every_record_has_its_receipt,
    no_command_is_given_twice,
    a_life_ends_once,
    no_step_starts_after_the_end,
    only_what_may_have_been_done_is_undone,
]
STATE: list[Callable[[Facts, Instance], Iterator[str]]] = [
    outstanding_is_started_minus_answered,
    what_a_compensated_instance_has_done_is_undone,
]
