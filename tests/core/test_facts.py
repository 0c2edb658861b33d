"""Facts by their written names."""

from dataclasses import replace
from datetime import UTC, datetime

import orjson
import pytest

from process_manager.core.facts import FACTS, EventTaken, Foreign, Input, StepStarted, decode_fact, encode_fact
from process_manager.core.fold import APPLY
from process_manager.errors import NewerFact


def test_every_fact_that_is_folded_is_found_by_its_written_name_and_nothing_else_is() -> None:
    assert set(FACTS.values()) == APPLY.keys() - {StepStarted, Foreign}
    assert all(cls.fact_type == type_ for type_, cls in FACTS.items())


def test_a_step_starts_by_its_command_so_no_record_may_say_so() -> None:
    with pytest.raises(NewerFact):
        decode_fact(StepStarted.fact_type, 1, b"{}")


def test_what_is_written_of_an_input_does_not_depend_on_whether_its_metadata_were_decoded() -> None:
    now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    taken = Input("id", "t.noticed", 1, b'{"n":1}', b'{"$causationId":"c"}', "world", 0, 7, now)
    decoded = replace(taken, _meta=orjson.loads(taken.metadata))

    written = encode_fact(EventTaken(input=taken, now=now))

    assert decoded.meta == taken.meta == {"$causationId": "c"}
    assert encode_fact(EventTaken(input=decoded, now=now)) == written
    assert decode_fact("pm.event-taken", 1, written) == EventTaken(input=decoded, now=now)
