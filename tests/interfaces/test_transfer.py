"""`pm export` and `pm import`: a sample that tells and judges like the log it comes from, and on which nothing runs."""

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import orjson
import pytest

from process_manager.adapters.sqlite import SqliteStore
from process_manager.core.records import Record
from process_manager.interfaces.bootstrap import open_log
from process_manager.ports import Filter
from tests.interfaces.candidates import CANDIDATE, HOLDING, ORDERS, publish
from tests.interfaces.conftest import Answer, Pm


@pytest.fixture
def demo(recorded: Path, place: Path) -> str:
    """A copy of a recorded demo."""
    shutil.copy(recorded, place / "demo.db")
    return "demo.db"


def exported(pm: Pm, *args: str) -> str:
    answer = pm("export", "--store", "demo.db", *args)
    assert answer.code == 0, answer.err
    return answer.out


def brought(pm: Pm, lines: str, name: str = "sample.db") -> Answer:
    return pm("import", "-", "--store", name, input=lines)


def histories(url: str) -> Iterator[Record]:
    """The records of instances, without what a store gives them itself."""
    with closing(open_log(url)) as store:
        for record in store.read_all(where=Filter(stream_prefixes=("order_fulfilment-",))):
            yield record._replace(position=0, created=0)


def test_what_is_imported_is_what_was_exported(pm: Pm, demo: str) -> None:
    lines = exported(pm)
    assert "60 instances" in brought(pm, lines).err
    assert sorted(histories("sample.db")) == sorted(histories(demo))
    assert pm("export", "--store", "sample.db").out.splitlines()[1:] == lines.splitlines()[1:]


def test_a_sample_is_judged_like_its_log(pm: Pm, demo: str, place: Path) -> None:
    (place / "lower_limit_sample.py").write_text(CANDIDATE)
    assert brought(pm, exported(pm)).code == 0
    app = ("--app", "lower_limit_sample:app", "-o", "json")
    log, sample = pm("drift", "--store", demo, *app), pm("drift", "--store", "sample.db", *app)
    assert log.code == sample.code == 5
    assert log.out == sample.out
    assert pm("drift", "--store", "sample.db", "--app", ORDERS).code == 0


def test_events_that_stayed_behind_are_reported_as_not_covered(pm: Pm, demo: str, place: Path) -> None:
    (place / "holding_sample.py").write_text(HOLDING)
    assert brought(pm, exported(pm), "before.db").code == 0
    assert pm("drift", "--store", "before.db", "--app", "holding_sample:app").code == 0  # there were none
    with closing(SqliteStore("demo.db")) as store:
        publish(store, "new")
    assert brought(pm, exported(pm), "after.db").code == 0
    answer = pm("drift", "--store", "after.db", "--app", "holding_sample:app")
    assert answer.code == 5
    assert "not covered: order_fulfilment, orders.order-held" in answer.err


def test_a_sample_of_a_process_that_the_app_does_not_have_is_not_covered(pm: Pm, demo: str) -> None:
    assert brought(pm, exported(pm)).code == 0
    fines = ("--app", "process_manager.examples.fine_collection:app")
    answer = pm("drift", "--store", "sample.db", *fines)
    assert answer.code == 5
    assert "not covered: order_fulfilment, the process: the app does not have it" in answer.err
    assert "order_fulfilment" not in pm("drift", "--store", demo, *fines).err  # a log may be shared


def test_instances_are_chosen_by_name_by_status_and_from_standard_input(pm: Pm, demo: str) -> None:
    def streams(lines: str) -> set[str]:
        return {orjson.loads(line)["stream"] for line in lines.splitlines()[1:]}

    undone = pm("list", "--store", demo, "--status", "compensated", "-o", "ids").out
    assert streams(exported(pm, "--status", "compensated")) == set(undone.split())
    assert streams(pm("export", "-", "--store", demo, input=undone).out) == set(undone.split())
    assert streams(exported(pm, undone.split()[0])) == {undone.split()[0]}
    assert streams(exported(pm, "--process", "order_fulfilment", "--status", "not_started")) == set()
    assert pm("export", "order_fulfilment-nobody", "--store", demo).code == 4
    assert pm("export", undone.split()[0], "--status", "running", "--store", demo).code == 2


def test_a_masked_export_hides_the_values_everywhere(pm: Pm, demo: str) -> None:
    with closing(open_log(demo)) as store:
        placed = [orjson.loads(each.data) for each in store.read_all(where=Filter(types=frozenset({"orders.order-placed"})))]
    values = {order["card"] for order in placed} | {order["order_id"] for order in placed}
    values |= {line["sku"] for order in placed for line in order["lines"]}
    masked = exported(pm, "--mask", "card", "--mask", "order_id", "--mask", "lines.sku")
    leaked = [value for value in values if re.search(rf"(?<![\w-]){re.escape(value)}(?!\w)", masked)]
    assert leaked == []
    assert brought(pm, masked).code == 0
    assert pm("drift", "--store", "sample.db", "--app", ORDERS).code == 0
    assert len(pm("list", "--store", "sample.db", "-o", "ids").out.split()) == len(placed)


@pytest.mark.parametrize("field", ["nosuch", "lines", "lines.nosuch"])
def test_a_mask_that_hides_nothing_is_refused_before_anything_is_written(pm: Pm, demo: str, field: str) -> None:
    answer = pm("export", "--store", demo, "--mask", "card", "--mask", field)
    assert (answer.code, answer.out) == (1, "")
    assert f"--mask {field}: hides no text" in answer.err


@pytest.mark.parametrize(
    "command",
    [
        ("run", "--app", ORDERS, "--until-idle"),
        ("run", "--app", ORDERS, "--until-idle", "--workers", "2"),
        ("publish", "-"),
        ("cancel", "order_fulfilment-1.000001", "--reason", "r", "--actor", "a"),
        ("store", "serve", "--port", "0"),
    ],
)
def test_nothing_may_act_on_what_was_imported(pm: Pm, demo: str, command: tuple[str, ...]) -> None:
    assert brought(pm, exported(pm)).code == 0
    with closing(open_log("sample.db")) as store:
        before = store.last_position()
        answer = pm(*command, "--store", "sample.db", input='{"id": "1", "type": "a.b", "stream": "a-1", "data": {}}')
        assert answer.code == 3
        assert "imported histories" in answer.err
        assert store.last_position() == before


def test_an_import_needs_a_new_file(pm: Pm, demo: str) -> None:
    lines = exported(pm)
    assert brought(pm, lines, demo).code == 3
    assert brought(pm, lines, "memory:").code == 3


@pytest.mark.parametrize(
    ("spoilt", "problem"),
    [
        (lambda lines: lines[1:], "line 1"),
        (lambda lines: [*lines[:2], "nonsense"], "line 3"),
        (lambda lines: [lines[0], *lines[2:]], "line 2: revision 1"),
        (lambda lines: [*lines[:2], "{}"], "line 3: it has no"),
        (lambda _: [], "line 1"),
    ],
)
def test_what_is_no_export_leaves_no_file(pm: Pm, demo: str, place: Path, spoilt: Callable[[list[str]], list[str]], problem: str) -> None:
    answer = brought(pm, "\n".join(spoilt(exported(pm).splitlines())))
    assert answer.code == 1
    assert problem in answer.err
    assert not (place / "sample.db").exists()


@pytest.mark.parametrize("name", ["order_fulfilment-nobody", "inventory-pen", "-"])
def test_what_is_no_instance_is_an_error_and_nothing_is_written(pm: Pm, demo: str, name: str) -> None:
    one = pm("list", "--store", demo, "-o", "ids").out.splitlines()[0]
    answer = pm("export", "--store", demo, name, input=f"{one}\norder_fulfilment-nobody\n")
    assert (answer.code, answer.out) == (4, "")
    assert pm("export", "--store", demo, "--process", "order").code == 4
