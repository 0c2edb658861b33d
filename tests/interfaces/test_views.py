"""`pm projections`, `pm report`, and `pm list` from the views."""

import csv
import io
import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest

from process_manager.examples.order_fulfilment import app
from process_manager.examples.order_fulfilment.demo import Demo
from process_manager.examples.order_fulfilment.messages import CardDeclined, OrderPlaced
from process_manager.examples.order_fulfilment.orders import Plan
from process_manager.examples.order_fulfilment.process import OrderFulfilment
from process_manager.interfaces.bootstrap import driven_worker, open_store
from process_manager.interfaces.cli.report import NAMES
from process_manager.ports import EventStore
from process_manager.testing.contract.support import PATIENCE, eventually
from process_manager.testing.scenario import scenario
from projections.reports import REPORTS
from projections.shipped import SHIPPED
from projections.views import Views
from tests.core.random_lives import order
from tests.projections.support import append, publish

STORE = ("--store", "demo.db")
OWN = '''
from sqlalchemy import Column, MetaData, String, Table
from projections import Message, Projection, Rows, reads

placed = Table("placed", MetaData(), Column("order_id", String, primary_key=True))

class Placed(Projection, name="placed", tables=[placed]):
    """Which orders were placed."""

    @reads("orders.order-placed")
    def add(self, message: Message, rows: Rows) -> None:
        rows.insert(placed, order_id=message.data["order_id"])

placed_by = Table("placed_by", MetaData(), Column("customer", String, primary_key=True))

class PlacedBy(Projection, name="placed_by", tables=[placed_by]):
    """Fails: there is no such field."""

    @reads("orders.order-placed")
    def add(self, message: Message, rows: Rows) -> None:
        rows.put(placed_by, customer=message.data["customer"])

orders = Placed()
failing = [Placed(), PlacedBy()]
wrong = 1
'''


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of forty orders."""
    path = tmp_path_factory.mktemp("demo") / "demo.db"
    with closing(open_store(str(path))) as store, closing(driven_worker(app, store)) as worker:
        Demo(Plan(orders=40, seed=1), store, worker).run()
    return path


@pytest.fixture
def store(place: Path, demo: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[EventStore]:
    """A copy of it in the working directory."""
    for name in ("PM_VIEWS", "PM_PROJECTIONS"):
        monkeypatch.delenv(name, raising=False)
    Path("demo.db").write_bytes(demo.read_bytes())
    with closing(open_store("demo.db")) as opened:
        yield opened


def data(answer: Any) -> Any:
    assert answer.code == 0, answer.err
    return orjson.loads(answer.out)


def place_order(store: EventStore) -> None:
    publish(store, "order-new", OrderPlaced(order_id="new", lines=(), total=Decimal(1), card="card"))


def test_the_names_of_reports_are_known_without_importing_them() -> None:
    assert tuple(REPORTS) == NAMES


def test_projections_are_listed(pm: Any, place: Path) -> None:
    rows = data(pm("projections", "list", "-o", "json"))
    assert [each["name"] for each in rows] == [each.name for each in SHIPPED]
    assert all(each["reads"] and each["tables"] and each["what"] for each in rows)


def test_views_are_built_beside_the_store_and_are_current(pm: Any, store: EventStore) -> None:
    assert pm("report", "overview", *STORE).code == 4
    assert pm("projections", "run", "--until-idle", *STORE).code == 0
    assert Path("demo.views.db").exists()
    rows = data(pm("projections", "status", *STORE, "-o", "json"))
    assert {(each["position"], each["lag"], each["state"]) for each in rows} == {(store.last_position(), 0, "current")}


@pytest.mark.parametrize("name", NAMES)
def test_every_report_in_every_format(pm: Any, store: EventStore, name: str) -> None:
    pm("projections", "run", "--until-idle", *STORE)
    rows = data(pm("report", name, *STORE, "-o", "json"))
    lines = pm("report", name, *STORE, "-o", "jsonl").out.splitlines()
    assert [orjson.loads(line) for line in lines] == rows
    assert len(list(csv.DictReader(io.StringIO(pm("report", name, *STORE, "-o", "csv").out)))) == len(rows)
    table = pm("report", name, *STORE)
    if name == "waiting":  # every order of the demo has its end
        assert (rows, table.err) == ([], "nothing to show\n")
    else:
        assert rows
        assert len(table.out.splitlines()) == 1 + min(len(rows), 50)


def test_reports_say_what_the_list_says(pm: Any, store: EventStore) -> None:
    pm("projections", "run", "--until-idle", *STORE)
    listed = Counter(each["status"] for each in data(pm("list", *STORE, "-o", "json")))
    outcomes: Counter[str] = Counter()
    for each in data(pm("report", "outcomes", *STORE, "-o", "json")):
        outcomes[each["status"]] += each["instances"]
    assert outcomes == listed
    undone = data(pm("report", "compensations", *STORE, "-o", "json"))
    assert sum(each["compensated"] for each in undone) == listed["compensated"] > 0
    refused = data(pm("report", "failures", *STORE, "-o", "json"))
    outcomes_of = {each["instance"]: each["outcome"] for each in data(pm("list", *STORE, "-o", "json"))}
    assert all(outcomes_of[each["example"]] == each["reason"] for each in refused if each["kind"] == "compensated")
    assert sum(each["times"] for each in refused if each["kind"] == "compensated") == listed["compensated"]


def test_a_log_that_goes_on_leaves_the_views_behind_and_that_is_said(pm: Any, store: EventStore) -> None:
    Path("own.py").write_text(OWN)
    pm("projections", "run", "--until-idle", "--projections", "own:orders", *STORE)
    place_order(store)
    rows = data(pm("projections", "status", "--projections", "own:orders", *STORE, "-o", "json"))
    assert {each["name"]: each["lag"] for each in rows}["placed"] == 1
    assert "1 record behind the log: pm projections run" in pm("report", "waiting", *STORE).err
    assert f"{store.last_position() - 1:,}, 1 record behind its end" in pm("report", "overview", "-o", "html", *STORE).out


def test_the_list_tells_what_views_that_are_behind_lack(pm: Any, store: EventStore) -> None:
    processes = ("run", "--only", "processes", "--until-idle", "--app", "process_manager.examples.order_fulfilment:app", *STORE)
    pm("projections", "run", "--until-idle", *STORE)
    before = data(pm("list", "-o", "json", *STORE))
    assert pm("list", "--status", "running", "-o", "ids", *STORE).out == ""
    place_order(store)
    assert pm(*processes).code == 0
    told = pm("list", "-o", "json", *STORE)
    rows = data(told)
    assert told.err == ""
    assert rows[:-1] == before
    assert (rows[-1]["instance"], rows[-1]["status"], rows[-1]["waits_for"]) == ("order_fulfilment-new", "running", ["charge_card"])
    assert data(pm("list", "--status", "running", "-o", "json", *STORE)) == rows[-1:]
    cut = pm("list", "--limit", "2", "-o", "json", *STORE)
    assert data(cut) == rows[:2]
    assert f"2 of {len(rows)} instances" in cut.err
    assert pm("list", "-o", "ids", "--views", "sqlite+pysqlite:///demo.views.db", *STORE).out.split()[-1] == "order_fulfilment-new"
    assert data(pm("list", "--views", "sqlite:///none.db", "-o", "json", *STORE)) == rows
    pm("projections", "run", "--until-idle", *STORE)
    publish(store, "order-new", CardDeclined(order_id="new", reason="broke"))
    assert pm(*processes).code == 0
    assert [each["status"] for each in data(pm("list", "-o", "json", *STORE))[len(before) :]] == ["compensated"]
    assert pm("list", "--status", "running", "-o", "ids", *STORE).out == ""


def test_what_was_written_before_is_in_a_read_that_waits(
    pm: Any, store: EventStore, start: Callable[..., subprocess.Popen[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A runner in a process of its own follows; `--wait` returns when it has what was in the log. On an idle log it returns at once."""
    monkeypatch.setattr("process_manager.interfaces.cli.views.PATIENCE", PATIENCE)
    Path("own.py").write_text(OWN)
    runner = start("projections", "run", "--projections", "own:orders", *STORE)
    try:
        eventually(lambda: pm("projections", "status", *STORE).code == 0)
        for _ in range(2):
            answer = pm("projections", "status", "--wait", "--projections", "own:orders", *STORE, "-o", "json")
            assert {each["lag"] for each in data(answer)} == {0}
        place_order(store)
        answer = pm("projections", "status", "--wait", "--projections", "own:orders", *STORE, "-o", "json")
        assert {each["name"]: each["lag"] for each in data(answer)}["placed"] == 0
    finally:
        runner.send_signal(signal.SIGINT)
        runner.communicate(timeout=100)
        assert runner.returncode == 130


def test_several_may_be_started_at_once(pm: Any, store: EventStore, start: Callable[..., subprocess.Popen[str]]) -> None:
    """Each begins to build what is missing; one does, the others wait for it."""
    runners = [start("projections", "run", "--until-idle", *STORE) for _ in range(3)]
    told = [(*runner.communicate(timeout=100), runner.returncode) for runner in runners]
    assert [code for *_, code in told] == [0, 0, 0], told
    assert {each["lag"] for each in data(pm("projections", "status", *STORE, "-o", "json"))} == {0}


def test_waiting_for_a_runner_that_is_not_there_ends(pm: Any, store: EventStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("process_manager.interfaces.cli.views.PATIENCE", 0.05)
    Path("own.py").write_text(OWN)
    pm("projections", "run", "--until-idle", "--projections", "own:orders", *STORE)
    place_order(store)
    answer = pm("projections", "status", "--wait", "--projections", "own:orders", *STORE)
    assert answer.code == 1
    assert "still behind after 0.05 s; does pm projections run follow this store?" in answer.err


def test_the_list_from_the_views_is_that_of_the_log(pm: Any, store: EventStore) -> None:
    arguments = ("--status", "compensated", *STORE, "-o", "json")
    from_log = data(pm("list", *arguments))
    pm("projections", "run", "--until-idle", *STORE)
    with closing(Views("sqlite:///demo.views.db")) as views, views.begin() as connection:
        connection.exec_driver_sql("UPDATE instances SET outcome = 'seen in the views'")
    for views_url in ("sqlite:///demo.views.db", "sqlite+pysqlite:///demo.views.db"):  # by the driver alone, and by SQLAlchemy
        from_views = data(pm("list", "--views", views_url, *arguments))
        assert [each["instance"] for each in from_views] == [each["instance"] for each in from_log]
        assert {each["outcome"] for each in from_views} == {"seen in the views"}


def test_the_list_names_what_each_instance_waits_for_and_so_does_the_log(pm: Any, store: EventStore) -> None:
    append(store, scenario(OrderFulfilment).given(order(("lamp", "rug"), 50)).records)
    listed = [pm("list", *STORE, "-o", "jsonl").out]
    pm("projections", "run", "--until-idle", *STORE)
    listed.append(pm("list", *STORE, "-o", "jsonl").out)
    (*ended, running), from_views = ([orjson.loads(line) for line in each.splitlines()] for each in listed)

    assert from_views == [*ended, running]
    assert (running["status"], running["waits_for"]) == ("running", ["reserve_stock [lamp]", "reserve_stock [rug]"])
    assert [each["waits_for"] for each in ended] == [[]] * 40
    for format_ in ("table", "csv"):
        assert "reserve_stock [lamp], reserve_stock [rug]" in pm("list", *STORE, "-o", format_).out


def test_a_file_that_is_no_database_is_left_alone(pm: Any, store: EventStore) -> None:
    """The list reads the log; who wants the views is told."""
    Path("demo.views.db").write_text("a text that is no database at all, long enough to have a header" * 3)
    assert len(data(pm("list", *STORE, "-o", "json"))) == 40
    answer = pm("report", "outcomes", *STORE)
    assert (answer.code, answer.err) == (1, "error: the views: (sqlite3.DatabaseError) file is not a database\n")


def test_views_of_an_older_definition_are_noticed_and_built_anew(pm: Any, store: EventStore, caplog: pytest.LogCaptureFixture) -> None:
    """The list reads the log meanwhile."""
    pm("projections", "run", "--until-idle", *STORE)
    with closing(Views("sqlite:///demo.views.db")) as views, views.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE instances DROP COLUMN suspended")
        connection.exec_driver_sql("UPDATE projections SET shape = 'earlier' WHERE name = 'instances'")
    for place in ((), ("--views", "sqlite:///demo.views.db"), ("--views", "sqlite+pysqlite:///demo.views.db")):
        assert len(data(pm("list", *place, *STORE, "-o", "json"))) == 40
    answer = pm("report", "outcomes", *STORE)
    said = "error: the projection instances has tables of another definition of version 2: pm projections run builds it anew\n"
    assert (answer.code, answer.err) == (1, said)
    assert pm("projections", "run", "--until-idle", *STORE).code == 0
    assert "instances has tables of another definition of version 2: it is built anew" in caplog.text
    assert pm("report", "outcomes", *STORE).code == 0


def test_views_are_for_their_owner_alone(pm: Any, store: EventStore) -> None:
    pm("projections", "run", "--until-idle", *STORE)
    assert Path("demo.views.db").stat().st_mode & 0o077 == 0


def test_a_table_is_cut_and_says_so_and_data_is_whole(pm: Any, store: EventStore) -> None:
    for _ in range(2):  # from the log, then from the views
        answer = pm("list", "--limit", "3", *STORE)
        assert (len(answer.out.splitlines()), answer.err) == (4, "3 of 40 instances; --limit shows more\n")
        assert len(data(pm("list", *STORE, "-o", "json"))) == 40
        pm("projections", "run", "--until-idle", *STORE)


def test_as_of_needs_no_views_and_tells_of_the_past(pm: Any, store: EventStore) -> None:
    rows = data(pm("list", *STORE, "-o", "json"))
    started = sorted(each["started"] for each in rows)
    then = data(pm("report", "outcomes", "--as-of", started[9], *STORE, "-o", "json"))
    assert sum(each["instances"] for each in then) == sum(each <= started[9] for each in started)
    assert not Path("demo.views.db").exists()


@pytest.mark.parametrize("day", ["2026-01-05", "20260105", "2026-W02-1"])
def test_a_day_is_taken_as_a_whole_however_it_is_written(pm: Any, store: EventStore, day: str) -> None:
    """All of the demo's orders are placed on that day."""
    pm("projections", "run", "--until-idle", *STORE)
    for option in ("--until", "--as-of"):
        rows = data(pm("report", "outcomes", option, day, *STORE, "-o", "json"))
        assert sum(each["instances"] for each in rows) == 40
    (name, *_) = pm("list", *STORE, "-o", "ids").out.split()
    turns = data(pm("replay", name, "--at", day, *STORE, "-o", "json"))
    assert turns[0]["time"].startswith("2026-01-05")
    assert turns == [turn for turn in data(pm("replay", name, *STORE, "-o", "json")) if turn["time"].startswith("2026-01-05")]


def test_a_number_beyond_all_is_the_largest(pm: Any, store: EventStore) -> None:
    pm("projections", "run", "--until-idle", *STORE)
    many = "99999999999999999999"
    assert len(data(pm("list", "--limit", many, *STORE, "-o", "json"))) == 40
    assert data(pm("report", "outcomes", "--version", many, *STORE, "-o", "json")) == []
    (name, *_) = pm("list", *STORE, "-o", "ids").out.split()
    assert data(pm("replay", name, "--to", many, *STORE, "-o", "json")) == data(pm("replay", name, *STORE, "-o", "json"))


def test_a_rebuild_that_was_stopped_leaves_the_live_tables(pm: Any, store: EventStore, monkeypatch: pytest.MonkeyPatch) -> None:
    pm("projections", "run", "--until-idle", *STORE)
    before = data(pm("report", "outcomes", *STORE, "-o", "json"))
    with monkeypatch.context() as patched:
        patched.setattr("projections.follower.Follower.step", _stopped)
        assert pm("projections", "rebuild", "--all", *STORE).code == 130
    assert data(pm("report", "outcomes", *STORE, "-o", "json")) == before
    place_order(store)
    assert pm("projections", "run", "--until-idle", *STORE).err.splitlines()[-1] == f"8 projections, at position {store.last_position()}"


def _stopped(*_: object) -> int:
    raise KeyboardInterrupt


def test_rebuild_makes_the_same_tables(pm: Any, store: EventStore) -> None:
    pm("projections", "run", "--until-idle", *STORE)
    before = data(pm("report", "decisions", *STORE, "-o", "json"))
    with closing(Views("sqlite:///demo.views.db")) as views, views.begin() as connection:
        connection.exec_driver_sql("DELETE FROM decisions")
    assert data(pm("report", "decisions", *STORE, "-o", "json")) == []
    assert pm("projections", "rebuild", "decisions", *STORE).code == 0
    assert data(pm("report", "decisions", *STORE, "-o", "json")) == before


def test_times_of_a_table_are_in_the_zone_asked_for(pm: Any, store: EventStore) -> None:
    assert pm("projections", "run", "--until-idle", *STORE).code == 0
    (first, *_) = data(pm("report", "failures", *STORE, "-o", "json"))
    there = datetime.fromisoformat(first["first"]).astimezone(ZoneInfo("Europe/Rome"))
    table = pm("report", "failures", "--zone", "Europe/Rome", *STORE)
    assert f"{there:%Y-%m-%d %H:%M:%S} CET" in table.out
    assert "CET" not in pm("report", "failures", *STORE).out


@pytest.mark.parametrize("command", [("run", "--until-idle"), ("rebuild", "--all")])
def test_one_that_fails_is_told_and_the_others_go_on(pm: Any, store: EventStore, command: tuple[str, ...]) -> None:
    Path("ownfailing.py").write_text(OWN)
    answer = pm("projections", *command, "--projections", "ownfailing:failing", *STORE)
    assert answer.code == 1
    assert "PlacedBy cannot take orders.order-placed at position" in answer.err
    line = OWN.splitlines().index('        rows.put(placed_by, customer=message.data["customer"])') + 1
    assert f"ownfailing.py:{line}" in answer.err
    assert f"{len(SHIPPED) + 1} projections, at position {store.last_position():,}" in answer.err
    rows = data(pm("projections", "status", "--projections", "ownfailing:failing", *STORE, "-o", "json"))
    states = {each["name"]: each["state"] for each in rows}
    assert states.pop("placed_by").startswith("has no tables yet")
    assert set(states.values()) == {"current"}
    healed = pm("projections", "rebuild", "--all", *STORE)
    assert f"{len(SHIPPED)} projections, at position {store.last_position():,}" in healed.err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("projections", "rebuild"), 2, "name the projections to rebuild, or say --all"),
        (("projections", "rebuild", "nonsense"), 4, "there is no projection nonsense: there are instances,"),
        (("projections", "run", "--projections", "own:wrong"), 1, "own:wrong is no projection"),
        (("projections", "run", "--projections", "own:none"), 1, "the projections cannot be loaded: own:none: own has no 'none'"),
        (("projections", "run", "--views", "nonsense://"), 1, "is no database for views"),
        (("report", "overview", "--since", "yesterday"), 2, "is no time"),
        (("report", "overview", "--until", "9999-12-31"), 2, "is the end of the calendar: leave it out"),
        (("report", "waiting", "--process", "order_fulfillment", "--as-of", "2026-01-05"), 4, "there is order_fulfilment"),
        (("report", "overview", "--zone", "Nowhere"), 2, "is no time zone"),
        (("report", "overview", "--views", "sqlite:///none.db"), 4, "there are no views none.db"),
    ],
)
def test_a_mistake_is_told_without_a_traceback(pm: Any, store: EventStore, arguments: tuple[str, ...], code: int, said: str) -> None:
    Path("own.py").write_text(OWN)
    answer = pm(*arguments, *STORE)
    assert answer.code == code
    assert said in answer.err
    assert "Traceback" not in answer.err
