"""A definition's own state: what `but` changes, and what it refuses."""

import pytest
from pydantic import ValidationError

from process_manager import Complete, Effects, ProcessManager, State, applies, on, starts
from process_manager.testing.scenario import scenario
from tests.core.samples import NOTICED, Began, Noticed, began


class Tally(State):
    """How often it was noticed, and by whom last."""

    count: int = 0
    last: str = ""


def test_but_changes_the_fields_that_it_names() -> None:
    assert Tally(last="ann").but(count=2) == Tally(count=2, last="ann")


def test_but_refuses_a_field_that_the_state_has_not() -> None:
    with pytest.raises(TypeError, match=r"^Tally has no field 'cuont', 'nope': it has 'count', 'last'$"):
        Tally().but(cuont=1, nope=2)


def test_but_refuses_a_value_of_another_type() -> None:
    with pytest.raises(ValidationError, match="count"):
        Tally().but(count="many")


class Misspelt(State):
    """Its method names a field that it has not."""

    count: int = 0

    @applies
    def noticed(self, _: Noticed) -> "Misspelt":
        return self.but(cuont=self.count + 1)


class Noting(ProcessManager[Misspelt], key="id"):
    """Ends when it was noticed twice."""

    @starts
    def begin(self, _: Began) -> Effects[Complete]:
        yield from ()

    @on
    def noticed(self, _: Noticed) -> Effects[Complete]:
        if self.state.count == 2:
            yield Complete("noticed")


def test_a_misspelt_field_suspends_the_instance_and_loses_nothing() -> None:
    scenario(Noting).given(began()).when(NOTICED).then_suspended("TypeError: Misspelt has no field 'cuont': it has 'count'")
