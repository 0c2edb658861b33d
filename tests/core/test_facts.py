"""Facts by their written names."""

import pytest

from process_manager.core.facts import FACTS, Foreign, StepStarted, decode_fact
from process_manager.core.fold import APPLY
from process_manager.errors import NewerFact


def test_every_fact_that_is_folded_is_found_by_its_written_name_and_nothing_else_is() -> None:
    assert set(FACTS.values()) == APPLY.keys() - {StepStarted, Foreign}
    assert all(cls.fact_type == type_ for type_, cls in FACTS.items())


def test_a_step_starts_by_its_command_so_no_record_may_say_so() -> None:
    with pytest.raises(NewerFact):
        decode_fact(StepStarted.fact_type, 1, b"{}")
