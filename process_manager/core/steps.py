"""Steps and joins: the table at the top of a process manager."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from functools import cached_property
from typing import Any, Generic, Literal, TypeAlias

from typing_extensions import TypeVar

from process_manager.core.effects import Ending
from process_manager.core.messages import Command, Event
from process_manager.core.retry import Retry
from process_manager.errors import DefinitionError

C_co = TypeVar("C_co", bound=Command, covariant=True)
D_co = TypeVar("D_co", bound=Event, covariant=True, default=Event)


class Unlimited(Enum):
    """The type of FOREVER."""

    FOREVER = "forever"


class Nothing(Enum):
    """The type of CONTINUE."""

    CONTINUE = "continue"


FOREVER = Unlimited.FOREVER
"""`within=FOREVER`: no answer is ever too late, so the step is never overdue."""

CONTINUE = Nothing.CONTINUE
"""`then=CONTINUE`, `otherwise=CONTINUE`: it is recorded and nothing follows from it."""

Default: TypeAlias = Ending | Literal[Nothing.CONTINUE] | None


class Step(Generic[C_co, D_co]):
    """One thing that somebody else is asked to do, and all that can come of it.

    command      the message that asks for it
    done         the event that says it succeeded; or a tuple of them
    failed       the event that says it was refused; or a tuple of them; () when it cannot be
    within       how long an answer may take before the step is overdue, or FOREVER
    each         the key of a run, taken from the command, when the step runs once for each of several things
    retry        attempts in all, on overdue; see Retry
    needs_undo   False when there is nothing to undo; otherwise the class has an `@undo` reaction for the step
    then         what follows `done` where no reaction says so: an ending, or CONTINUE
    otherwise    what follows `failed` and overdue where no reaction says so: an ending, or CONTINUE
    """

    def __init__(
        self,
        command: type[C_co],
        *,
        done: type[D_co] | tuple[type[D_co], ...],
        failed: type[Event] | tuple[type[Event], ...] = (),
        within: timedelta | Literal[Unlimited.FOREVER] | None = None,
        each: Callable[[C_co], object] | None = None,
        retry: Retry | None = None,
        needs_undo: bool = True,
        then: Default = None,
        otherwise: Default = None,
    ) -> None:
        self.command = command
        self.done = done if isinstance(done, tuple) else (done,)
        self.failed = failed if isinstance(failed, tuple) else (failed,)
        self.within = within
        self.each: Callable[[Any], object] | None = each
        self.retry = retry
        self.needs_undo = needs_undo
        self.then = then
        self.otherwise = otherwise
        self.name = ""
        self._check_arguments()

    def _check_arguments(self) -> None:
        def wrong(argument: str, kind: str, mend: str) -> DefinitionError:
            label = getattr(self.command, "__name__", repr(self.command))
            return DefinitionError("Step", label, f"{argument}={getattr(self, argument)!r} {kind}", mend)

        for argument in ("done", "failed"):
            if not all(isinstance(event, type) and issubclass(event, Event) for event in getattr(self, argument)):
                raise wrong(argument, "is no Event class", "name the class of the event that says so")
        for argument in ("then", "otherwise"):
            if not isinstance(getattr(self, argument), Ending | Nothing | None):
                raise wrong(argument, "is neither an ending nor CONTINUE", f"write {argument}=Compensate(...) or one of the others")
        if not isinstance(self.within, timedelta | Unlimited | None):
            raise wrong("within", "is no span of time", "write within=minutes(10), or within=FOREVER")
        if not isinstance(self.retry, Retry | None):
            raise wrong("retry", "is no Retry", "write retry=Retry(3)")

    def __set_name__(self, owner: type, name: str) -> None:
        if self.name:
            raise DefinitionError(owner.__name__, name, f"is the same Step as {self.name}", "make a Step() of its own")
        self.name = name

    def __repr__(self) -> str:
        return f"<Step {self.name or '?'}: {self.command.__name__}>"

    def run_key(self, message: Command | Event) -> str:
        """The key of the run that this command starts, or that this answer names; "" for a step with one run."""
        return "" if self.each is None else str(self.each(message))


AnyStep: TypeAlias = Step[Any, Any]
Count: TypeAlias = int | Callable[[Any], int]


@dataclass(frozen=True, eq=False)
class Join:
    """A condition over the runs of some steps; `count` runs must be done, None means all of them."""

    steps: tuple[AnyStep, ...]
    count: Count | None

    @cached_property
    def name(self) -> str:
        """How facts and diagrams call it; two joins of one definition never share a name."""
        over = " and ".join(step.name for step in self.steps)
        if self.count is None:
            return f"all of {over}"
        if self.count == 1:
            return f"any of {over}"
        return f"{self.count if isinstance(self.count, int) else 'n'} of {over}"


def all_of(*steps: AnyStep) -> Join:
    """Every run of these steps is done, or was lost and started again. A step without runs is waited for while a
    reaction may still start one, then no longer."""
    return _join(steps, None)


def any_of(*steps: AnyStep) -> Join:
    """One run of these steps is done. Where none was started, and none can be any more, it fails as a step does."""
    return _join(steps, 1)


def n_of(count: Count, *steps: AnyStep) -> Join:
    """So many runs of these steps are done; `count` may be a function of the process manager. Too few runs fail as a step does."""
    if isinstance(count, int) and count < 1:
        raise DefinitionError("n_of", "", f"{count} runs are always done", "ask for at least one")
    return _join(steps, count)


def _join(steps: tuple[AnyStep, ...], count: Count | None) -> Join:
    if not steps or not all(isinstance(step, Step) for step in steps):
        raise DefinitionError("join", "", f"{steps!r} are no steps", "name the Step attributes that it waits for")
    return Join(steps, count)
