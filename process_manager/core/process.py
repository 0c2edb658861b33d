"""`ProcessManager`: what a user subclasses, and what `self` is inside a reaction."""

import typing
from datetime import datetime
from typing import Any, ClassVar, Generic, cast

from typing_extensions import TypeVar

from process_manager.core.checks import check
from process_manager.core.definition import Definition, define, snake_case
from process_manager.core.evolve import State
from process_manager.core.instance import Instance
from process_manager.core.messages import E
from process_manager.core.routing import Route
from process_manager.core.steps import D_co, Step
from process_manager.errors import DefinitionError, ReactionError

S = TypeVar("S", bound=State, default=State)


class ProcessManager(Generic[S]):
    """A business process that spans services: steps as a table, reactions as pure generators.

    Class arguments: `key` names the field that says which instance an event concerns, `keys` the exceptions
    (`by`, `by_correlation_id`); `version` counts up with the rules; `name` is the written name, by default the class's in
    snake case; `fold_version` counts up when the `state`'s `@applies` methods change; `abstract` is for a base class of
    others, which is no process itself. Raises DefinitionError.
    """

    definition: ClassVar[Definition]

    def __init_subclass__(
        cls,
        *,
        key: str = "",
        keys: tuple[Route, ...] = (),
        version: int = 1,
        name: str = "",
        fold_version: int = 1,
        abstract: bool = False,
        **rest: Any,
    ) -> None:
        try:
            super().__init_subclass__(**rest)
        except TypeError as error:
            mend = "the class arguments are key, keys, version, name, fold_version and abstract"
            raise DefinitionError(cls.__name__, "", f"unknown class argument {', '.join(rest)}", mend) from error
        if abstract:
            return
        cls.definition = define(
            cls, name=name or snake_case(cls.__name__), version=version, fold_version=fold_version, key=key, keys=keys, state=_state_of(cls)
        )
        check(cls.definition)

    def __init__(self, instance: Instance, now: datetime) -> None:
        self._instance = instance
        self.now = now

    @property
    def key(self) -> str:
        """The key of the instance, as text."""
        return self._instance.key

    @property
    def state(self) -> S:
        """The definition's own state, as the events so far made it."""
        data = self._instance.data
        state = self.definition.state
        return cast("S", data if isinstance(data, state) else state.model_validate(data or {}))

    def find(self, event: type[E]) -> E | None:
        """The last event of this type that this life has taken, or None."""
        payload = self._instance.events.get(event.message_type)
        return None if payload is None else payload.decoded(event)

    def event(self, event: type[E]) -> E:
        """The last event of this type that this life has taken. Raises ReactionError when there is none."""
        found = self.find(event)
        if found is None:
            gone = "was not taken yet" if self._instance.life else "is forgotten with the life that took it"
            raise ReactionError(f"{event.__name__} {gone}: use find() where it may be missing")
        return found

    def results(self, step: Step[Any, D_co]) -> dict[str, D_co]:
        """What the done runs of a step answered in this life, by run key, sorted by it; of runs with one key the one started last."""
        done = [run for run in self._instance.runs_of(step.name) if run.status == "done" and run.outcome is not None]
        handled = self.definition.handled
        found = {run.key: run.outcome.decoded(handled[run.outcome.type].event) for run in done if run.outcome is not None}
        return {key: cast("D_co", found[key]) for key in sorted(found)}


def _state_of(cls: type) -> type[State]:
    for base in getattr(cls, "__orig_bases__", ()):
        for argument in typing.get_args(base):
            if isinstance(argument, type) and issubclass(argument, State):
                return argument
    inherited = getattr(cls, "definition", None)
    return inherited.state if inherited is not None else State
