"""Values hidden in a history: everywhere, alike, and so that the history can still be folded and judged."""

import re

import orjson
from hypothesis import given, settings

from process_manager.core.masking import Mask
from process_manager.core.records import Record
from process_manager.core.replay import Replay
from process_manager.examples.order_fulfilment.process import OrderFulfilment
from process_manager.testing.scenario import Scenario, scenario, unsolicited
from tests.core.processes import Purchase, Quorum
from tests.core.random_lives import actions, facts, judged, lines, played
from tests.core.samples import DECLINED, Began, Taken

SECRET = b"secret"


def masked(case: Scenario, *fields: str, secret: bytes = SECRET) -> list[Record]:
    return list(Mask(fields, secret).history(case.records))


def bought() -> Scenario:
    return scenario(Purchase).given(Began(id="zoe-4711", items=("shoe", "hat"), need=2)).when(Taken(id="zoe-4711", item="shoe"))


def everything(records: list[Record]) -> bytes:
    return b"\n".join(b" ".join((each.stream.encode(), each.data, each.metadata)) for each in records)


def test_a_hidden_value_stands_nowhere_any_more() -> None:
    text = everything(masked(bought(), "id", "items"))
    for value in (b"zoe", b"4711", b"shoe", b"hat"):
        assert value not in text
    assert b"t.began" in text


def test_the_same_value_has_the_same_mask_wherever_it_stands() -> None:
    records = masked(bought(), "id", "items")
    started = orjson.loads(records[0].data)
    key = started["key"]
    assert re.fullmatch(r"masked-[0-9a-f]{12}", key)
    assert {record.stream for record in records} == {f"purchase-{key}"}
    commands = [record for record in records if record.type == "t.take"]
    assert [orjson.loads(each.data)["item"] for each in commands] == started["input"]["data"]["items"]
    assert [orjson.loads(each.metadata)["run"] for each in commands] == started["input"]["data"]["items"]


def test_other_secrets_give_other_masks() -> None:
    assert masked(bought(), "id", secret=b"one") != masked(bought(), "id", secret=b"two")
    assert masked(bought(), "id", secret=b"one") == masked(bought(), "id", secret=b"one")


def test_numbers_stay_numbers_in_fields_and_in_texts() -> None:
    records = masked(scenario(Purchase).given(Began(id="1", items=("a",), need=7)), "need", "id")
    data = orjson.loads(records[0].data)
    assert len(str(data["input"]["data"]["need"])) == 15
    assert re.fullmatch(r"\d{15}", data["key"])


def test_a_number_that_equals_a_hidden_id_by_chance_stays_in_other_fields() -> None:
    """What a rule computes with is no id: neither a number, nor a text that is one, as amounts are written."""
    case = scenario(Quorum).given(Began(id="2", items=("2", "b"), need=2))
    case.records = masked(case, "id")
    case.instance.key = case.records[0].stream.partition("-")[2]
    data = [orjson.loads(each.data) for each in case.records]
    began = data[0]["input"]["data"]
    assert (began["items"], began["need"]) == (["2", "b"], 2)
    assert began["id"] == data[0]["key"] == case.instance.key != "2"
    assert {each["id"] for each, record in zip(data, case.records, strict=True) if record.type == "t.take"} == {began["id"]}
    assert judged(Quorum, case) is None


def test_a_number_is_hidden_in_fields_of_the_same_name_wherever_they_are_nested() -> None:
    records = masked(scenario(Purchase).given(Began(id="1", items=("17", "18"))), "items", "item")
    data = [orjson.loads(each.data) for each in records]
    assert [each["item"] for each, record in zip(data, records, strict=True) if record.type == "t.take"] == data[0]["input"]["data"][
        "items"
    ]
    assert b'"17"' not in everything(records)


def test_a_correlation_id_that_is_a_hidden_number_is_hidden() -> None:
    event = Began(id="17", items=("a",))
    case = scenario(Purchase).given(unsolicited(event, correlation="17"))
    assert b'"17"' not in everything(masked(case, "id"))


def test_what_is_not_named_stays_as_it_is() -> None:
    case = bought()
    records = masked(case, "nothing.of.it")
    assert [orjson.loads(each.data) for each in records] == [orjson.loads(each.data) for each in case.records]
    assert [each[4:] for each in records] == [each[4:] for each in case.records]
    assert [each.id for each in records] == [each.id for each in case.records]


def test_a_short_value_is_no_reason_to_change_other_words() -> None:
    text = everything(masked(scenario(Purchase).given(Began(id="1", items=("t",)), Taken(id="1", item="t"), DECLINED), "items"))
    assert b'"t.taken"' in text
    assert b"all of taking" in text


@settings(deadline=None, max_examples=50)
@given(lines, actions)
def test_a_masked_history_is_judged_like_the_plain_one(skus: tuple[str, ...], moves: list[tuple[int, int]]) -> None:
    case = played(skus, 50, moves)
    statuses = [turn.changes.get("status") for turn in Replay("order_fulfilment", "1").take(facts(case))]
    case.records = masked(case, "order_id", "lines.sku", "card", "reviewer")
    case.instance.key = case.records[0].stream.partition("-")[2]
    assert judged(OrderFulfilment, case) is None
    assert [turn.changes.get("status") for turn in Replay("order_fulfilment", "1").take(facts(case))] == statuses
