"""What can still happen to an instance, by its definition: which events it would take now, and what may follow from each."""

from collections.abc import Iterator
from dataclasses import replace

from process_manager.core.definition import Definition, Handled, join_of
from process_manager.core.effects import Abort, Compensate, Complete
from process_manager.core.instance import Instance, Run
from process_manager.core.joins import holds, undecided
from process_manager.core.reactions import Reaction
from process_manager.core.steps import AnyStep


def outlook(definition: Definition, instance: Instance) -> dict[str, list[str]]:
    """By event type what may follow: types of commands, endings, joins that it may decide, a suspension. []: it is only noted."""
    found = {type_: _follows(definition, instance, handled) for type_, handled in definition.handled.items()}
    return {type_: sorted(set(follows)) for type_, follows in found.items() if follows is not None}


def answers(definition: Definition, run: Run) -> list[str]:
    """The types of the events that answer a run."""
    step = definition.steps.get(run.step)
    return [] if step is None else [event.message_type for event in (*step.done, *step.failed)]


def announced(reaction: Reaction) -> list[str]:
    """What a reaction may yield, as it is written in the log."""
    return sorted(getattr(each, "message_type", "") or each.__name__.lower() for each in reaction.announces)


def _follows(definition: Definition, instance: Instance, handled: Handled) -> list[str] | None:
    """None where the event would not be taken."""
    open_steps = {run.step for run in instance.runs.values() if run.is_open and run.matters}
    asked = [step for step in (*handled.done, *handled.failed) if step.name in open_steps]
    if asked:
        return [each for step in asked for each in _after_answer(definition, instance, handled, step)]
    if late := _late(instance, handled):
        return late
    if handled.starts is not None and (instance.status == "not_started" or (instance.ended and handled.starts.mark.again)):
        return announced(handled.starts)
    if handled.answers or handled.on is None or instance.status != "running":
        return None
    after = handled.on.mark.after
    return _yielded(definition, instance, handled.on) if after is None or holds(definition, instance, after) else None


def _late(instance: Instance, handled: Handled) -> list[str]:
    """What a success leads to that comes after all: of an undo that failed, or of a step that was overdue and so undone already."""
    if instance.status not in {"compensating", "compensated", "compensation_failed"}:
        return []
    undos = {run.step for run in instance.runs.values() if run.undoes and run.status in {"failed", "overdue"}}
    overdue = {run.step for run in instance.runs.values() if run.undoable and run.status == "overdue"}
    found = ["what it undoes is undone" for step in handled.done if step.name in undos and instance.status == "compensation_failed"]
    return found + ["it is undone" for step in handled.done if step.name in overdue]


def _after_answer(definition: Definition, instance: Instance, handled: Handled, step: AnyStep) -> Iterator[str]:
    if step.name in definition.undo_steps:
        yield "what it undoes is undone" if step in handled.done else "what it undoes is not undone"
    elif instance.status != "running":
        if step in handled.done:
            yield "it is undone"
        return
    elif step in handled.done and undecided(definition, instance, step.name):
        yield from (
            f"{join_of(join).name}: {' or '.join(_yielded(definition, instance, join, step.name))}"
            for join in definition.joins_of(step.name)
        )
    if handled.reaction is not None:
        yield from _yielded(definition, instance, handled.reaction, step.name)
    elif isinstance(default := step.then if step in handled.done else step.otherwise, Complete | Compensate | Abort):
        yield type(default).__name__.lower()


def _yielded(definition: Definition, instance: Instance, reaction: Reaction, answered: str = "") -> list[str]:
    """What a reaction leads to: what it may yield, or a suspension, where that is a step with one run that is open and not the answered."""
    running = {
        step.command: step.name
        for step in definition.steps.values()
        if step.command in reaction.announces and step.each is None and step.name != answered and _runs(instance, step)
    }
    possible = replace(reaction, announces=reaction.announces - running.keys())
    return [*announced(possible), *(f"suspended, because the step {name} is already running" for name in running.values())]


def _runs(instance: Instance, step: AnyStep) -> bool:
    return any(run.is_open for run in instance.runs_of(step.name))
