"""Whether a join is reached, can no longer be, or is still open."""

from datetime import UTC, datetime

from process_manager.core.definition import Definition, join_of
from process_manager.core.instance import Instance, Run
from process_manager.core.steps import Join


def evaluate(definition: Definition, instance: Instance, join: Join, now: datetime) -> bool | None:
    """True: reached. False: it can no longer be. None: open.

    Without any runs it is open until a reaction that announces the step has run, and holds from then on.
    """
    runs = [run for step in join.steps for run in instance.runs_of(step.name) if not run.undoes]
    done = sum(run.status == "done" for run in runs)
    possible = done + sum(run.is_open for run in runs)
    complete = announced(definition, instance, join)
    if join.count is None:
        if possible < len(runs):
            return False
        return True if complete and done == len(runs) else None
    if not runs:
        return True if complete else None
    count = join.count if isinstance(join.count, int) else join.count(definition.cls(instance, now))
    if done >= count:
        return True
    return False if complete and possible < count else None


def undecided(definition: Definition, instance: Instance, step: str) -> bool:
    """Whether a join that is still to be decided waits for this step."""
    return any(join_of(each).name not in instance.joins for each in definition.joins_of(step))


def surplus_at_end(definition: Definition, instance: Instance, run: Run) -> bool:
    """Whether a run, which is not done, was for a join that was reached without it or is not decided when the process completes."""
    out = run.life == instance.life and run.undoable and run.fate == "react" and run.status != "done"
    return out and any(instance.joins.get(join_of(each).name, True) for each in definition.joins_of(run.step))


def holds(definition: Definition, instance: Instance, join: Join) -> bool:
    """Whether the condition of an `@on(after=...)` is met."""
    return evaluate(definition, instance, join, instance.taken_at or datetime.min.replace(tzinfo=UTC)) is True


def announced(definition: Definition, instance: Instance, join: Join) -> bool:
    """Whether a reaction that may start each step of a join has run."""
    return not any(definition.announcing[step.name].isdisjoint(instance.reactions) for step in join.steps)
