"""`pm drift`: recorded histories judged by unchanged and by changed code, and nothing is written."""

import os
import shutil
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import orjson
import pytest

from process_manager.adapters.sqlite import SqliteStore
from process_manager.core.identity import derive
from process_manager.core.records import NewRecord
from process_manager.errors import StoreReadOnly
from process_manager.examples.fine_collection import fine_collection
from process_manager.examples.fine_collection.recording import Recording
from process_manager.examples.fine_collection.replay import Replay
from process_manager.interfaces.bootstrap import driven_worker, open_log
from process_manager.ports import Block, Filter, StreamState
from tests.interfaces.candidates import CANDIDATE, HOLDING, ORDERS, publish
from tests.interfaces.conftest import Pm

FINES = "process_manager.examples.fine_collection"
REAL = Path(os.environ.get("PM_FINES", Path(__file__).parents[3] / "shared/data/road_traffic_fines.csv.gz"))
SMALL = Path(__file__).parents[1] / "examples" / "fines.csv"


@pytest.fixture
def demo(recorded: Path, place: Path) -> str:
    """A copy of it."""
    shutil.copy(recorded, place / "demo.db")
    return "sqlite:///demo.db"


def contents(url: str) -> list[object]:
    with closing(open_log(url)) as store:
        return list(store.read_all())


def test_unchanged_code_decides_alike(pm: Pm, demo: str) -> None:
    before = contents(demo)
    answer = pm("drift", "--app", ORDERS, "--store", demo)
    assert (answer.code, answer.out) == (0, "")
    assert "60 instances" in answer.err
    assert "0 instances differ" in answer.err
    assert contents(demo) == before


def between(url: str) -> set[str]:
    """The orders that were decided about and whose total lies between the old limit and the new one."""
    with closing(open_log(url)) as store:
        decided = {record.stream for record in store.read_all(where=Filter(types=frozenset({"pm.decided"})))}
        placed = [orjson.loads(each.data) for each in store.read_all(where=Filter(types=frozenset({"orders.order-placed"})))]
    found = {f"order_fulfilment-{order['order_id']}" for order in placed if Decimal(300) < Decimal(order["total"]) <= Decimal(500)}
    return found & decided


def test_a_changed_rule_shows_exactly_the_instances_concerned(pm: Pm, demo: str, place: Path) -> None:
    (place / "lower_limit.py").write_text(CANDIDATE)
    expected = between(demo)
    assert expected
    ids = pm("drift", "--app", "lower_limit:app", "--store", demo, "-o", "ids")
    assert ids.code == 5
    assert sorted(ids.out.split()) == sorted(expected)
    groups = orjson.loads(pm("drift", "--app", "lower_limit:app", "--store", demo, "-o", "json").out)
    assert [(each["kind"], each["subject"], each["change"]) for each in groups] == [
        ("decision", "manual review", "no -> yes"),
        ("command", "payments.charge-card", "no longer"),
        ("command", "reviews.request-review", "new"),
        ("deadline", "the answer of charge_card", "no longer"),
        ("deadline", "the answer of request_review", "new"),
    ]
    assert {each["instances"] for each in groups} == {len(expected)}
    assert all(set(each["examples"]) <= expected for each in groups)
    assert " ".join(groups[0]["examples"]) in pm("drift", "--app", "lower_limit:app", "--store", demo).out


DEARER = """
from process_manager import App, Effects, all_of, on
from process_manager.examples.order_fulfilment.messages import ChargeCard, OrderPlaced, RequestReview
from process_manager.examples.order_fulfilment.process import OrderFulfilment as Today

class OrderFulfilment(Today, version=2, key="order_id"):
    def charge(self, order: OrderPlaced) -> ChargeCard:
        return ChargeCard(order_id=order.order_id, card=order.card, amount=order.total + 1)

app = App("order_fulfilment", processes=[OrderFulfilment])
"""


def test_a_command_with_another_payload_is_told_with_the_fields_that_differ(pm: Pm, demo: str, place: Path) -> None:
    (place / "dearer.py").write_text(DEARER)
    answer = pm("drift", "--app", "dearer:app", "--store", demo, "-o", "json")
    assert answer.code == 5
    (group,) = orjson.loads(answer.out)
    assert (group["kind"], group["subject"], group["change"]) == ("command", "payments.charge-card", "another amount")
    (first, *_) = orjson.loads(pm("drift", "--app", "dearer:app", "--store", demo, "--each", "-o", "json").out)
    amounts = [Decimal(orjson.loads(first[side])["amount"]) for side in ("recorded", "candidate")]
    assert amounts[1] - amounts[0] == 1


def test_turns_before_since_are_taken_as_they_are(pm: Pm, demo: str, place: Path) -> None:
    (place / "lower_limit_since.py").write_text(CANDIDATE)
    answer = pm("drift", "--app", "lower_limit_since:app", "--store", demo, "--since", "2999-01-01")
    assert answer.code == 0
    assert "0 turns judged" in answer.err


RENAMED = """
from process_manager import App, Complete, Decision, Effects, Event, ProcessManager, on, starts

class Opened(Event, type="t.opened"):
    case: str

class Asked(Event, type="t.asked"):
    case: str

class Case(ProcessManager, version=1, key="case", name="case"):
    @starts
    def opened(self, event: Opened) -> Effects:
        yield Decision("QUESTION", "no", because="new")

    @on
    def asked(self, event: Asked) -> Effects[Complete]:
        yield Decision("QUESTION", "ANSWER", because="asked")
        yield Complete("heard")

app = App("cases", processes=[Case])
"""


def test_a_question_by_another_name_hides_no_other_answer_of_a_later_turn(pm: Pm, place: Path) -> None:
    for name, question, said in (("asking", "wanted", "no"), ("renaming", "desired", "yes")):
        (place / f"{name}_case.py").write_text(RENAMED.replace("QUESTION", question).replace("ANSWER", said))
    events = [{"id": derive(type_), "type": type_, "stream": "a", "data": {"case": "1"}} for type_ in ("t.opened", "t.asked")]
    (place / "case.jsonl").write_text("".join(orjson.dumps(each).decode() + "\n" for each in events))
    assert pm("publish", "case.jsonl", "--store", "case.db").code == 0
    assert pm("run", "--app", "asking_case:app", "--store", "case.db", "--from", "start", "--until-idle").code == 0
    answer = pm("drift", "--app", "renaming_case:app", "--store", "case.db", "--each", "-o", "json")
    rows = [(row["subject"], row["recorded"], row["candidate"]) for row in orjson.loads(answer.out)]
    assert rows == [("wanted", "no", "no, asked as 'desired'"), ("wanted", "no", "yes, asked as 'desired'")]
    assert "1 instance differs" in answer.err


def test_another_policy_over_recorded_fines(pm: Pm, place: Path) -> None:
    with closing(SqliteStore(place / "fines.db")) as store, closing(driven_worker(fine_collection("charge-always"), store)) as worker:
        Replay(worker, store, Recording.read(SMALL), lambda _day, _done: None).run()
    answer = pm("drift", "--app", f"{FINES}:cancel_when_paid", "--store", "fines.db", "--each", "-o", "jsonl")
    assert answer.code == 5
    rows = [orjson.loads(line) for line in answer.out.splitlines()]
    assert [(row["instance"], row["subject"], row["candidate"]) for row in rows] == [
        (f"fine_collection-{case}", *what)
        for case in ("NOTHING", "PAID")
        for what in (("charge the penalty?", "no"), ("fines.add-penalty", ""))
    ]
    assert "2 instances differ" in answer.err
    assert pm("drift", "--app", f"{FINES}:app", "--store", "fines.db").code == 0


@pytest.mark.skipif(not REAL.exists(), reason="the recorded log is not here")
def test_another_policy_over_the_first_cases_of_the_real_log(pm: Pm, place: Path) -> None:
    with closing(SqliteStore(place / "fines.db")) as store, closing(driven_worker(fine_collection("charge-always"), store)) as worker:
        Replay(worker, store, Recording.read(REAL, 300), lambda _day, _done: None).run()
    answer = pm("drift", "--app", f"{FINES}:cancel_when_paid", "--store", "fines.db", "-o", "json")
    assert answer.code == 5
    assert "1 instance differs" in answer.err
    groups = orjson.loads(answer.out)
    assert [(each["kind"], each["change"], each["instances"]) for each in groups] == [
        ("decision", "yes -> no", 1),
        ("command", "no longer", 1),
    ]


def test_events_that_only_the_candidate_handles_are_read_from_the_log(pm: Pm, demo: str, place: Path) -> None:
    (place / "holding.py").write_text(HOLDING)
    assert pm("drift", "--app", "holding:app", "--store", demo).code == 0
    with closing(SqliteStore("demo.db")) as store:
        publish(store, "new")
    answer = pm("drift", "--app", "holding:app", "--store", demo, "--each", "-o", "json")
    assert answer.code == 5
    rows = [(row["instance"], row["recorded"], row["candidate"]) for row in orjson.loads(answer.out)]
    assert rows == [("order_fulfilment-new", "", "starts it"), ("order_fulfilment-new", "", "aborted")]


def test_a_history_that_cannot_be_read_is_not_covered(pm: Pm, demo: str) -> None:
    newer = NewRecord(derive("newer"), "pm.from-the-future", b"{}", b'{"version":1}')
    with closing(SqliteStore("demo.db")) as store:
        store.append(Block("order_fulfilment-1.000001", [newer], StreamState.EXISTS))
    answer = pm("drift", "--app", ORDERS, "--store", demo)
    assert answer.code == 5
    assert "not covered: order_fulfilment, order_fulfilment-1.000001" in answer.err
    (row,) = orjson.loads(pm("drift", "--app", ORDERS, "--store", demo, "-o", "json").out)
    assert (row["kind"], row["subject"], row["instances"]) == ("not covered", "order_fulfilment-1.000001", None)
    assert "pm.from-the-future" in row["change"]


def test_a_log_without_an_instance_to_judge_does_not_pass(pm: Pm, demo: str) -> None:
    answer = pm("drift", "--app", f"{FINES}:app", "--store", demo)
    assert answer.code == 5
    assert "not covered: fine_collection, the process: no instance of it is recorded here" in answer.err


def test_a_process_that_the_app_does_not_have_is_named(pm: Pm, demo: str) -> None:
    answer = pm("drift", "--app", ORDERS, "--store", demo, "--process", "shipping")
    assert answer.code == 4
    assert "order_fulfilment" in answer.err


def test_a_log_opened_for_reading_cannot_be_written_to(demo: str) -> None:
    with closing(open_log(demo)) as store, pytest.raises(StoreReadOnly):
        publish(store, "1")
