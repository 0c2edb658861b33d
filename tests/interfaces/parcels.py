"""Parcels whose first code could not take some of them, and a worker on the command line."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from process_manager.adapters.sqlite import SqliteStore
from process_manager.ports import Filter
from tests.interfaces.conftest import Answer, Pm

TEXT = '''
from process_manager import *

class Sent(Event, type="p.sent"):
    id: str
    weight: str

class Moved(Event, type="p.moved"):
    id: str

class Weigh(Command, type="p.weigh"):
    id: str
    grams: int

class Weighed(Event, type="p.weighed"):
    id: str

class Unweigh(Command, type="p.unweigh"):
    id: str

class Unweighed(Event, type="p.unweighed"):
    id: str

class NotUnweighed(Event, type="p.not-unweighed"):
    id: str

class Parcel(ProcessManager, key="id"):
    """Weighs a parcel, then waits until it was moved."""

    last_call = Deadline()
    weighing = Step(Weigh, done=Weighed, within=hours(1), then=CONTINUE, otherwise=CONTINUE)
    unweighing = Step(Unweigh, done=Unweighed, failed=NotUnweighed, within=hours(1), needs_undo=False, retry=Retry(1))

    @starts
    def sent(self, event: Sent) -> Effects[Weigh]:
        yield self.last_call.after(days(2))
        yield Weigh(id=event.id, grams=GRAMS(event.weight))

    @on(after=weighing)
    def moved(self, _: Moved) -> Effects[Complete]:
        yield Complete("moved")

    @due(last_call)
    def too_late(self) -> Effects[Compensate]:
        yield Compensate("too late")

    @undo(weighing)
    def back(self, c: Weigh) -> Effects[Unweigh]:
        yield Unweigh(id=c.id)

@handles(Weigh)
def weigh(command: Weigh) -> Weighed:
    return Weighed(id=command.id)

@handles(Unweigh)
def unweigh(command: Unweigh) -> Unweighed | NotUnweighed:
    return NotUnweighed(id=command.id) if STUCK else Unweighed(id=command.id)

app = App("parcels", processes=[Parcel], handlers=[weigh, unweigh])
'''


def event(type_: str, key: str, **data: str) -> str:
    return json.dumps({"id": f"{type_}-{key}", "type": f"p.{type_}", "stream": f"parcel_{type_}-{key}", "data": {"id": key, **data}})


@pytest.fixture
def parcels(pm: Pm, place: Path) -> Callable[..., Answer]:
    """`pm`, with one parcel that is moved, and two, 2 and 3, that the first version of the code could not take."""
    Path("parcels_first.py").write_text("GRAMS, STUCK = int, True" + TEXT)
    Path("parcels_mended.py").write_text("GRAMS, STUCK = (lambda text: int(float(text))), False" + TEXT)
    lines = [event("sent", "1", weight="5"), event("sent", "2", weight="1.5"), event("sent", "3", weight="2.5"), event("moved", "1")]
    assert pm("publish", "-", input="\n".join(lines)).code == 0
    run(pm, "parcels_first")
    return pm


def run(pm: Pm, module: str) -> None:
    assert pm("run", "--app", f"{module}:app", "--until-idle", "--only", "processes,handlers").code == 0


def actions() -> list[dict[str, Any]]:
    store = SqliteStore("process-manager.db")
    try:
        return [json.loads(record.data) for record in store.read_all(where=Filter(types=frozenset({"pm.operator-action"})))]
    finally:
        store.close()
