"""Whether what a class says fits together. Each check raises DefinitionError with the class, the member and the mend."""

import re
from collections.abc import Iterable, Iterator
from datetime import timedelta

from process_manager.core.definition import ENDINGS, Definition, join_of
from process_manager.core.joins import leads_to
from process_manager.core.messages import Command, Event, Message
from process_manager.core.reactions import Reaction
from process_manager.core.steps import AnyStep
from process_manager.errors import DefinitionError


def check(definition: Definition) -> None:
    """Every check; what the later ones found stands in the notes of the first error."""
    errors: list[DefinitionError] = []
    for each in CHECKS:
        try:
            each(definition)
        except DefinitionError as error:
            errors.append(error)
        except Exception:
            if not errors:  # a later check may stumble over what an earlier one has refused
                raise
    for other in errors[1:]:
        errors[0].add_note(str(other))
    if errors:
        raise errors[0]


def _fail(definition: Definition, member: str, problem: str, mend: str) -> DefinitionError:
    return DefinitionError(definition.cls.__name__, member, problem, mend)


def _name(definition: Definition) -> None:
    if not re.fullmatch(r"[\w.]+", definition.name) or definition.name.startswith("pm."):
        raise _fail(
            definition, "", f"the process name {definition.name!r} cannot stand before the first '-' of a stream name",
            "give a name of letters, digits and underscores",
        )  # fmt: skip
    if type(definition.version) is not int or definition.version < 1:
        raise _fail(definition, "", f"version={definition.version!r} is no number from 1 up", "write version=1")


def _is_message(cls: object, kind: type[Message]) -> bool:
    return isinstance(cls, type) and issubclass(cls, kind) and bool(cls.message_type)


def _steps(definition: Definition) -> None:
    commands: dict[type[Command], str] = {}
    for step in definition.steps.values():
        if not _is_message(step.command, Command):
            raise _fail(
                definition, step.name, f"{step.command!r} is no command with a written type name", 'name a Command class with type="..."'
            )
        other = commands.setdefault(step.command, step.name)
        if other != step.name:
            raise _fail(definition, step.name, f"{step.command.__name__} is the command of {other} too", "one command, one step")
        _outcomes(definition, step)
        _each(definition, step)
        if isinstance(step.within, timedelta) and step.within <= timedelta(0):
            raise _fail(definition, step.name, "within is zero or less, which leaves no time for an answer", "give a longer span")
        if step.within is None:
            raise _fail(definition, step.name, "does not say how long an answer may take", "give within=..., or within=FOREVER")


def _outcomes(definition: Definition, step: AnyStep) -> None:
    if not step.done or not all(_is_message(event, Event) for event in (*step.done, *step.failed)):
        raise _fail(definition, step.name, "done and failed must be events with a written type name", 'name Event classes with type="..."')
    if set(step.done) & set(step.failed):
        raise _fail(definition, step.name, "one event is both done and failed", "name two events")


def _each(definition: Definition, step: AnyStep) -> None:
    """Ask `each` for the key of a command whose fields hold nothing useful: all it can tell is which attributes it asks for."""
    fields = step.command.model_fields
    probe = step.command.model_construct(**dict.fromkeys(fields))
    try:
        step.run_key(probe)
    except AttributeError as error:
        if error.obj is probe and error.name not in fields:
            problem = f"each asks for {error.name!r}, which {step.command.__name__} has not"
            raise _fail(definition, step.name, problem, f"name one of its fields: {', '.join(map(repr, fields))}") from error
    except Exception:  # noqa: BLE001, S110  it does more than to name a field, with what only a real command has
        pass


def _type_names(definition: Definition) -> None:
    types: dict[str, type[Message]] = {}
    for message in _messages(definition):
        other = types.setdefault(message.message_type, message)
        if other is not message:
            raise _fail(
                definition, "", f"{message.__name__} and {other.__name__} are both written {message.message_type!r}",
                "give each a type name of its own",
            )  # fmt: skip


def _messages(definition: Definition) -> Iterator[type[Message]]:
    for step in definition.steps.values():
        yield from (step.command, *step.done, *step.failed)
    for reaction in definition.reactions:
        for event in reaction.events:
            if not event.message_type:
                raise _fail(definition, reaction.name, f"{event.__name__} has no written type name", 'give the class type="..."')
            yield event


def _announcements(definition: Definition) -> None:
    for reaction in definition.reactions:
        for command in _commands(reaction):
            if command not in definition.by_command:
                raise _fail(
                    definition,
                    reaction.name,
                    f"it may yield {command.__name__}, which is no step's command",
                    f"add a Step({command.__name__}, ...)",
                )


def _commands(reaction: Reaction) -> Iterator[type[Command]]:
    return (each for each in reaction.announces if issubclass(each, Command))


def _has_reaction(definition: Definition, events: Iterable[type[Event]]) -> bool:
    return all(definition.handled[event.message_type].on or definition.handled[event.message_type].starts for event in events)


def _flow_steps(definition: Definition) -> list[AnyStep]:
    """The steps that the process takes forwards: all but those that only undo."""
    return [step for step in definition.steps.values() if step.name not in definition.undo_steps]


def _answers(definition: Definition) -> None:
    for step in _flow_steps(definition):
        if not (_has_reaction(definition, step.done) or step.then or definition.joins_of(step.name)):
            names = " and ".join(event.__name__ for event in step.done)
            raise _fail(
                definition, step.name, f"nothing follows when it is done ({names})", f"add an @on reaction or a join, or say then={CHOICES}"
            )
        if not (_has_reaction(definition, step.failed) or step.otherwise):
            names = " and ".join(event.__name__ for event in step.failed)
            raise _fail(
                definition, step.name, f"nothing follows when it failed ({names})", f"add an @on reaction, or say otherwise={CHOICES}"
            )


CHOICES = "Compensate(...), Abort(...), Complete(...) or CONTINUE"


def _overdue(definition: Definition) -> None:
    for step in _flow_steps(definition):
        if isinstance(step.within, timedelta) and step.name not in definition.overdue and not step.otherwise:
            raise _fail(
                definition,
                step.name,
                "nothing follows when it is overdue",
                f"add an @overdue({step.name}) reaction, say otherwise={CHOICES}, or within=FOREVER",
            )
    for name, reaction in definition.overdue.items():
        if name in definition.undo_steps:
            raise _fail(definition, reaction.name, f"{name} only undoes, it is tried again and then reported", "leave this reaction out")


def _undo(definition: Definition) -> None:
    for step in _flow_steps(definition):
        reaction = definition.undo.get(step.name)
        if step.needs_undo and reaction is None:
            raise _fail(
                definition, step.name, "does not say how it is undone", f"add an @undo({step.name}) reaction, or say needs_undo=False"
            )
        if not step.needs_undo and reaction is not None:
            raise _fail(definition, reaction.name, f"{step.name} says needs_undo=False", "drop one of the two")
        for command in _commands(reaction) if reaction else ():
            undoing = definition.by_command[command]
            if step.each is not None and undoing.each is None:
                raise _fail(definition, undoing.name, f"it undoes {step.name}, which has a run for each key", "give it each=... too")
    for name, reaction in definition.undo.items():
        if any(issubclass(each, ENDINGS) for each in reaction.announces):
            raise _fail(definition, reaction.name, "an undo announces an ending", "yield commands only; the end comes when all is undone")
        if definition.steps.get(name) is not reaction.mark.step:
            raise _fail(definition, reaction.name, "it undoes what is no step of this class", "name one of its Step attributes")


def _deadlines(definition: Definition) -> None:
    for name in definition.deadlines:
        if name not in definition.due:
            raise _fail(definition, name, "nothing happens when this deadline passes", f"add a @due({name}) reaction")
    for name, reaction in definition.due.items():
        if definition.deadlines.get(name) is not reaction.mark.deadline:
            raise _fail(definition, reaction.name, "its deadline is no attribute of this class", "name one of its Deadline attributes")


def _joins(definition: Definition) -> None:
    names: dict[str, str] = {}
    for reaction in definition.joins:
        join = join_of(reaction)
        if join.name in names:
            raise _fail(definition, reaction.name, f"{names[join.name]} waits for {join.name} too", "keep one of them")
        names[join.name] = reaction.name
    waits = [(each, join) for each in definition.reactions for join in (each.mark.join, each.mark.after) if join]
    for reaction, join in waits:
        for step in join.steps:
            if definition.steps.get(step.name) is not step:
                raise _fail(definition, reaction.name, f"it waits for {step!r}, which is no step of this class", "name its Step attributes")
    for reaction in definition.reactions:
        answers = [event.__name__ for event in reaction.events if definition.handled[event.message_type].answers]
        if reaction.mark.after is not None and answers:
            raise _fail(
                definition, reaction.name, f"{answers[0]} answers a step, and an answer is taken when it comes, whatever after= says",
                "drop after=, and let a join reaction wait for both",
            )  # fmt: skip


def _loops(definition: Definition) -> None:
    """A join is decided once in a life, so a step that it alone waits for has no follower in a second round."""
    for reaction in definition.joins:
        again = leads_to(definition, reaction)
        for step in join_of(reaction).steps:
            if step.name in again and not (_has_reaction(definition, step.done) or step.then):
                names = " and ".join(event.__name__ for event in step.done)
                raise _fail(
                    definition, reaction.name,
                    f"{join_of(reaction).name} is decided once in a life, and nothing would follow when {step.name} is started once more",
                    f"react to its answer ({names}) with @on, and look there whether it was the last one",
                )  # fmt: skip


def _keys(definition: Definition) -> None:
    fields = [set(handled.event.model_fields) for handled in definition.handled.values()]
    if definition.key and not definition.routes and fields:
        shared = ", ".join(map(repr, sorted(set.intersection(*fields))))
        mend = f"name one that they all have: {shared}" if shared else "name one, or say keys=(by(...), ...)"
        raise _fail(definition, "", f"none of its events has the field {definition.key!r}, which key= names", mend)
    for type_, handled in definition.handled.items():
        if type_ not in definition.routes:
            event = handled.event.__name__
            mend = f'give it the field that the class argument key="..." names, or add keys=(by({event}, lambda event: ...),)'
            why = f"it has no field {definition.key!r}" if definition.key else "the class has no key"
            raise _fail(definition, "", f"which instance {event} concerns is not said, as {why}", mend)


def _starts(definition: Definition) -> None:
    if not any(reaction.mark.kind == "starts" for reaction in definition.reactions):
        raise _fail(definition, "", "nothing starts it", "mark the reaction to its first event with @starts")


def _reach(definition: Definition) -> None:
    """Every step is announced by a reaction that can come to run."""
    running: set[str] = set()
    steps: set[str] = set()
    while True:
        more = {each.name for each in definition.reactions if each.name not in running and _can_run(definition, each, steps)}
        if not more:
            break
        running |= more
        steps = {name for name in definition.steps if definition.announcing[name] & running}
    for name, step in definition.steps.items():
        if name not in steps:
            raise _fail(
                definition, name, f"no reaction that can run announces {step.command.__name__}, so it never runs",
                "yield it somewhere, or drop the step",
            )  # fmt: skip


def _can_run(definition: Definition, reaction: Reaction, steps: set[str]) -> bool:
    mark = reaction.mark
    if mark.join is not None:
        return any(step.name in steps for step in mark.join.steps)
    if mark.step is not None:
        return mark.step.name in steps
    if mark.kind == "on" and not _from_outside(definition, reaction):
        answered = [definition.handled[event.message_type] for event in reaction.events]
        return any(step.name in steps for each in answered for step in (*each.done, *each.failed))
    return True


def _endings(definition: Definition) -> None:
    """From every reaction some chain of answers, deadlines and outside events leads to an ending."""
    ends = {each.name for each in definition.reactions if each.mark.kind != "undo" and any(issubclass(a, ENDINGS) for a in each.announces)}
    if not ends and not any(isinstance(default, ENDINGS) for step in definition.steps.values() for default in (step.then, step.otherwise)):
        raise _fail(definition, "", "it can never end", "let a reaction announce Complete, Compensate or Abort")
    outside = {r.name for r in definition.reactions if r.mark.kind in {"on", "due"} and _from_outside(definition, r)}
    while True:
        more = {each.name for each in definition.reactions if each.name not in ends and _leads_to(definition, each, ends | outside & ends)}
        if not more:
            break
        ends |= more
    if outside & ends:
        return
    for reaction in definition.reactions:
        if reaction.mark.kind == "starts" and reaction.name not in ends:
            raise _fail(
                definition,
                reaction.name,
                "nothing that follows from it leads to an ending",
                "let a later reaction announce Complete, Compensate or Abort",
            )


def _from_outside(definition: Definition, reaction: Reaction) -> bool:
    return reaction.mark.kind == "due" or any(not definition.handled[event.message_type].answers for event in reaction.events)


def _leads_to(definition: Definition, reaction: Reaction, ends: set[str]) -> bool:
    return any(_step_leads_to(definition, definition.by_command[command], ends) for command in _commands(reaction))


def _step_leads_to(definition: Definition, step: AnyStep, ends: set[str]) -> bool:
    """A step without a limit is overdue only when its command is parked, which is no way to end."""
    limited = isinstance(step.within, timedelta)
    if isinstance(step.then, ENDINGS) or (isinstance(step.otherwise, ENDINGS) and (limited or step.failed)):
        return True
    followers = [definition.overdue.get(step.name) if limited else None, *definition.joins_of(step.name)]
    for event in (*step.done, *step.failed):
        handled = definition.handled[event.message_type]
        followers += [handled.on, handled.starts]
    return any(follower is not None and follower.name in ends for follower in followers)


CHECKS = (
    _name, _steps, _type_names, _announcements, _undo, _answers, _overdue, _deadlines, _joins, _loops, _keys, _starts, _reach, _endings,
)  # fmt: skip
"""In the order in which a user should mend their errors."""
