"""Whether a join is reached, can no longer be, or is still open."""

from datetime import UTC, datetime

from process_manager.core.definition import Definition, join_of
from process_manager.core.instance import Instance, Run
from process_manager.core.reactions import Reaction
from process_manager.core.steps import Join


def evaluate(definition: Definition, instance: Instance, join: Join, now: datetime) -> bool | None:
    """True: reached. False: it can no longer be. None: open.

    It is open while one of its steps has no run and may still get one.
    """
    by_step = {step.name: [run for run in instance.runs_of(step.name) if not run.undoes] for step in join.steps}
    runs = [run for each in by_step.values() for run in _standing(definition, each)]
    done = sum(run.status == "done" for run in runs)
    possible = done + sum(run.is_open for run in runs)
    passed = {join.name}
    to_come = any(not each and _may_start(definition, instance, step, passed) for step, each in by_step.items())
    complete = announced(definition, instance, join) and not to_come
    if join.count is None:
        if possible < len(runs):
            return False
        return True if complete and done == len(runs) else None
    if not runs and not complete:
        return None
    count = join.count if isinstance(join.count, int) else join.count(definition.cls(instance, now))
    if done >= count:
        return True
    return False if complete and possible < count else None


def _standing(definition: Definition, runs: list[Run]) -> list[Run]:
    """The runs of a step without those that were lost and started again since: with the same key, or by the reaction to their loss."""
    newest = {run.key: run.operation for run in runs}
    asked = {run.asked for run in runs}
    return [
        run
        for run in runs
        if run.is_open
        or run.status == "done"
        or (newest[run.key] == run.operation and not (run.settled in asked and _starts_again(definition, run)))
    ]


def decided(instance: Instance, reaction: Reaction) -> bool:
    """Whether the join that a reaction waits for is decided: by its name, or, where another version of the class let it wait for other
    steps, because the reaction has run."""
    return join_of(reaction).name in instance.joins or reaction.name in instance.reactions


def undecided(definition: Definition, instance: Instance, step: str) -> bool:
    """Whether a join that is still to be decided waits for this step."""
    return any(not decided(instance, each) for each in definition.joins_of(step))


def reaction_to_loss(definition: Definition, run: Run) -> Reaction | None:
    """The reaction to the refusal of a run, or to its being overdue; None where only its step's `otherwise` may say what follows."""
    if run.status == "failed" and run.outcome is not None:
        refusal = definition.handled.get(run.outcome.type)
        return None if refusal is None else refusal.reaction
    return definition.overdue.get(run.step)


def left_to_joins(definition: Definition, instance: Instance, run: Run) -> bool:
    """Whether what follows from a run that is lost has to wait until a join can no longer be reached. Not where the reaction to it may
    lead to what the join waits for."""
    waiting = [join_of(each) for each in definition.joins_of(run.step) if not decided(instance, each)]
    return any(not may_help(definition, run, join) for join in waiting)


def may_help(definition: Definition, run: Run, join: Join) -> bool:
    """Whether the reaction to a run that is lost may lead to what a join waits for: a run of any of its steps; where it waits for all
    runs, the reaction has to start the same step again itself."""
    if join.count is None:
        return _starts_again(definition, run)
    reaction = reaction_to_loss(definition, run)
    return reaction is not None and not leads_to(definition, reaction).isdisjoint(each.name for each in join.steps)


def _starts_again(definition: Definition, run: Run) -> bool:
    """Whether the reaction to a run that is lost may start its step again."""
    reaction = reaction_to_loss(definition, run)
    return reaction is not None and reaction.name in definition.announcing[run.step]


def leads_to(definition: Definition, reaction: Reaction) -> set[str]:
    """The steps that a reaction may start, and those that what follows from them may."""
    found: set[str] = set()
    reactions = [reaction]
    while reactions:
        name = reactions.pop().name
        started = {step for step, announcing in definition.announcing.items() if name in announcing} - found
        found |= started
        reactions += [each for step in started for each in _after(definition, step)]
    return found


def _after(definition: Definition, step: str) -> list[Reaction]:
    """The reactions to what may come of a step."""
    answers = [definition.handled[event.message_type] for event in (*definition.steps[step].done, *definition.steps[step].failed)]
    found = [definition.overdue.get(step), *(handled.reaction for handled in answers)]
    return [*definition.joins_of(step), *(each for each in found if each is not None)]


def surplus_at_end(definition: Definition, instance: Instance, run: Run) -> bool:
    """Whether a run is left over when the process completes: it is not done, and its join was reached without it or is not decided."""
    out = run.life == instance.life and run.undoable and run.fate == "react" and run.status != "done"
    return out and any(instance.joins.get(join_of(each).name, True) for each in definition.joins_of(run.step))


def holds(definition: Definition, instance: Instance, join: Join) -> bool:
    """Whether the condition of an `@on(after=...)` is met."""
    return evaluate(definition, instance, join, instance.taken_at or datetime.min.replace(tzinfo=UTC)) is True


def _may_start(definition: Definition, instance: Instance, step: str, passed: set[str]) -> bool:
    """Whether a reaction that announces the step may still run; steps and joins that were `passed` on the way here are not looked at
    again. So what waits for a join is not what the join waits for."""
    if step in passed:
        return False
    passed.add(step)
    reactions = [definition.reaction(name) for name in definition.announcing.get(step, ())]
    return any(_may_run(definition, instance, reaction, passed) for reaction in reactions)


def _may_run(definition: Definition, instance: Instance, reaction: Reaction, passed: set[str]) -> bool:
    """Whether what the reaction waits for may still come."""
    mark = reaction.mark
    if (awaited := mark.join or mark.after) and awaited.name in passed:
        return False
    match mark.kind:
        case "join":
            join = join_of(reaction)
            waited = any(instance.runs_of(step.name) or _may_be_answered(definition, instance, step.name, passed) for step in join.steps)
            return not decided(instance, reaction) and waited
        case "due":
            return any(timer.due is not None and definition.due.get(name) is reaction for name, timer in instance.timers.items())
        case "overdue":
            return mark.step is not None and _may_be_answered(definition, instance, mark.step.name, passed)
        case "on":
            return _event_may_come(definition, instance, reaction, passed)
        case _:  # a start has happened, and an undo starts none
            return False


def _event_may_come(definition: Definition, instance: Instance, reaction: Reaction, passed: set[str]) -> bool:
    """An answer comes as often as its steps are asked; an event that answers nothing is expected once."""
    for handled in (definition.handled[event.message_type] for event in reaction.events):
        asked = (*handled.done, *handled.failed)
        if any(_may_be_answered(definition, instance, step.name, passed) for step in asked):
            return True
        if not asked and reaction.name not in instance.reactions:
            return True
    return False


def _may_be_answered(definition: Definition, instance: Instance, step: str, passed: set[str]) -> bool:
    return any(run.is_open for run in instance.runs_of(step)) or _may_start(definition, instance, step, passed)


def announced(definition: Definition, instance: Instance, join: Join) -> bool:
    """Whether a reaction that may start each step of a join has run."""
    return not any(definition.announcing[step.name].isdisjoint(instance.reactions) for step in join.steps)
