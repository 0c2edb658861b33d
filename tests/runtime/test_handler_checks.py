"""What is wrong with handlers is said at once, before anything runs."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Protocol

import pytest

from process_manager import Aggregate, Command, Repository, handles, seconds
from process_manager.runtime.handlers import bind_handlers, call_settings, check_handlers, command_types
from tests.runtime.desk import Answered, Box, Break, Phone, Put, Ring, put, ring


class Unwritten(Command):
    pass


class Plain(Aggregate):
    pass


class Crate(Aggregate, category="box"):
    pass


class Ringing(Protocol):
    def ring(self, number: str, operation: str) -> str: ...


def unmarked(command: Put) -> None: ...


@handles("Put")  # type: ignore[arg-type]
def no_command(command: Put) -> None: ...


@handles(Unwritten)
def unwritten(command: Unwritten) -> Answered: ...  # type: ignore[empty-body]


@handles(Put)
def no_annotation(command: Put, boxes) -> Answered: ...  # type: ignore[no-untyped-def,empty-body]


@handles(Put)
def no_parameter() -> Answered: ...  # type: ignore[empty-body]


@handles(Put)
def unknown(command: Put, phone: Phone) -> Answered: ...  # type: ignore[empty-body]


@handles(Put)
def protocol(command: Put, phone: Ringing) -> Answered: ...  # type: ignore[empty-body]


@handles(Put)
def returns(command: Put, boxes: Repository[Box]) -> Answered: ...  # type: ignore[empty-body]


@handles(Put)
def says_nothing(command: Put): ...  # type: ignore[no-untyped-def]


@handles(Put)
def says_text(command: Put) -> str | None: ...


@handles(Put)
def plain(command: Put, boxes: Repository[Plain]) -> None: ...


@handles(Put)
async def waits(command: Put) -> Answered: ...  # type: ignore[empty-body]


@handles(Put)
def positional(command: Put, /) -> Answered: ...  # type: ignore[empty-body]


@handles(Put, takes=seconds(0))
def no_time(command: Put) -> Answered: ...  # type: ignore[empty-body]


@handles(Put)
def vague(command: Put, anything: object) -> Answered: ...  # type: ignore[empty-body]


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        (unmarked, "the handler unmarked is not marked: put @handles(SomeCommand) above it"),
        (no_command, "handles 'Put', which is no Command class"),
        (unwritten, "handles Unwritten, which has no written name"),
        (no_annotation, "says no type for boxes: annotate it"),
        (no_parameter, "has no parameter annotated Put"),
        (unknown, "asks for phone: Phone, and the app has no such thing: add it to resources"),
        (protocol, "asks for phone: Ringing, which is neither a class nor a runtime_checkable Protocol"),
        (returns, "edits an aggregate and returns something"),
        (says_nothing, "has neither a Repository nor events as its return type"),
        (says_text, "has neither a Repository nor events as its return type"),
        (plain, "which is no Aggregate class with a category"),
        (waits, "is async or a generator: write a plain function"),
        (positional, "cannot be handed over by name"),
        (no_time, "takes 0:00:00"),
        (vague, "asks for anything: object, and 2 resources are one"),
    ],
)
def test_what_is_wrong_with_a_handler_is_said_at_start(function: Callable[..., Any], problem: str) -> None:
    """One sentence that names the handler and the mend."""
    problems = check_handlers([function], [1, "x"])

    assert any(problem in each for each in problems), problems
    assert all(function.__name__ in each for each in problems)


def test_a_handler_may_only_ask_or_may_have_an_outcome_at_once() -> None:
    @handles(Ring)
    def only_asks(command: Ring) -> None: ...

    @handles(Put)
    def may_ask(command: Put) -> Answered | None: ...

    assert check_handlers([only_asks, may_ask]) == []
    assert [(each.outcomes, each.asks) for each in bind_handlers([only_asks, may_ask])] == [((), True), ((Answered,), True)]


def test_two_handlers_of_one_command_are_refused() -> None:
    """A command type has one owner."""

    @handles(Put)
    def another(command: Put, boxes: Repository[Box]) -> None: ...

    assert check_handlers([put, another]) == ["put and another both handle Put: keep one of them"]


def test_two_aggregates_of_one_category_are_refused() -> None:
    """Their streams would be the same."""

    @handles(Break)
    def crate(command: Break, crates: Repository[Crate]) -> None: ...

    assert check_handlers([put, crate]) == ["Crate and Box share the category 'box': rename one"]


def test_a_parameter_with_a_default_need_not_be_handed_over() -> None:
    """What the app does not have keeps its default."""

    @handles(Ring)
    def quiet(command: Ring, phone: Phone | None = None) -> Answered:
        return Answered(by=str(phone))

    (handler,) = bind_handlers([quiet])
    assert check_handlers([quiet]) == []
    assert handler.resources == {}


def test_no_command_comes_again_while_its_call_may_still_run() -> None:
    """The group's message timeout is longer than the longest call says it takes."""
    handlers = bind_handlers([ring, put], [Phone()])

    assert call_settings(handlers).message_timeout > timedelta(seconds=60)
    assert [handler.inline for handler in handlers] == [False, True]
    assert command_types(handlers) == {"test.ring", "test.put"}
