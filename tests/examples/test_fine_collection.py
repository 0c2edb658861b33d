"""Fine collection on a small log with the traps of the real one, its results worked out by hand; and on the real one, if it is here."""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner, Result

from process_manager.core.records import Record
from process_manager.examples.fine_collection import POLICIES, Policy, app, fine_collection
from process_manager.examples.fine_collection.__main__ import main
from process_manager.examples.fine_collection.process import ROME, CancelWhenPaid, FineCollection, midnight
from process_manager.examples.fine_collection.recording import Recording
from process_manager.examples.fine_collection.replay import OtherReplay, Replay, compare
from process_manager.interfaces import bootstrap
from process_manager.ports import EventStore, Filter

SMALL = Path(__file__).with_name("fines.csv")
REAL = Path(os.environ.get("PM_FINES", Path(__file__).parents[3] / "shared/data/road_traffic_fines.csv.gz"))

OUTCOMES = {"credit_collection": 2, "dismissed": 2, "partly_paid": 2, "fully_paid": 2, "appeal_open": 1, "unpaid_open": 1}
CHARGED = ["SPRING", "DAY60", "PAID", "AUTUMN", "EARLY", "AFTER", "NOTHING"]


def replayed(url: str, store: EventStore, recording: Recording, policy: Policy = "charge-always") -> Replay:
    with closing(bootstrap.build(fine_collection(policy), url, store, clock="driven")) as worker:
        replay = Replay(worker, store, recording, lambda _day, _done: None)
        replay.run()
        return replay


@contextmanager
def in_memory(policy: Policy = "charge-always") -> Iterator[tuple[EventStore, Replay]]:
    with closing(bootstrap.open_store("memory:")) as store:
        yield store, replayed("memory:", store, Recording.read(SMALL), policy)


def facts(store: EventStore, case: str, type_: str) -> list[dict[str, Any]]:
    return [orjson.loads(each.data) for each in store.read_stream(f"fine_collection-{case}") if each.type == type_]


def written(store: EventStore) -> list[Record]:
    """All records of fines, in the order of the log."""
    return list(store.read_all(where=Filter(stream_prefixes=("fine-", "fine_collection-", "pm.deadline-"))))


def happened(store: EventStore) -> dict[str, list[str]]:
    """The types of records in each stream; their ids depend on where in the log their inputs stand."""
    return {stream: [each.type for each in store.read_stream(stream)] for stream in {record.stream for record in written(store)}}


def test_the_app_is_the_default_policy_and_both_share_a_name() -> None:
    assert app.processes == [FineCollection]
    assert [each.definition.name for each in POLICIES.values()] == ["fine_collection"] * 2
    assert POLICIES["cancel-when-paid"] is CancelWhenPaid


def test_every_penalty_is_issued_on_its_day() -> None:
    with in_memory() as (_, replay):
        assert compare(Recording.read(SMALL), replay.desk) == {
            "cases": 10, "events": 47, "penalties_issued": 7, "penalties_matching": 7, "deviations": 0, "outcomes": OUTCOMES,
        }  # fmt: skip
        assert list(replay.desk.penalties) == ["DAY60", "SPRING", "EARLY", "AFTER", "NOTHING", "PAID", "AUTUMN"]
        assert replay.desk.uncaused == 2


def test_who_has_paid_or_owes_nothing_is_not_charged_under_the_other_policy() -> None:
    with in_memory("cancel-when-paid") as (store, replay):
        report = compare(Recording.read(SMALL), replay.desk)
        assert (report["penalties_issued"], report["penalties_matching"], report["deviations"]) == (5, 5, 2)
        assert report["outcomes"] == OUTCOMES
        assert replay.desk.uncaused == 4
        (paid,) = facts(store, "PAID", "pm.decided")
        assert (paid["question"], paid["answer"], paid["because"]) == ("charge the penalty?", "no", "paid 0.3 of 0.3")
        (late,) = facts(store, "DAY60", "pm.decided")
        assert (late["answer"], late["because"]) == ("yes", "paid 0 of 25.0")


def test_both_policies_record_the_decision() -> None:
    with in_memory() as (store, _):
        for case in CHARGED:
            (decided,) = facts(store, case, "pm.decided")
            assert (decided["question"], decided["answer"]) == ("charge the penalty?", "yes")
        (paid,) = facts(store, "PAID", "pm.decided")
        assert paid["because"] == "always charged after 60 days; paid 0.3 of 0.3"


@pytest.mark.parametrize(("case", "hours"), [("SPRING", 60 * 24 - 1), ("AUTUMN", 60 * 24 + 1), ("DAY60", 60 * 24)])
def test_sixty_days_are_calendar_days(case: str, hours: int) -> None:
    with in_memory() as (store, _):
        (deadline,) = facts(store, case, "pm.deadline-set")
        (notified,) = [each for each in store.read_stream(f"fine-{case}") if each.type == "fines.fine-notified"]
        due = datetime.fromisoformat(deadline["due"])
        span = due - datetime.fromisoformat(orjson.loads(notified.metadata)["time"])
        assert span.total_seconds() == hours * 3600
        assert due.astimezone(ROME).time() == midnight(date(2004, 1, 1)).time()


def test_answers_carry_the_command_they_answer_and_early_ones_none() -> None:
    with in_memory() as (store, replay):
        assert {command for case, command in replay.desk.open if case == "EARLY"} == {
            "fines.forward-appeal", "fines.notify-result", "fines.send-to-collection",
        }  # fmt: skip
        for record in store.read_stream("fine-EARLY"):
            caused = "$causationId" in orjson.loads(record.metadata)
            assert caused == (record.type in {"fines.fine-sent", "fines.penalty-added"})
        assert [each["reason"][:6] for each in facts(store, "EARLY", "pm.input-ignored")] == ["early:"] * 2


def test_an_answer_after_the_end_is_recorded() -> None:
    with in_memory() as (store, _):
        answered = [each["step"] for each in facts(store, "AFTER", "pm.step-completed")]
        assert answered == ["send_fine", "add_penalty", "send_to_collection", "forward_appeal"]
        assert len(facts(store, "AFTER", "pm.ended")) == 1


def test_nothing_is_suspended_parked_or_kept() -> None:
    with in_memory() as (store, replay):
        counters = replay.counters
        assert (counters.suspended, counters.parked, counters.waiting, counters.ignored) == (0, 0, 0, 2)
        assert counters.turns == 47 + 7
        assert all(group.parked == 0 for group in store.groups())


@pytest.mark.parametrize("url", ["memory:", "sqlite:///{}/fines.db"])
def test_a_second_run_adds_nothing(url: str, tmp_path: Path) -> None:
    url = url.format(tmp_path)
    recording = Recording.read(SMALL)
    with closing(bootstrap.open_store(url)) as store:
        first = replayed(url, store, recording)
        before = written(store)
        second = replayed(url, store, recording)
        assert written(store) == before
        assert compare(recording, second.desk) == compare(recording, first.desk)
        assert second.desk.uncaused == 2


@pytest.mark.parametrize("rows", range(1, 47, 5))
def test_what_an_interrupted_run_left_is_finished_as_if_nothing_had_happened(rows: int) -> None:
    whole = Recording.read(SMALL)
    part = Recording(whole.rows[:rows], whole.cases)
    with in_memory() as (undisturbed, _), closing(bootstrap.open_store("memory:")) as store:
        replayed("memory:", store, part)
        replayed("memory:", store, whole)
        assert happened(store) == happened(undisturbed)


def test_a_store_of_another_replay_is_refused() -> None:
    whole = Recording.read(SMALL)
    with closing(bootstrap.open_store("memory:")) as store:
        replayed("memory:", store, Recording.read(SMALL, 1))
        with pytest.raises(OtherReplay, match="own store"):
            replayed("memory:", store, whole)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def test_the_command_writes_json() -> None:
    result = run(str(SMALL), "--cases", "3", "--store", "memory:", "--policy", "cancel-when-paid", "-o", "json")
    assert result.exit_code == 0, result.output
    assert orjson.loads(result.stdout) == {
        "cases": 3, "events": 16, "penalties_issued": 2, "penalties_matching": 2, "deviations": 1,
        "outcomes": {"credit_collection": 1, "partly_paid": 2},
    }  # fmt: skip


def test_the_command_writes_a_table_and_says_where_its_store_is() -> None:
    result = run(str(SMALL))
    assert result.exit_code == 0, result.output
    assert "deviations                     0" in result.stdout
    assert "the store is temporary, sqlite:///" in result.stderr


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("X,0,Dance,2004-01-01,,,,,,,,,,,,", "line 2: the activity 'Dance' is unknown"),
        ("X,0,Payment,2004-13-01,,,,,,,,,,,1.0,", "line 2: month must be in 1..12"),
        ("X,0,Payment,2004-01-01,,,,,,,,,,,lots,", "line 2"),
        ("X,0,Payment,2004-01-01,,,,,,,,,,,NaN,", "line 2: 'NaN' is no amount"),
        ("X", "line 2"),
    ],
)
def test_a_bad_line_is_named(line: str, said: str, tmp_path: Path) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_text(SMALL.read_text().splitlines()[0] + "\n" + line + "\n")
    result = run(str(bad), "--store", "memory:")
    assert result.exit_code == 1
    assert said in result.stderr
    assert "Traceback" not in result.stderr


def test_a_file_without_the_columns_is_refused(tmp_path: Path) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_text("a,b\n1,2\n")
    result = run(str(bad), "--store", "memory:")
    assert result.exit_code == 1
    assert "no column 'activity'" in result.stderr


@pytest.mark.slow
@pytest.mark.skipif(not REAL.exists(), reason="the recorded log is not here")
@pytest.mark.parametrize(("policy", "deviations"), [("charge-always", 0), ("cancel-when-paid", 1)])
def test_the_first_cases_of_the_real_log(policy: str, deviations: int) -> None:
    result = run(str(REAL), "--cases", "300", "--store", "memory:", "--policy", policy, "-o", "json")
    assert result.exit_code == 0, result.output
    report = orjson.loads(result.stdout)
    assert (report["cases"], report["events"], report["deviations"]) == (300, 1075, deviations)
    assert report["penalties_issued"] == report["penalties_matching"] == 150 - deviations
    assert report["outcomes"] == {"fully_paid": 117, "credit_collection": 115, "unpaid_open": 57, "partly_paid": 6, "dismissed": 5}
