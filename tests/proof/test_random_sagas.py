"""Any saga, of any length and failing anywhere, survives every crash, redelivery and swap."""

from collections.abc import Callable
from typing import Any

from hypothesis import given, settings, strategies as st

from process_manager import App, Command, Event, Retry, Saga, SagaStep, handles, hours
from process_manager.adapters.memory import MemoryStore
from process_manager.runtime.instances import load
from process_manager.testing.crash_points import survives
from process_manager.testing.faults import Faults
from process_manager.testing.trial import Published, Trial
from tests.core.samples import Began

MOST = 3


def message(kind: type, name: str) -> Any:
    """A message class with an id and the number of the step that is to fail."""
    fields = {"__annotations__": {"id": str, "need": int}, "__module__": __name__}
    return type(kind)(name, (kind,), fields, type=f"random.{name.lower()}")


DO, DONE, FAILED, UNDO, UNDONE = (
    [message(kind, f"{name}{number}") for number in range(MOST)]
    for kind, name in ((Command, "Do"), (Event, "Done"), (Event, "Failed"), (Command, "Undo"), (Event, "Undone"))
)


def handler(number: int, *, undoing: bool) -> Callable[..., Any]:
    """Refuses where the number is the one that is to fail."""

    def handle(command: Any) -> Any:
        kind = UNDONE if undoing else FAILED if command.need == number else DONE
        return kind[number](id=command.id, need=command.need)

    command = UNDO[number] if undoing else DO[number]
    handle.__annotations__ = {"command": command, "return": UNDONE[number] if undoing else DONE[number] | FAILED[number]}
    return handles(command)(handle)


def app_of(order: list[int], refusals: list[bool]) -> App:
    """A saga of these steps; some try again when they are refused."""
    steps = {
        f"step{number}": SagaStep(
            DO[number], done=DONE[number], failed=FAILED[number], undo=UNDO[number], undone=UNDONE[number], within=hours(1),
            retry=Retry(2, refusals=refusals[number]),
        )
        for number in order
    }  # fmt: skip
    metaclass: Any = type(Saga)
    saga = metaclass("Errands", (Saga,), {"__module__": __name__, **steps}, version=1, key="id", starts=Began, ends="done")
    handlers = [handler(number, undoing=undoing) for number in order for undoing in (False, True)]
    return App("random", processes=[saga], handlers=handlers)


@settings(max_examples=3, deadline=None)
@given(st.permutations(range(MOST)), st.integers(1, MOST), st.integers(-1, MOST - 1), st.lists(st.booleans(), min_size=MOST, max_size=MOST))
def test_any_saga_survives(order: list[int], length: int, failing: int, refusals: list[bool]) -> None:
    app, began = app_of(order[:length], refusals), Began(id="1", need=failing)
    survives(app, [began])

    store = MemoryStore()
    Trial(app, [(0, Published(began))], store).run(Faults())
    assert load(store, app.definitions["errands"], "1").status == ("compensated" if failing in order[:length] else "completed")
