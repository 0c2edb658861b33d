"""What `--metrics` answers: figures of a worker and whether it is well."""

import json
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from process_manager import App
from process_manager.core.definition import Definition
from process_manager.core.instance import Instance
from process_manager.core.signals import Action, OperatorAction
from process_manager.errors import StoreUnavailable, StreamDeleted
from process_manager.examples.order_fulfilment import app
from process_manager.interfaces import bootstrap
from process_manager.interfaces.monitoring.metrics import SILENCE, health, serve_metrics
from process_manager.interfaces.operating import actions
from process_manager.interfaces.reading.instance_scan import scan
from process_manager.ports import EventStore
from process_manager.runtime.instances import load
from process_manager.runtime.worker import Worker
from tests.core.processes import Paying
from tests.core.samples import Began
from tests.proof.test_long_life import put
from tests.runtime.answered_shop import place

APP = "process_manager.examples.order_fulfilment:app"
LINES = [{"sku": "tea", "quantity": 1}]
ORDER = {
    "id": "o1",
    "stream": "order-o1",
    "type": "orders.order-placed",
    "data": {"order_id": "o-1", "card": "good", "total": "5", "lines": LINES},
}


def ask(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=100) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EventStore]:
    opened = bootstrap.open_store(f"sqlite:///{tmp_path}/a.db")
    yield opened
    opened.close()


@pytest.fixture
def worker(store: EventStore, tmp_path: Path) -> Iterator[Worker]:
    built = bootstrap.build(app, f"sqlite:///{tmp_path}/a.db", store)
    yield built
    built.close()


def figures(text: str) -> dict[str, float]:
    """Samples by name, those of all groups added up."""
    found: dict[str, float] = {}
    for name, value in re.findall(r"^(\w+)(?:\{.*\})? (\S+)$", text, re.MULTILINE):
        found[name] = found.get(name, 0.0) + float(value)
    return found


def test_the_figures_follow_what_the_worker_does(store: EventStore, worker: Worker, pm: Any, tmp_path: Path) -> None:
    with serve_metrics(worker, store, app.definitions, 0) as port:
        before = figures(ask(port, "/metrics")[1])
        assert pm("publish", "-", "--store", f"sqlite:///{tmp_path}/a.db", input=json.dumps(ORDER)).code == 0
        waiting = figures(ask(port, "/metrics")[1])
        worker.run(until_idle=True)
        after = figures(ask(port, "/metrics")[1])
    assert (before["pm_turns_total"], before["pm_group_lag_records"], before["pm_group_lag_seconds"]) == (0, 0, 0)
    assert waiting["pm_group_lag_records"] == 1
    assert waiting["pm_group_lag_seconds"] > 0
    assert after["pm_group_lag_records"] == 0
    assert after["pm_turns_total"] == worker.counters.turns > 1
    assert after["pm_commands_total"] == worker.counters.commands == 1
    assert after["pm_event_to_command_seconds_count"] == worker.counters.commands
    assert after["pm_event_to_command_seconds_sum"] > 0
    assert after["pm_group_consumers"] == len(worker.groups)


STANDING = re.compile(r'^pm_instances_standing_still\{status="(\w+)"\} (\S+)$', re.MULTILINE)


def standing(port: int) -> dict[str, int]:
    """How many wait for an operator, by status; {} while it is not known."""
    return {status: int(float(count)) for status, count in STANDING.findall(ask(port, "/metrics")[1])}


def test_instances_that_wait_for_an_operator_are_counted_until_they_go_on(store: EventStore, tmp_path: Path) -> None:
    def act(action: Action, key: str) -> None:
        list(actions.ask(store, [OperatorAction(f"paying-{key}", f"{action} {key}", action, "ada", "because")]))
        paying.run(until_idle=True)

    idle = App("idle", processes=[Paying])
    paying = bootstrap.build(idle, f"sqlite:///{tmp_path}/a.db", store)
    with closing(paying), serve_metrics(paying, store, idle.definitions, 0) as port:
        assert standing(port) == {"suspended": 0, "compensation_failed": 0}
        for number in (1, 2):
            put(store, number, Began(id=str(number)))
        paying.run(until_idle=True)
        act("suspend", "1")
        act("suspend", "2")
        assert standing(port) == {"suspended": 2, "compensation_failed": 0}
        act("cancel", "1")
        assert standing(port) == {"suspended": 1, "compensation_failed": 0}


def test_an_instance_whose_stream_was_deleted_hides_no_figures(store: EventStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As somebody with the right to do so may do on a server."""
    suspend = [OperatorAction(f"paying-{key}", key, "suspend", "ada", "because") for key in "12"]

    def loaded(store: EventStore, definition: Definition, key: str) -> Instance:
        if key == "1":
            raise StreamDeleted("paying-1")
        return load(store, definition, key)

    monkeypatch.setattr("process_manager.interfaces.monitoring.stopped_instances.load", loaded)
    idle = App("idle", processes=[Paying])
    paying = bootstrap.build(idle, f"sqlite:///{tmp_path}/a.db", store)
    with closing(paying), serve_metrics(paying, store, idle.definitions, 0) as port:
        for number in (1, 2):
            put(store, number, Began(id=str(number)))
        paying.run(until_idle=True)
        list(actions.ask(store, suspend))
        paying.run(until_idle=True)
        assert standing(port) == {"suspended": 1, "compensation_failed": 0}


def test_what_is_not_read_yet_is_not_told(store: EventStore, worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("process_manager.interfaces.monitoring.stopped_instances.READ", 1)
    for key in ("o-1", "o-2"):
        place(store, key)
    worker.run(until_idle=True)
    with serve_metrics(worker, store, app.definitions, 0) as port:
        ended = [each["status"] for each in scan(store)]
        told = [standing(port) for _ in range(10)]
    assert ended == ["compensated", "compensated"]
    assert told[0] == {}
    assert told[-1] == {"suspended": 0, "compensation_failed": 0}


def test_a_well_worker_is_well(store: EventStore, worker: Worker) -> None:
    worker.step()
    with serve_metrics(worker, store, app.definitions, 0) as port:
        assert ask(port, "/healthz") == (200, "ok\n")
        assert ask(port, "/")[0] == 404


def test_a_worker_whose_store_fails_says_so_until_it_is_back(store: EventStore, worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> int:
        raise StoreUnavailable("no route to the store")

    with monkeypatch.context() as patch, serve_metrics(worker, store, app.definitions, 0) as port:
        patch.setattr(worker.deadlines, "step", fail)
        patch.setattr(store, "group", lambda _: fail())
        worker.step()
        assert ask(port, "/healthz") == (503, "the store is unavailable: no route to the store\n")
        code, text = ask(port, "/metrics")
        away = figures(text)
        assert (code, away["pm_store_up"], away["pm_turns_total"]) == (200, 0, 0)
        assert "pm_group_lag_records" not in away
        patch.undo()
        worker.step()
        assert ask(port, "/healthz")[0] == 200
        assert figures(ask(port, "/metrics")[1])["pm_store_up"] == 1


def test_a_worker_that_does_not_step_counts_as_stuck(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    worker.step()
    assert health(worker) is None
    monkeypatch.setattr(worker, "silent_for", lambda: SILENCE + 1)
    assert health(worker) == "no step has ended for 31 seconds"


def test_a_taken_port_is_refused(store: EventStore, worker: Worker, pm: Any) -> None:
    with serve_metrics(worker, store, app.definitions, 0) as port:
        answer = pm("run", "--app", APP, "--store", "memory:", "--until-idle", "--metrics", str(port))
    assert answer.code == 3
    assert f"port {port} cannot be listened on" in answer.err


def test_run_says_where_its_metrics_are(pm: Any) -> None:
    answer = pm("run", "--app", APP, "--store", "memory:", "--until-idle", "--metrics", "0")
    assert answer.code == 0
    assert re.search(r"metrics: http://127\.0\.0\.1:\d+/metrics", answer.err)


def test_without_the_extra_run_says_what_to_install_and_makes_nothing(place: Path) -> None:
    code = "import sys; sys.modules['prometheus_client'] = None; from process_manager.interfaces.cli.main import main; main()"
    options = ("run", "--app", APP, "--store", "sqlite:///x.db", "--until-idle", "--metrics", "0")
    done = subprocess.run([sys.executable, "-c", code, *options], cwd=place, capture_output=True, text=True, check=False)
    assert (done.returncode, "process-manager[metrics]" in done.stderr, list(place.iterdir())) == (1, True, [])
