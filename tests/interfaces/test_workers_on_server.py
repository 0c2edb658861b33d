"""Workers that compete through the development server, as they would through EventStoreDB: processes of their own, some of them killed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("esdbclient", reason="the esdb extra is not installed")

from process_manager.adapters.clock import RealClock
from process_manager.adapters.deadline_index import SqliteDeadlineIndex
from process_manager.adapters.esdb.store import EsdbStore
from process_manager.adapters.sqlite import SqliteStore
from process_manager.examples.order_fulfilment.messages import OrderPlaced
from process_manager.ports import EventStore, Filter
from process_manager.runtime.wiring import build_worker
from process_manager.testing.contract.support import eventually
from tests.runtime import answered_shop as shop

APP = "tests.runtime.answered_shop:app"
HERE = Path(__file__).parents[2]
ORDERS = 80

Pm = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def pm_process(tmp_path: Path) -> Iterator[Pm]:
    """Starts `pm`; what still runs at the end is killed."""
    started: list[subprocess.Popen[str]] = []
    environment = {**os.environ, "PYTHONPATH": str(HERE), "XDG_CACHE_HOME": str(tmp_path)}

    def start(*args: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "process_manager.interfaces.cli.main", *args]
        started.append(
            subprocess.Popen(command, cwd=tmp_path, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment)
        )
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def server(pm_process: Pm) -> str:
    """The address of a development server over a file."""
    process = pm_process("store", "serve", "--port", "0", "--store", "sqlite:///served.db")
    assert process.stderr is not None
    found = re.search(r"at (esdb://\S+)", process.stderr.readline())
    assert found is not None
    return found[1]


@pytest.fixture
def store(server: str) -> Iterator[EsdbStore]:
    opened = EsdbStore(server)
    yield opened
    opened.close()


def card(number: int) -> str:
    return "declined" if number % 4 == 0 else "4000"


def place_orders(store: EventStore, first: int, last: int) -> None:
    for number in range(first, last):
        shop.place(store, str(number), card=card(number))


def ended(store: EventStore) -> int:
    return sum(1 for _ in store.read_all(where=Filter(types=frozenset({"pm.ended"}))))


def final(store: EventStore) -> tuple[dict[str, str], set[int]]:
    """How each order ended, and how often each command stands in the log."""
    commands = Counter((record.type, record.data) for record in store.read_all(where=Filter(types=frozenset(shop.app.handled_commands))))
    return {str(number): shop.status(store, str(number)) for number in range(ORDERS)}, set(commands.values())


def test_three_workers_of_which_two_are_killed_come_to_what_one_on_a_file_comes_to(
    server: str, store: EventStore, pm_process: Pm, tmp_path: Path
) -> None:
    """Every order ends as it does there; nothing is asked for twice."""
    place_orders(store, 0, 5)
    run = ("run", "--app", APP, "--store", server, "--from", "start")
    workers = [pm_process(*run) for _ in range(3)]
    eventually(lambda: all(group.consumers == 3 for group in store.groups()) and len(store.groups()) == 3)
    place_orders(store, 5, ORDERS)
    eventually(lambda: ended(store) >= 15)
    for worker in workers[:2]:
        worker.kill()
    eventually(lambda: ended(store) == ORDERS)

    file = SqliteStore(tmp_path / "alone.db")
    place_orders(file, 0, ORDERS)
    alone = build_worker(shop.app, file, RealClock(), SqliteDeadlineIndex())
    alone.run(until_idle=True)
    assert final(store) == final(file)
    assert sum(group.parked for group in store.groups()) == 0
    alone.close()
    file.close()


def test_a_first_start_on_a_log_with_a_history_is_refused(server: str, store: EventStore, pm_process: Pm) -> None:
    """With exit code 3, before anything is created, by one worker and by several."""
    place_orders(store, 0, 1)
    for more in ((), ("--workers", "2")):
        refused = pm_process("run", "--app", APP, "--store", server, *more)
        _, err = refused.communicate(timeout=100)
        assert refused.returncode == 3
        assert "write --from start to take them all" in err
        assert err.count("error:") == 1
    assert list(store.groups()) == []


def test_workers_under_one_parent_compete_until_all_is_taken(server: str, store: EventStore, pm_process: Pm) -> None:
    """None ends while another has something in its hands, and each did its share."""
    place_orders(store, 0, 30)
    team = pm_process("run", "--app", APP, "--store", server, "--from", "start", "--until-idle", "--workers", "3")
    _, err = team.communicate(timeout=100)
    assert team.returncode == 0, err
    assert ended(store) == 30
    assert {OrderPlaced.message_type} < {type_ for group in store.groups() for type_ in group.where.types}


def go_on_from_the_end(store: EsdbStore, group: str) -> None:
    """Drop all members, and begin at the end of the log: as a server that comes back with a checkpoint that it wrote too far."""
    record = store._records.write(replace(store._records.get(group), after=store.last_position()))
    store._groups._delete(group)
    store._groups._create(record)


def test_what_a_server_leaves_out_after_a_restart_is_found(server: str, store: EsdbStore, pm_process: Pm) -> None:
    """Inputs and commands that were never delivered, or not acknowledged, come to nobody any more; workers look for them in the log."""
    place_orders(store, 0, 60)
    team = pm_process("run", "--app", APP, "--store", server, "--from", "start", "--until-idle", "--workers", "2")
    for done in (1, 10):
        eventually(lambda: ended(store) >= done)  # noqa: B023  asked now
        for name in store.group_names():
            if ".calls." not in name:  # calls are looked for when they are over for certain, after half a minute
                go_on_from_the_end(store, name)
    _, err = team.communicate(timeout=300)
    assert team.returncode == 0, err
    assert ended(store) == 60


def test_a_group_is_changed_under_its_worker_and_deleted_only_when_that_is_meant(server: str, store: EventStore, pm_process: Pm) -> None:
    """The worker comes back by itself and goes on; nothing is lost on the way."""
    place_orders(store, 0, 3)
    pm_process("run", "--app", APP, "--store", server, "--from", "start")
    eventually(lambda: ended(store) == 3)
    changed = pm_process("subscriptions", "update", "shop.processes", "--message-timeout", "77", "--yes", "--store", server)
    assert changed.wait(100) == 0
    place_orders(store, 3, 6)
    eventually(lambda: ended(store) == 6)
    (group,) = (group for group in store.groups() if ".processes." in group.name)
    assert group.settings.message_timeout.total_seconds() == 77
    refused = pm_process("subscriptions", "delete", group.name, "--store", server)
    assert refused.wait(100) == 3
    assert group.name in {each.name for each in store.groups()}
