"""An instance that has run for years takes its next turn as quickly as a young one."""

import pytest

from process_manager import CONTINUE, FOREVER, Complete, Effects, ProcessManager, Step, on, starts
from process_manager.core.facts import Input, InputIgnored
from process_manager.core.fold import apply
from process_manager.core.instance import LOOSE_RUNS, WINDOW, Instance
from process_manager.core.snapshot import snapshot
from process_manager.core.turn import take
from process_manager.testing.scenario import scenario
from tests.core.samples import NOW, Began, Closed, Noticed, Refused, Take, Taken, began, by_item, input_of, taken


class Endless(ProcessManager, key="id"):
    """Asks again whenever it is noticed."""

    taking = Step(Take, done=Taken, failed=Refused, within=FOREVER, needs_undo=False, then=CONTINUE, otherwise=CONTINUE)

    @starts
    def begin(self, _: Began) -> Effects[Complete]:
        yield from ()

    @on
    def noticed(self, event: Noticed) -> Effects[Take]:
        yield Take(id=self.key, item=event.text)

    @on
    def closed(self, _: Closed) -> Effects[Complete]:
        yield Complete("closed")


def test_its_state_and_its_snapshot_stay_small() -> None:
    definition = Endless.definition
    instance = take(definition, Instance("endless", "1"), input_of(began()), NOW).instance
    for number in range(2, 2000, 2):
        instance = take(definition, instance, input_of(Noticed(id="1", text=str(number)), number), NOW).instance
        answer = Refused(id="1") if number % 4 else Taken(id="1")
        instance = take(definition, instance, input_of(answer, number + 1), NOW).instance
    assert len(instance.seen) == WINDOW
    assert len(instance.runs) <= LOOSE_RUNS + 1
    assert len(instance.commands) == len(instance.runs)
    assert instance.floor == 1998 - WINDOW + 1
    fact = snapshot(instance, definition.fold_version)
    assert fact is not None
    assert len(str(fact.state)) < 100_000


class Many(ProcessManager, key="id"):
    """Takes items until it has all of them."""

    taking = Step(Take, each=by_item, done=Taken, within=FOREVER, needs_undo=False)

    @starts
    def begin(self, event: Began) -> Effects[Take]:
        yield from (Take(id=event.id, item=item) for item in event.items)

    @on
    def taken(self, _: Taken) -> Effects[Complete]:
        if len(self.results(Many.taking)) == len(self.event(Began).items):
            yield Complete("all")


def test_the_results_of_a_step_with_keys_are_all_remembered() -> None:
    items = [f"item {number:03}" for number in range(LOOSE_RUNS + 2)]
    scenario(Many).given(began(*items)).when(*map(taken, items)).then_completed("all")


def test_the_floor_never_sinks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Inputs that arrive against the order of the log are dropped in the order in which they came."""
    monkeypatch.setattr("process_manager.core.fold.WINDOW", 1)
    instance = Instance("waiting", "1")
    for revision, position in enumerate([9, 3, 5]):
        taken = Input(f"input {position}", "t.noticed", 1, b"{}", b"null", "world", 0, position, NOW)
        apply(instance, InputIgnored(input=taken, now=NOW, reason=""), revision)

    assert instance.knows("input 9", 9) is None
    assert instance.knows("another", 10) is False
