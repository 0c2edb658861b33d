"""What must hold for the stream of any instance at any moment. Each check is named for the promise, and yields what breaks it."""

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
from process_manager.core.signals import OPERATOR_ACTION
from process_manager.testing.rebuilding import rebuilding

Facts = Sequence[tuple[Fact, Record]]


def broken_promises(definition: Definition, key: str, records: Sequence[Record]) -> list[str]:
    """What is wrong with the stream of an instance, one sentence each; empty when all is well."""
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


def a_suspended_instance_takes_nothing(recorded: Facts) -> Iterator[str]:
    """A suspended instance keeps its inputs until an operator lets it go on."""
    suspended = False
    for fact, record in recorded:
        match fact:
            case facts.Suspended():
                suspended = True
            case facts.OperatorActed(action=action):
                suspended = action == "suspend" or (suspended and action.endswith("-deadline"))
            case Receipt() if suspended and fact.input.type != OPERATOR_ACTION and not isinstance(fact, facts.InputKept):
                yield f"{fact.input.type} {fact.input.id} was not kept at revision {record.revision}"
            case _:
                pass


def what_was_held_back_is_taken_in_the_order_of_the_log(recorded: Facts) -> Iterator[str]:
    """Inputs that came to a suspended instance are taken in the order of the log. Only the one that suspended it may be skipped before."""
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


def an_attempt_after_a_refusal_is_a_new_operation(recorded: Facts) -> Iterator[str]:
    """After a refusal, and only then; after no answer it is the same operation, which may have been done."""
    refused: set[str] = set()
    for fact, record in recorded:
        if isinstance(fact, facts.StepFailed):
            refused.add(fact.operation)
        elif isinstance(fact, facts.StepStarted) and (fact.operation in refused or (fact.replaces and fact.replaces not in refused)):
            yield f"attempt {fact.attempt} of {fact.step} at revision {record.revision} is of the wrong operation"


def an_attempt_fails_once(recorded: Facts) -> Iterator[str]:
    """An attempt fails by a refusal, or by no answer; after no answer a late refusal may still come."""
    unanswered: set[tuple[str, int]] = set()
    refused: set[tuple[str, int]] = set()
    for fact, record in recorded:
        if not isinstance(fact, facts.StepFailed | facts.StepOverdue):
            continue
        attempt = (fact.operation, fact.attempt)
        if attempt in refused or (attempt in unanswered and isinstance(fact, facts.StepOverdue)):
            yield f"attempt {fact.attempt} of {fact.step} ({fact.operation}) fails once more at revision {record.revision}"
        (refused if isinstance(fact, facts.StepFailed) else unanswered).add(attempt)


def a_life_ends_once(recorded: Facts) -> Iterator[str]:
    """Only a new life, or an undo that had failed, before the end or after it, leads to another end."""
    ended = failed = False
    for fact, record in recorded:
        match fact:
            case facts.Ended():
                if ended:
                    yield f"a second end at revision {record.revision}"
                ended, failed = not (failed and fact.status == "completed"), False
            case facts.CompensationFailed():
                ended, failed = False, not ended
            case facts.CompensationStarted():
                failed = False
            case facts.Started():
                ended = failed = False
            case _:
                pass


def a_later_life_takes_nothing_from_before_it(recorded: Facts) -> Iterator[str]:
    """An input that stands in the log before the newest one that moved a life neither starts nor moves the next life."""
    ended = before = newest = -1
    for fact, record in recorded:
        if isinstance(fact, Receipt) and _goes_on_by(fact):
            newest = max(newest, fact.input.position)
        if isinstance(fact, facts.Ended):
            ended = newest
        elif isinstance(fact, facts.Started):
            before = ended
        if isinstance(fact, facts.Started | facts.EventTaken) and fact.input.position <= before:
            yield f"{fact.input.type} {fact.input.id} is from before this life, at revision {record.revision}"


def an_answer_by_hand_stands_behind_the_start(recorded: Facts) -> Iterator[str]:
    """An answer that names no command answers a later life only from behind its start: before, that life had asked for nothing."""
    start = -1
    for fact, record in recorded:
        if isinstance(fact, facts.Started) and fact.life > 1:
            start = fact.input.position
        elif isinstance(fact, facts.StepCompleted | facts.StepFailed) and fact.matched_by != "causation" and fact.input.position < start:
            yield f"{fact.input.type} {fact.input.id} is from before this life, at revision {record.revision}"


def _goes_on_by(fact: Receipt) -> bool:
    """Whether an input moves a life on: not when it is put aside, or only lets kept inputs be taken."""
    match fact:
        case facts.InputKept() | facts.InputIgnored() | facts.Suspended() | facts.DeadlineReached(name="pm/kept"):
            return False
        case facts.OperatorActed(action=action):
            return action in {"cancel", "compensate"}
        case _:
            return True


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


def what_was_done_is_undone_last_first(recorded: Facts) -> Iterator[str]:
    """A compensation waits for what is out, undoes the step that was answered last, its runs together, and then the one before."""
    todo = _Todo()
    for number, (fact, record) in enumerate(recorded):
        if isinstance(fact, facts.StepStarted) and fact.undoes and fact.attempt == 1 and (first := todo.before(fact.undoes)):
            yield f"{fact.step} at revision {record.revision} undoes {fact.undoes} before {first} is settled"
        todo.take(fact, number)


class _Todo:
    """What a compensation has still to undo, worked out from the facts alone, without the fold."""

    def __init__(self) -> None:
        self._compensating = False
        self._steps: dict[str, str] = {}  # by operation of this life, of those that have an undo
        self._out: set[str] = set()  # those of them that wait for an answer
        self._answered: dict[str, int] = {}  # operations that were done, or may have been, and are not undone, and where that is said
        self._given_up: dict[str, int] = {}  # those of them whose undo has used up its attempts
        self._group = ""  # the step whose runs are undone in this turn, one of which had nothing to undo
        self._undos: dict[str, tuple[str, int]] = {}  # operation of an undo -> what it undoes, and where it was asked for
        self._open: set[str] = set()  # undos without an answer

    def before(self, target: str) -> str:
        """The steps that are to be answered, undone, or confirmed as undone before this operation is; "" when it is its turn."""
        if not self._compensating or target not in self._answered:
            return ""
        step = self._steps[target]
        last = step if step == self._group else self._steps[max(self._answered, key=self._answered.__getitem__)]
        first = {last} | {self._steps.get(self._undos[undo][0], last) for undo in self._open}
        return " and ".join(sorted((first - {step}) | {self._steps[each] for each in self._out}))

    def take(self, fact: Fact, number: int) -> None:
        self._group = fact.step if isinstance(fact, facts.NothingToUndo) else "" if isinstance(fact, Receipt) else self._group
        match fact:
            case facts.Started():
                self._steps, self._out, self._answered, self._given_up, self._compensating = {}, set(), {}, {}, False
            case facts.CompensationStarted() | facts.Ended() | facts.CompensationFailed():
                self._compensating = isinstance(fact, facts.CompensationStarted)
            case facts.StepStarted():
                self._start(fact, fact.operation or fact.id, number)
            case facts.NothingToUndo() | facts.UndoSkipped():
                self._answered.pop(fact.operation, None)
            case facts.StepFailed(retrying=True) | facts.StepOverdue(retrying=True):
                self._out.discard(fact.operation)
            case facts.AttemptEnded():
                self._answer(fact, number)
            case _:
                pass

    def _start(self, fact: facts.StepStarted, operation: str, number: int) -> None:
        if fact.undoes:
            self._undos.setdefault(operation, (fact.undoes, number))
            self._open = self._open - {fact.replaces} | {operation}
        elif fact.undoable:
            self._steps[operation] = fact.step
            self._out.add(operation)

    def _answer(self, fact: facts.AttemptEnded, number: int) -> None:
        self._open.discard(fact.operation)
        self._out.discard(fact.operation)
        done = isinstance(fact, facts.StepCompleted)
        if fact.operation in self._undos:
            self._undone(*self._undos[fact.operation], done=done)
        self._since(fact.operation)  # a refusal may come after an overdue: then there is nothing to undo
        if fact.operation in self._steps and not isinstance(fact, facts.StepFailed):
            self._answered[fact.operation] = number

    def _undone(self, target: str, asked: int, *, done: bool) -> None:
        """What an undo has given up is to be undone no more, until somebody asks for it again. What it has done is, where it was asked
        for before the success."""
        since = self._since(target)
        if since >= 0 and not (done and since < asked):
            (self._answered if done else self._given_up)[target] = since

    def _since(self, operation: str) -> int:
        """Where it was said that an operation is to be undone, which is forgotten; -1 when it is not to be."""
        return max(self._answered.pop(operation, -1), self._given_up.pop(operation, -1))


def outstanding_is_started_minus_answered(recorded: Facts, instance: Instance) -> Iterator[str]:
    """What this life has open in the state is what it started and was not answered in the log, counted without the fold. An undo that
    an earlier life has asked for may be tried again in this one."""
    outstanding: set[str] = set()
    started: set[str] = set()
    earlier: set[str] = set()
    for fact, _ in recorded:
        match fact:
            case facts.Started():
                outstanding.clear()
                earlier |= started
            case facts.StepStarted() if (operation := fact.operation or fact.id) not in earlier:
                outstanding.discard(fact.replaces)
                outstanding.add(operation)
                started.add(operation)
            case facts.AttemptEnded():
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
    a_suspended_instance_takes_nothing,
    what_was_held_back_is_taken_in_the_order_of_the_log,
    every_record_has_its_receipt,
    no_command_is_given_twice,
    an_attempt_after_a_refusal_is_a_new_operation,
    an_attempt_fails_once,
    a_life_ends_once,
    a_later_life_takes_nothing_from_before_it,
    an_answer_by_hand_stands_behind_the_start,
    no_step_starts_after_the_end,
    only_what_may_have_been_done_is_undone,
    what_was_done_is_undone_last_first,
]
STATE: list[Callable[[Facts, Instance], Iterator[str]]] = [
    outstanding_is_started_minus_answered,
    what_a_compensated_instance_has_done_is_undone,
]
