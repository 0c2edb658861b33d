"""Each check of a definition raises an error that names the class, the member and the mend."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, cast

import pytest

from process_manager import (
    CONTINUE,
    FOREVER,
    Abort,
    Command,
    Complete,
    Deadline,
    Effects,
    Event,
    ProcessManager,
    Step,
    all_of,
    due,
    hours,
    n_of,
    on,
    overdue,
    starts,
    undo,
)
from process_manager.errors import DefinitionError
from tests.core.samples import Began, Declined, GiveBack, GivenBack, Noticed, Paid, Pay, Take, Taken


class Nameless(Event):
    id: str


class NamelessCommand(Command):
    id: str


class Keyless(Event, type="t.keyless"):
    other: str


class TakenToo(Event, type="t.taken"):
    id: str


def paying(**changes: Any) -> Step[Pay, Paid]:
    fields: dict[str, Any] = {"done": Paid, "within": FOREVER, "needs_undo": False, "then": Complete("paid")} | changes
    return Step(Pay, **fields)


def made(name: str = "Wrong", class_arguments: dict[str, Any] | None = None, **members: Any) -> type:
    """A process manager class with these members, which are complete but for what a test changes."""
    complete: dict[str, Any] = {"paying": paying(), "begin": begin} | members
    present = {key: member for key, member in complete.items() if member is not None}
    return type(name, (ProcessManager,), {"__module__": __name__, **present}, **({"key": "id"} | (class_arguments or {})))


@starts
def begin(self: Any, event: Began) -> Effects[Pay]:
    yield Pay(id=event.id)


@on
def noticed(self: Any, event: Noticed) -> Effects[Take]:
    yield Take(id=event.id)


def test_a_complete_class_is_accepted() -> None:
    made()


def test_a_step_may_follow_from_its_join_where_something_follows_from_its_answer() -> None:
    made(taking=(step := _taking()), noticed=noticed, joined=_again_after(all_of(step)))


def _taking(**changes: Any) -> Step[Take, Taken]:
    fields: dict[str, Any] = {"done": Taken, "within": FOREVER, "needs_undo": False, "then": CONTINUE} | changes
    return Step(Take, **fields)


@on
def _unknown_command(self: Any, event: Noticed) -> Effects[GiveBack]:
    yield GiveBack(id=event.id)


@on
def _closes(self: Any, event: Noticed) -> Effects[Complete]:
    yield Complete("noticed")


def _undo_of(step: Any, ends: bool = False) -> Any:
    def plain(self: Any, c: Take) -> Effects[GiveBack]:
        yield GiveBack(id=c.id)

    def ending(self: Any, c: Take) -> Effects[Abort]:
        yield Abort("no")

    return undo(step)(ending if ends else plain)


def _overdue_of(step: Any) -> Any:
    def late(self: Any, c: Command) -> Effects[Abort]:
        yield Abort("late")

    return overdue(step)(late)


def _join_of(join: Any) -> Any:
    def joined(self: Any) -> Effects[Complete]:
        yield Complete("joined")

    return on(join)(joined)


def _again_after(join: Any) -> Any:
    def joined(self: Any) -> Effects[Take]:
        yield Take(id=self.key)

    return on(join)(joined)


def _after(step: Any) -> Any:
    def later(self: Any, event: Noticed) -> Effects[Complete]:
        yield Complete("noticed")

    return on(after=step)(later)


def _paid_after(step: Any) -> Any:
    def paid(self: Any, event: Paid) -> Effects[Complete]:
        yield Complete("paid")

    return on(after=step)(paid)


def _due(deadline: Any) -> Any:
    def passed(self: Any) -> Effects[Abort]:
        yield Abort("due")

    return due(deadline)(passed)


def _with_undo(**changes: Any) -> dict[str, Any]:
    taking = _taking(needs_undo=True, **changes)
    giving = Step(GiveBack, done=GivenBack, within=FOREVER, needs_undo=False)
    return {"taking": taking, "giving": giving, "noticed": noticed, "back": _undo_of(taking)}


def _unreached() -> dict[str, Any]:
    """Two steps that only lead to each other."""

    def again(self: Any, event: Taken) -> Effects[Take]:
        yield Take(id=event.id)

    return {"taking": _taking(then=None), "again": on(again)}


def _endless() -> dict[str, Any]:
    def again(self: Any, event: Paid) -> Effects[Pay]:
        yield Pay(id=event.id)

    def other(self: Any, event: Noticed) -> Effects[Take]:
        yield Take(id=event.id)

    return {"paying": paying(then=None), "again": on(again), "taking": _taking(then=Complete("taken")), "other": starts(other)}


def _misannotated() -> Any:
    def strange(self: Any, event: int) -> Effects[Pay]:
        yield Pay(id="1")

    return on(strange)


def _silent() -> Any:
    def silent(self, event: Noticed):  # type: ignore[no-untyped-def]
        yield Pay(id="1")

    return on(silent)


SHARED = _taking()


CASES: dict[str, tuple[Callable[[], Any], str, str]] = {
    "a dash in the name": (lambda: made(class_arguments={"name": "a-b"}), "Wrong", "letters, digits and underscores"),
    "a reserved name": (lambda: made(class_arguments={"name": "pm.x"}), "Wrong", "letters, digits and underscores"),
    "a step without a command": (lambda: made(paying=Step(NamelessCommand, done=Paid, within=FOREVER)), "Wrong.paying", 'with type="..."'),
    "a command of two steps": (lambda: made(again=paying()), "Wrong.again", "one command, one step"),
    "a done that has no name": (lambda: made(paying=paying(done=Nameless)), "Wrong.paying", 'with type="..."'),
    "a done that also is failed": (lambda: made(paying=paying(failed=Paid)), "Wrong.paying", "name two events"),
    "no within": (lambda: made(paying=paying(within=None)), "Wrong.paying", "within=FOREVER"),
    "a key that the command has not": (
        lambda: made(paying=paying(each=lambda command: command.id + command.nope)),
        "Wrong.paying",
        "name one of its fields: 'id'",
    ),
    "no time at all": (lambda: made(paying=paying(within=timedelta(0))), "Wrong.paying", "longer span"),
    "one written name for two": (lambda: made(taking=_taking(failed=TakenToo), noticed=noticed), "Wrong", "a type name of its own"),
    "a command without a step": (lambda: made(unknown=_unknown_command), "Wrong.unknown", "add a Step(GiveBack, ...)"),
    "nothing after done": (
        lambda: made(paying=paying(then=None), close=_closes),
        "Wrong.paying",
        "add an @on reaction or a join, or say then=",
    ),
    "nothing after failed": (lambda: made(paying=paying(failed=Declined)), "Wrong.paying", "or say otherwise="),
    "nothing after overdue": (lambda: made(paying=paying(within=hours(1))), "Wrong.paying", "@overdue(paying)"),
    "an overdue for what undoes": (
        lambda: made(**(parts := _with_undo()), late=_overdue_of(parts["giving"])),
        "Wrong.late",
        "leave this reaction out",
    ),
    "no undo": (lambda: made(paying=paying(needs_undo=True)), "Wrong.paying", "needs_undo=False"),
    "an undo of what needs none": (
        lambda: made(**_with_undo() | {"taking": (step := _taking()), "back": _undo_of(step)}),
        "Wrong.back",
        "drop one of the two",
    ),
    "an undo of a keyed step without a key": (lambda: made(**_with_undo(each=str)), "Wrong.giving", "give it each=... too"),
    "an undo that ends": (
        lambda: made(taking=(step := _taking(needs_undo=True)), noticed=noticed, back=_undo_of(step, ends=True)),
        "Wrong.back",
        "yield commands only",
    ),
    "an undo of a stranger": (
        lambda: made(
            giving=Step(GiveBack, done=GivenBack, within=FOREVER, needs_undo=False, then=CONTINUE),
            noticed=_unknown_command,
            back=_undo_of(SHARED),
        ),
        "Wrong.back",
        "one of its Step attributes",
    ),
    "a deadline without a reaction": (lambda: made(late=Deadline()), "Wrong.late", "@due(late)"),
    "a due of a stranger": (lambda: made(passed=_due(Deadline())), "Wrong.passed", "one of its Deadline attributes"),
    "two reactions to one join": (
        lambda: made(one=_join_of(all_of(step := made_step())), two=_join_of(all_of(step)), paying=step),
        "Wrong.two",
        "keep one of them",
    ),
    "a join over a step that follows from it": (
        lambda: made(taking=(step := _taking(then=None)), noticed=noticed, joined=_again_after(all_of(step))),
        "Wrong.joined",
        "react to its answer (Taken) with @on",
    ),
    "a join over a stranger": (lambda: made(joined=_join_of(n_of(2, SHARED))), "Wrong.joined", "name its Step attributes"),
    "an after of a stranger": (lambda: made(later=_after(SHARED)), "Wrong.later", "name its Step attributes"),
    "no key": (lambda: made(paying=paying(done=(Paid, Keyless))), "Wrong", "keys=(by(Keyless"),
    "no start": (lambda: made(begin=None, pay=on(_pays)), "Wrong", "@starts"),
    "a step that nobody starts": (lambda: made(taking=_taking()), "Wrong.taking", "yield it somewhere, or drop the step"),
    "steps that only lead to each other": (lambda: made(**_unreached()), "Wrong.taking", "yield it somewhere, or drop the step"),
    "an end that cannot be reached": (lambda: made(**_endless()), "Wrong.begin", "let a later reaction announce"),
    "no end at all": (lambda: made(paying=paying(then=CONTINUE)), "Wrong", "announce Complete, Compensate or Abort"),
    "two reactions to one event": (lambda: made(one=_closes, two=on(_closes_too)), "Wrong.two", "keep one of them"),
    "a reaction to no event": (lambda: made(strange=_misannotated()), "Wrong.strange", "with an Event class"),
    "a reaction that announces nothing": (lambda: made(silent=_silent()), "Wrong.silent", "with Effects[...]"),
    "an answer that is to come after something": (
        lambda: made(paying=(step := paying()), paid=_paid_after(step)),
        "Wrong.paid",
        "drop after=, and let a join reaction wait for both",
    ),
    "an ending that only a refusal without an event leads to": (
        lambda: made(paying=paying(then=CONTINUE, otherwise=Abort("refused"))),
        "Wrong.begin",
        "let a later reaction",
    ),
    "an ending that only a step without a limit leads to when overdue": (
        lambda: made(paying=(step := paying(then=CONTINUE)), late=_overdue_of(step)),
        "Wrong.begin",
        "let a later reaction",
    ),
    "one Step under two names": (lambda: made(again=(step := paying()), paying=step), "Wrong.", "a Step() of its own"),
    "a join reaction with an argument": (
        lambda: made(joined=on(all_of(step := made_step()))(_pays), paying=step),  # type: ignore[arg-type]
        "Wrong.joined",
        "nothing but self",
    ),
    "an undo without an argument": (
        lambda: made(**_with_undo() | {"back": undo(SHARED)(_no_argument)}),  # type: ignore[arg-type]
        "Wrong.back",
        "the step's command",
    ),
    "an undo with another command": (
        lambda: made(**_with_undo() | {"back": undo(SHARED)(_other)}),  # type: ignore[arg-type]
        "Wrong.back",
        "annotate it with Take",
    ),
    "a default that is no ending": (lambda: paying(then="paid"), "Step.Pay", "then=Compensate(...)"),
    "an outcome that is no event": (lambda: paying(done="Paid"), "Step.Pay", "name the class of the event"),
    "on with an event instead of a method": (lambda: on(cast("Any", Paid)), "on", "write @on alone"),
    "starts with an event instead of a method": (lambda: starts(cast("Any", Began)), "starts", "write @starts alone"),
    "overdue with a command instead of a step": (lambda: overdue(cast("Any", Pay)), "overdue", "name the Step attribute"),
    "due with a name instead of a deadline": (lambda: due(cast("Any", "late")), "due", "name the Deadline attribute"),
    "an async reaction": (lambda: made(later=on(_async)), "Wrong.later", "write a plain generator"),
    "a version that is no number": (lambda: made(class_arguments={"version": "1"}), "Wrong", "write version=1"),
    "a class argument that there is none of": (lambda: made(class_arguments={"nmae": "x"}), "Wrong: unknown class argument nmae", "name,"),
    "a key that no event has": (lambda: made(class_arguments={"key": "oder_id"}), "Wrong", "none of its events has the field 'oder_id'"),
    "a message's class argument that there is none of": (
        lambda: type("Bad", (Event,), {"__module__": __name__}, tpye="t.bad"),
        "Bad: unknown class argument tpye",
        "type, version and upcasters",
    ),
    "an event without a written name": (lambda: made(nameless=on(_nameless)), "Wrong.nameless", 'give the class type="..."'),
}


def made_step() -> Step[Pay, Paid]:
    return paying(then=None)


def _pays(self: Any, event: Noticed) -> Effects[Pay]:
    yield Pay(id=event.id)


async def _async(self: Any, event: Noticed) -> Effects[Pay]:  # type: ignore[misc]  # what is wrong with it
    yield Pay(id=event.id)


def _closes_too(self: Any, event: Noticed) -> Effects[Complete]:
    yield Complete("too")


def _no_argument(self: Any) -> Effects[GiveBack]:
    yield GiveBack(id="1")


def _other(self: Any, c: Pay) -> Effects[GiveBack]:
    yield GiveBack(id=c.id)


def _nameless(self: Any, event: Nameless) -> Effects[Complete]:
    yield Complete("nameless")


@pytest.mark.parametrize("name", CASES)
def test_each_check_names_the_class_the_member_and_the_mend(name: str) -> None:
    make, where, mend = CASES[name]
    with pytest.raises((DefinitionError, RuntimeError)) as caught:
        make()
    error = caught.value if isinstance(caught.value, DefinitionError) else caught.value.__cause__  # Python 3.11 wraps __set_name__
    assert isinstance(error, DefinitionError)
    assert str(error).startswith(where), str(error)
    assert mend in str(error)


def test_an_annotation_that_cannot_be_resolved_says_so() -> None:
    class Local(Event, type="t.local"):
        id: str

    def local(self: Any, event: "Local") -> Effects[Complete]:
        yield Complete("x")

    with pytest.raises(DefinitionError, match="define it at module level"):
        made(local=on(local))


def test_a_message_cannot_take_a_reserved_name_or_forget_an_upcaster() -> None:
    with pytest.raises(DefinitionError, match="reserved"):
        type("Bad", (Event,), {"__module__": __name__}, type="pm.mine")
    with pytest.raises(DefinitionError, match="one for each step"):
        type("Bad", (Event,), {"__module__": __name__}, type="t.bad", version=2)


@pytest.mark.parametrize(
    "each", [lambda c: c.id[4:], lambda c: c.id.partition("-").nope, lambda c: getattr(c, "nope", c.id), lambda _: {"y": 1}["x"]]
)
def test_a_key_that_only_a_real_command_can_tell_is_not_judged(each: Callable[[Pay], object]) -> None:
    assert made("Keyed", paying=paying(each=each)).__name__ == "Keyed"


def test_a_join_needs_steps_and_a_count() -> None:
    with pytest.raises(DefinitionError, match="no steps"):
        all_of()
    with pytest.raises(DefinitionError, match="at least one"):
        n_of(0, SHARED)


def test_everything_that_is_wrong_is_told_at_once() -> None:
    """The error is the one to mend first; the others stand in its notes."""
    with pytest.raises(DefinitionError) as caught:
        made(paying=paying(within=None), reminder=Deadline(), noticed=noticed)

    notes = caught.value.__notes__
    assert "within" in str(caught.value)
    assert any("reminder" in note for note in notes)
    assert any("Take" in note for note in notes)
