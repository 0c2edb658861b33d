"""`pm replay`, `pm explain` and `pm why` on a recorded demo; none of them writes."""

import shutil
import signal
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner

from process_manager.adapters.sqlite import SqliteStore
from process_manager.core.identity import derive
from process_manager.core.records import NewRecord
from process_manager.examples.agent_task.__main__ import main as agent
from process_manager.interfaces.bootstrap import open_log
from process_manager.ports import Block, StreamState
from process_manager.testing.scenario import scenario
from tests.core.processes import Quorum
from tests.core.samples import PAID, began, taken
from tests.interfaces.conftest import Pm

ORDERS = "process_manager.examples.order_fulfilment:app"


@pytest.fixture
def demo(recorded: Path, place: Path) -> str:
    """A copy of a recorded demo."""
    shutil.copy(recorded, place / "demo.db")
    return "demo.db"


@pytest.fixture
def undone(pm: Pm, demo: str) -> str:
    """An instance that was compensated."""
    return pm("list", "--store", demo, "--status", "compensated", "-o", "ids").out.split()[0]


def records(url: str) -> list[object]:
    with closing(open_log(url)) as store:
        return list(store.read_all())


def test_a_replay_tells_every_turn_and_what_it_changed(pm: Pm, demo: str, undone: str) -> None:
    before = records(demo)
    answer = pm("replay", *undone.split("-", 1), "--store", demo)
    assert answer.code == 0
    assert "orders.order-placed: started" in answer.out
    assert "status: not_started -> running" in answer.out
    assert "status: compensating -> compensated" in answer.out
    assert records(demo) == before


def test_with_its_app_a_replay_shows_the_processs_own_state_too(pm: Pm, place: Path) -> None:
    """The agent's history says why it did what it did."""
    assert CliRunner().invoke(agent, ["--store", "sqlite:///agent.db"]).exit_code == 0
    alone = pm("replay", "agent_task", "siege", "--store", "agent.db").out
    assert "spend without asking? no, because it would come to 4.02, the limit is 1" in alone
    assert "ask_approval is done" in alone
    assert "state spent" not in alone
    told = pm("replay", "agent_task", "siege", "--store", "agent.db", "--app", "process_manager.examples.agent_task:app").out
    assert "state spent: " in told
    assert " -> 4.02\n" in told  # whichever of the tools that run at once answered last


def test_what_the_agent_example_says_to_try_tells_its_goal_and_who_approved(pm: Pm, place: Path) -> None:
    hint = CliRunner().invoke(agent, ["--store", "sqlite:///agent.db"]).stderr.partition("Try: pm ")[2]
    told = pm(*hint.split()).out
    assert '"goal":"when was the siege of Turin lifted"' in told
    assert '"by":"ada"' in told
    assert "state spent: " in told


def test_with_data_a_replay_shows_what_stood_in_inputs_and_commands_and_what_to_ask_why_for(pm: Pm, demo: str, undone: str) -> None:
    (given, *_), *_ = [turn["commands"] for turn in orjson.loads(pm("replay", undone, "--store", demo, "-o", "json").out)]
    shown = pm("replay", undone, "--store", demo, "--data").out
    assert f"{given['id']}  {orjson.dumps(given['data']).decode()}\n" in shown
    assert '{"order_id":"' in shown.splitlines()[1]
    assert given["id"] not in pm("replay", undone, "--store", demo).out
    assert pm("why", given["id"], "--store", demo).code == 0


def test_as_data_it_ends_where_it_shall(pm: Pm, demo: str, undone: str) -> None:
    turns = orjson.loads(pm("replay", undone, "--store", demo, "-o", "json").out)
    assert [turn["turn"] for turn in turns] == list(range(1, len(turns) + 1))
    some = [orjson.loads(line) for line in pm("replay", undone, "--store", demo, "--to", "1", "-o", "jsonl").out.splitlines()]
    assert some == turns[:1]
    assert turns[-1]["last_revision"] > turns[-1]["revision"] > 1
    at = orjson.loads(pm("replay", undone, "--store", demo, "--at", turns[0]["time"], "-o", "json").out)
    assert at == [turn for turn in turns if turn["time"] == turns[0]["time"]]
    answer = pm("replay", undone, "--store", demo, "--at", "2000-01-01")
    assert (answer.code, answer.out, answer.err) == (0, "", "nothing had happened yet\n")


def test_following_ends_on_ctrl_c(start: Callable[..., "subprocess.Popen[str]"], demo: str, undone: str) -> None:
    process = start("replay", undone, "--store", demo, "--follow", "-o", "jsonl")
    assert process.stdout is not None
    assert orjson.loads(process.stdout.readline())["turn"] == 1
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=100)
    assert process.returncode == 130
    assert "Traceback" not in err


def test_following_shows_what_is_appended_meanwhile(start: Callable[..., "subprocess.Popen[str]"], demo: str, undone: str) -> None:
    process = start("replay", undone, "--store", demo, "--follow", "-o", "jsonl")
    assert process.stdout is not None
    with closing(SqliteStore(demo)) as store:
        last = [*store.read_stream(undone)][-1]
        while orjson.loads(process.stdout.readline())["last_revision"] < last.revision:
            pass
        stranger = NewRecord(derive(undone), "somebody.elses", b"{}", b"{}")
        store.append(Block(undone, [stranger], StreamState.ANY))
    assert orjson.loads(process.stdout.readline())["revision"] == last.revision + 1
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=100)


def test_following_has_no_end_to_stop_at(pm: Pm, demo: str, undone: str) -> None:
    assert pm("replay", undone, "--store", demo, "--follow", "--to", "3").code == 2
    assert pm("replay", undone, "--store", demo, "--follow", "-o", "json").code == 2


@pytest.mark.parametrize("command", ["replay", "explain"])
def test_an_instance_that_is_not_there_is_exit_code_4(pm: Pm, demo: str, command: str) -> None:
    answer = pm(command, "order_fulfilment", "nobody", "--store", demo)
    assert answer.code == 4
    assert "pm list" in answer.err
    assert pm(command, "nonsense", "--store", demo).code == 2


def test_with_the_app_an_explanation_also_says_what_can_happen(pm: Pm, demo: str, undone: str) -> None:
    before = records(demo)
    alone = pm("explain", undone, "--store", demo)
    assert alone.out.startswith(f"{undone} is compensated since ")
    assert "what can still happen" not in alone.out
    assert "it has ended, and waits for nothing" in alone.out
    told = pm("explain", undone, "--store", demo, "--app", ORDERS)
    assert "no event can change it any more" in told.out
    assert orjson.loads(pm("explain", undone, "--store", demo, "-o", "json").out)["status"] == "compensated"
    assert records(demo) == before


def test_what_would_be_undone_after_the_end_is_told(pm: Pm, place: Path) -> None:
    case = scenario(Quorum).given(began("a", "b", need=1), taken("a"), PAID).then_completed()
    with closing(SqliteStore(place / "x.db")) as store:
        written = [NewRecord(each.id, each.type, each.data, each.metadata) for each in case.records]
        store.append(Block("quorum-1", written, StreamState.NO_STREAM))
    told = pm("explain", "quorum-1", "--store", "x.db").out
    assert (
        "it has ended, and waits for nothing\ntaking [b] is not needed any more: when it is done after all, or has no answer until " in told
    )


def test_what_an_order_under_way_waits_for_and_what_comes_if_nothing_does(pm: Pm, place: Path) -> None:
    order = {"order_id": "7", "lines": [{"sku": "a", "quantity": 1}], "total": "700", "card": "c"}
    line = {"id": "a1", "type": "orders.order-placed", "stream": "order-7", "data": order}
    assert pm("publish", "-", "--store", "x.db", input=orjson.dumps(line)).code == 0
    assert pm("run", "--only", "processes", "--until-idle", "--app", ORDERS, "--store", "x.db").code == 0
    alone = pm("explain", "order_fulfilment", "7", "--store", "x.db").out
    assert "waits for:\n  reserve_stock [a]: an answer to inventory.reserve-stock since " in alone
    assert "if nothing comes, reserve_stock [a] is due at " in alone
    assert "name it with --app" in alone
    told = pm("explain", "order_fulfilment", "7", "--store", "x.db", "--app", ORDERS).out
    assert "answered by inventory.stock-reserved or inventory.stock-unavailable" in told
    assert "reserve_stock [a] is overdue (attempt 1), it is tried again" in told
    assert "inventory.stock-unavailable: compensate" in told
    command = orjson.loads(pm("replay", "order_fulfilment", "7", "--store", "x.db", "-o", "json").out)[0]["commands"][0]["id"]
    assert "it is not answered yet" in pm("why", command, "--store", "x.db").out


def test_an_app_without_the_process_is_exit_code_4(pm: Pm, demo: str, undone: str) -> None:
    answer = pm("explain", undone, "--store", demo, "--app", "process_manager.examples.fine_collection:app")
    assert answer.code == 4
    assert "fine_collection" in answer.err


def test_why_tells_the_turn_that_gave_a_command_and_its_answer(pm: Pm, demo: str, undone: str) -> None:
    turns = orjson.loads(pm("replay", undone, "--store", demo, "-o", "json").out)
    turn = next(each for each in turns if each["commands"])
    id_ = turn["commands"][0]["id"]
    answer = orjson.loads(pm("why", id_, "--store", demo, "-o", "json").out)
    assert answer["instance"] == undone
    assert {name: answer[name] for name in turn} == turn
    assert answer["answer"]["turn"] > turn["turn"]
    assert id_ in pm("why", id_, "--store", demo).out
    assert pm("why", derive("nothing"), "--store", demo).code == 4
    assert pm("why", turn["input"]["id"], "--store", demo).code == 4  # an event, not a command
