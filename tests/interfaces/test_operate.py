"""What operators do by hand, on the command line, with a worker between."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

from process_manager.adapters.sqlite import SqliteStore
from process_manager.ports import Filter, Nack
from tests.interfaces.conftest import Pm
from tests.interfaces.parcels import TEXT, actions, event, parcels, run

__all__ = ["parcels"]


def statuses(pm: Pm) -> dict[str, str]:
    return {row["key"]: row["status"] for row in json.loads(pm("list", "-o", "json").out)}


def park(type_: str) -> None:
    store = SqliteStore("process-manager.db")
    store.create_group("parking", where=Filter(types=frozenset({type_})))
    consumer = store.join("parking", "me")
    consumer.nack(consumer.fetch(1), Nack.PARK, "broken")
    store.close()


def test_the_log_of_the_worker_says_where_a_reaction_raised(pm: Pm, place: Path) -> None:
    Path("parcels_first.py").write_text("GRAMS, STUCK = int, True" + TEXT)
    assert pm("publish", "-", input=event("sent", "2", weight="1.5")).code == 0
    lines = [json.loads(line) for line in pm("run", "--app", "parcels_first:app", "--until-idle").err.splitlines() if line.startswith("{")]
    (line,) = [line for line in lines if line.get("action") == "suspended"]
    assert line["stream"] == "parcel-2"
    assert re.search(r'parcels_first.py", line \d+, in sent\n +yield Weigh', line["error"])


def test_all_that_is_parked_is_delivered_again_without_a_word_only_where_instances_want_it(parcels: Pm) -> None:
    """Parcel 1 has ended: its command would be carried out for nothing."""
    park("p.weigh")
    refused = parcels("parked", "replay", "--all")
    assert refused.code == 3
    assert "1 command of instances that do not go on" in refused.err
    assert json.loads(parcels("parked", "list", "-o", "json").out)

    agreed = parcels("parked", "replay", "--all", "--yes")
    assert (agreed.code, agreed.err) == (0, "1 delivered again\n")


def test_the_command_of_an_undo_that_failed_is_wanted(parcels: Pm) -> None:
    parcels("publish", "-", input=event("sent", "4", weight="1"))
    run(parcels, "parcels_first")
    parcels("compensate", "parcel", "4", "--reason", "lost")
    run(parcels, "parcels_first")
    assert statuses(parcels)["4"] == "compensation_failed"
    park("p.unweigh")
    assert parcels("parked", "replay", "--all").code == 0


def test_retry_after_a_mend_of_the_code(parcels: Pm) -> None:
    assert statuses(parcels) == {"1": "completed", "2": "suspended", "3": "suspended"}
    answer = parcels("retry", "parcel", "2", "--reason", "it reads fractions now", "--actor", "ann")
    assert (answer.code, answer.out) == (0, "")
    assert "asked for 1" in answer.err
    run(parcels, "parcels_mended")
    assert statuses(parcels) == {"1": "completed", "2": "running", "3": "suspended"}
    story = parcels("show", "parcel-2").out
    assert "retry by ann: it reads fractions now" in story
    assert "weighing: p.weigh" in story


def test_a_filter_shows_its_count_and_asks_first(parcels: Pm) -> None:
    filtered = ("skip", "--process", "parcel", "--status", "suspended", "--reason", "never mind")
    dry = parcels(*filtered, "--dry-run")
    assert (dry.code, dry.out) == (0, "parcel-2\nparcel-3\n")
    assert "it applies to 2 of 2 instances" in dry.err
    refused = parcels(*filtered)
    assert refused.code == 3
    assert refused.err.endswith("error: skip 2 instances? There is no terminal to ask at: say --yes\n")
    assert actions() == []
    assert parcels(*filtered, "--yes").code == 0
    assert [(each["instance"], each["action"], each["reason"]) for each in actions()] == [
        ("parcel-2", "skip", "never mind"), ("parcel-3", "skip", "never mind"),
    ]  # fmt: skip


def test_a_filter_leaves_out_those_to_which_it_does_not_apply(parcels: Pm) -> None:
    answer = parcels("cancel", "--process", "parcel", "--reason", "closing down", "--yes")
    assert answer.code == 0
    assert "it applies to 0 of 3 instances" in answer.err  # one has ended, two have not started
    assert actions() == []


def test_ids_come_from_standard_input(parcels: Pm) -> None:
    answer = parcels("retry", "-", "--reason", "mended", input="parcel-2\n\nparcel-3\nparcel-9\nparcel-1\nparcel-2\n")
    assert answer.code == 1
    assert "left out: parcel-9: there is no such instance" in answer.err
    assert "left out: parcel-1: nothing is suspended" in answer.err
    assert [each["instance"] for each in actions()] == ["parcel-2", "parcel-3"]


def test_a_request_is_done_once(parcels: Pm) -> None:
    for _ in range(2):
        assert parcels("retry", "parcel-2", "--reason", "mended", "--actor", "ann", "--request", "ticket-7").code == 0
        run(parcels, "parcels_mended")
    assert len(actions()) == 1
    other = parcels("cancel", "parcel-2", "--reason", "mended", "--actor", "ann", "--request", "ticket-7")
    assert other.code == 1
    assert "was used before, for retry by ann" in other.err
    assert parcels("retry", "parcel-2", "--reason", "x", "--request", "a/b").code == 2


def test_what_does_not_apply_is_said_and_not_asked_for(parcels: Pm) -> None:
    for command, why in (("resume", "retry it, or skip it"), ("suspend", "suspended already"), ("cancel", "has not started")):
        answer = parcels(command, "parcel", "2", "--reason", "x")
        assert answer.code == 3
        assert why in answer.err
    assert parcels("retry", "parcel", "9", "--reason", "x").code == 4
    assert parcels("retry", "parcel_sent-1", "--reason", "x").code == 4  # a stream of something else
    assert actions() == []


def test_an_action_needs_a_reason_and_one_way_to_choose_instances(parcels: Pm) -> None:
    for wrong in (
        ["parcel-2"],
        ["--reason", "x"],
        ["parcel-2", "--reason", " "],
        ["parcel-2", "--reason", "\udcff"],
        ["parcel-2", "--reason", "x", "--actor", ""],
        ["parcel-2", "--process", "parcel", "--reason", "x"],
    ):
        assert parcels("retry", *wrong).code == 2, wrong
    assert parcels("retry", "a", "b", "c", "--reason", "x").code == 2


def test_suspend_resume_compensate_and_a_failed_undo(parcels: Pm) -> None:
    parcels("publish", "-", input=event("sent", "4", weight="1"))
    run(parcels, "parcels_first")
    assert parcels("suspend", "parcel", "4", "--reason", "look at it").code == 0
    run(parcels, "parcels_first")
    (row,) = [row for row in json.loads(parcels("list", "--status", "suspended", "-o", "json").out) if row["key"] == "4"]
    assert row["outcome"].endswith(": look at it")
    parcels("publish", "-", input=event("moved", "4"))
    run(parcels, "parcels_first")
    assert "waits, suspended" in parcels("show", "parcel", "4").out
    assert parcels("compensate", "parcel", "4", "--reason", "lost").code == 0
    run(parcels, "parcels_first")
    assert statuses(parcels)["4"] == "compensation_failed"
    told = parcels("explain", "parcel", "4").out
    assert "an operator, because unweighing could not undo weighing (p.not-unweighed: unweighing failed" in told
    assert "it waits for nothing" not in told
    for action in ("retry", "skip", "cancel"):
        assert f'  pm {action} parcel-4 --reason "...": ' in told
    told = parcels("explain", "parcel", "4", "--app", "parcels_mended:app").out
    assert "with this app pm retry would now lead to:\n  unweighing: p.unweigh, undoes weighing" in told
    assert "any more" not in told
    assert "pm parked replay" not in told
    park("p.unweigh")
    assert "  pm parked replay " in parcels("explain", "parcel", "4").out
    assert "left out" not in parcels("retry", "parcel", "4", "--reason", "unstuck").err
    run(parcels, "parcels_mended")
    assert statuses(parcels)["4"] == "compensated"


def test_an_explanation_of_a_suspension_names_the_input_the_error_and_what_a_retry_would_do(parcels: Pm) -> None:
    told = parcels("explain", "parcel-2").out
    assert "ValueError: invalid literal for int()" in told.splitlines()[0]
    assert re.search(r"\(sent, parcels_first\.py:\d+\)", told.splitlines()[0])
    assert "an operator, because p.sent " in told
    assert '  pm retry parcel-2 --reason "...": take it again' in told
    assert "pm cancel" not in told  # it has not started
    assert "would now lead to" not in told
    mended = parcels("explain", "parcel-2", "--app", "parcels_mended:app").out
    assert "with this app pm retry would now lead to:\n  p.sent: started\n" in mended
    again = parcels("explain", "parcel-2", "--app", "parcels_first:app").out
    assert "with this app pm retry would now lead to:\n  p.sent: suspended, ValueError" in again
    assert statuses(parcels)["2"] == "suspended"


def test_a_stream_that_is_no_instances_is_an_error(parcels: Pm) -> None:
    for command in ("show", "replay", "explain"):
        answer = parcels(command, "parcel_sent-1")
        assert (answer.code, answer.out) == (4, ""), command
        assert "no instance's stream" in answer.err
    assert json.loads(parcels("show", "parcel_sent-1", "-o", "json").out)[0]["type"] == "p.sent"


def test_wait_says_what_came_of_it(parcels: Pm, start: Callable[..., "subprocess.Popen[str]"]) -> None:
    nobody = parcels("retry", "parcel", "2", "--reason", "x", "--wait", "0.01")
    assert nobody.code == 1
    assert "no worker has taken 1" in nobody.err
    run(parcels, "parcels_first")
    worker = start("run", "--app", "parcels_first:app")
    try:
        answer = parcels("retry", "parcel", "2", "--reason", "x", "--wait", "100")
    finally:
        worker.terminate()
        worker.communicate(timeout=100)
    assert answer.code == 0
    assert answer.out.startswith("parcel-2: suspended: ValueError")


def test_check_tells_before_a_deploy_which_instances_need_what_is_gone(parcels: Pm) -> None:
    parcels("publish", "-", input=event("sent", "7", weight="1"))
    assert parcels("run", "--app", "parcels_first:app", "--until-idle", "--only", "processes").code == 0
    Path("parcels_without.py").write_text(
        "GRAMS, STUCK = int, True" + TEXT.replace("weighing", "measuring").replace("last_call", "final_call")
    )
    fits = parcels("check", "--app", "parcels_mended:app", "--store", "process-manager.db")
    assert (fits.code, fits.out) == (0, "")
    assert "all 4 instances can go on" in fits.err
    answer = parcels("check", "--app", "parcels_without:app", "--store", "process-manager.db", "-o", "json")
    assert answer.code == 5
    assert [(row["instance"], row["kind"], row["name"]) for row in json.loads(answer.out)] == [
        ("parcel-7", "step", "weighing"), ("parcel-7", "deadline", "last_call"),
    ]  # fmt: skip
    assert "1 of 4 instances" in answer.err
    assert parcels("check", "--app", "parcels_without:app", "--store", "process-manager.db", "-o", "ids").out == "parcel-7\n"
    assert parcels("check", "--app", "parcels_without:app", "--store", "other.db").code == 4


def test_in_a_store_whose_time_is_driven_an_action_happens_at_the_time_of_the_store(parcels: Pm) -> None:
    lines = [event("sent", "1", weight="1"), event("sent", "2", weight="1.5")]
    timed = [json.dumps({**json.loads(line), "time": "2020-01-01T00:00:00Z"}) for line in lines]
    store = ("--store", "driven.db")
    assert parcels("publish", "-", *store, input="\n".join(timed)).code == 0
    run = ("run", "--until-idle", "--clock", "driven", *store, "--app")
    assert parcels(*run, "parcels_first:app").code == 0
    assert parcels("retry", "parcel", "2", "--reason", "mended", *store).code == 0
    assert parcels(*run, "parcels_mended:app").code == 0
    story = parcels("show", "parcel-2", *store).out.splitlines()
    assert [line[:10] for line in story if "retry by" in line or "last_call passed" in line] == ["2020-01-03", "2020-01-05"]
