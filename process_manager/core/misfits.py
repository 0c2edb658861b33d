"""Whether an instance that another version of its class has brought so far can go on with this one. Nothing runs."""

from collections.abc import Iterator
from typing import NamedTuple

from process_manager.core.deadlines import LEFTOVER
from process_manager.core.definition import Definition, join_of
from process_manager.core.instance import Instance, Run
from process_manager.core.joins import announced, decided
from process_manager.core.signals import ADDRESSED


class Misfit(NamedTuple):
    """Something that an instance has and the class has not."""

    kind: str  # step, undo, deadline, join, event
    name: str
    problem: str


def misfits(definition: Definition, instance: Instance) -> Iterator[Misfit]:
    """What would go wrong, or get lost, with the instance as it is now; nothing for one that needs nothing more."""
    needed = [run for run in instance.runs.values() if _needed(instance, run)]
    for step in dict.fromkeys(run.step for run in needed):
        yield from _step(definition, step, [run for run in needed if run.step == step])
    if instance.ended:
        return
    yield from _deadlines(definition, instance)
    yield from _joins(definition, instance)
    yield from _kept(definition, instance)


def _needed(instance: Instance, run: Run) -> bool:
    """An answer is still to come that something follows from, or it may still have to be undone."""
    return (run.is_open and run.matters) or (run.undoable and run.undo == "" and run.status in {"done", "overdue"} and not instance.ended)


def _step(definition: Definition, name: str, runs: list[Run]) -> Iterator[Misfit]:
    waits = any(run.is_open and run.fate == "react" for run in runs)
    step = definition.steps.get(name)
    if step is None:
        yield Misfit("step", name, f"it {'waits for its answer' if waits else 'may have to undo it'}, and the class has no such step")
        return
    others = sorted({run.command.type for run in runs} - {step.command.message_type})
    if others:
        yield Misfit("step", name, f"it has given {', '.join(others)}, and the step's command is {step.command.message_type} now")
    if any(run.undoable for run in runs) and name not in definition.undo:
        yield Misfit("undo", name, "it may have to undo it, and the class has no @undo for it")


def _deadlines(definition: Definition, instance: Instance) -> Iterator[Misfit]:
    for name, timer in instance.timers.items():
        if timer.due is not None and name != LEFTOVER and name not in definition.deadlines:
            yield Misfit("deadline", name, "it is set, and nothing will follow from it: the class has no such deadline")


def _joins(definition: Definition, instance: Instance) -> Iterator[Misfit]:
    undecided = {join.name: join for join in (join_of(each) for each in definition.joins if not decided(instance, each))}
    names = {join_of(each).name for each in definition.joins}
    for name in instance.joins:
        if name not in names and undecided:
            yield Misfit("join", name, "it is decided, and the class has no such join: what stands for it now is decided once more")
    if instance.status != "running":
        return
    for name, join in undecided.items():
        started = any(instance.runs_of(step.name) for step in join.steps)
        if started and not announced(definition, instance, join):
            yield Misfit(
                "join", name, "it would never be reached: its steps were started by reactions that the class has under no such name"
            )


def _kept(definition: Definition, instance: Instance) -> Iterator[Misfit]:
    types = dict.fromkeys(kept.input.type for kept in instance.kept.values())
    for type_ in types:
        if type_ not in definition.handled and type_ not in ADDRESSED:
            yield Misfit("event", type_, "it is kept, and would be ignored: the class takes no such event")
