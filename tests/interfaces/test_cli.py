"""What holds for every command: help, exit codes, output, errors as sentences."""

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from process_manager.adapters.sqlite import SqliteStore
from process_manager.core.identity import derive
from process_manager.core.records import NewRecord
from process_manager.errors import StoreUnavailable
from process_manager.interfaces.cli import errors
from process_manager.interfaces.cli.commands import cli
from process_manager.ports import Block, Filter, Nack, StreamState

APP = "process_manager.examples.order_fulfilment:app"
ORDER = {
    "id": "o1", "type": "orders.order-placed", "stream": "order-1", "time": "2026-01-01T00:00:00Z",
    "data": {"order_id": "1", "lines": [{"sku": "a", "quantity": 1}], "total": "100", "card": "x"},
}  # fmt: skip
STOCK = {
    "id": "s1", "type": "inventory.stock-received", "stream": "inventory-a", "time": "2026-01-01T00:00:00Z",
    "data": {"sku": "a", "quantity": 10},
}  # fmt: skip


@pytest.fixture
def shop(pm: Any, place: Path) -> Any:
    """One order that was shipped and one that is out of stock, in the default store."""
    missing = {**ORDER, "id": "o2", "stream": "order-2", "data": {**ORDER["data"], "order_id": "2", "lines": [{"sku": "b", "quantity": 1}]}}  # type: ignore[dict-item]
    assert pm("publish", "-", input="\n".join(map(json.dumps, (STOCK, ORDER, missing)))).code == 0
    assert pm("run", "--app", APP, "--until-idle", "--clock", "driven").code == 0
    return pm


def test_help_imports_nothing_heavy() -> None:
    code = """
import sys
before = set(sys.modules)  # what measures the tests' coverage is none of ours
from process_manager.interfaces.cli import errors
from process_manager.interfaces.cli.commands import cli
assert errors.run(cli, ["--help"], prog_name="pm") == 0
heavy = {"pydantic", "orjson", "sqlite3", "logging", "typing_extensions", "importlib.metadata"}
sys.exit(", ".join((sys.modules.keys() - before) & heavy) or 0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.returncode == 0
    assert "Run processes:" in done.stdout


def commands(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    """Every command with its full name, groups before what is in them."""
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command, info_name=path)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from commands(found, f"{path} {name}")


COMMANDS = dict(commands(cli, "pm"))


@pytest.mark.parametrize("path", COMMANDS)
def test_every_help_has_an_example(path: str) -> None:
    context = click.Context(COMMANDS[path], info_name=path, terminal_width=100, help_option_names=["-h", "--help"])
    text = COMMANDS[path].get_help(context)
    assert f"\n    $ {path} " in text or f"$({path} " in text
    assert "-h, --help" in text
    assert all(len(each) <= 100 for each in text.splitlines())


def test_version_and_short_help(pm: Any) -> None:
    assert pm("--version").out.startswith("pm 0.")
    assert "Usage: pm list" in pm("list", "-h").out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(pm: Any, shell: str) -> None:
    assert "_PM_COMPLETE" in pm("completion", shell).out


def test_completion_completes(place: Path) -> None:
    env = {**os.environ, "_PM_COMPLETE": "bash_complete", "COMP_WORDS": "pm par", "COMP_CWORD": "1"}
    pm = Path(sys.executable).with_name("pm")
    done = subprocess.run([pm], capture_output=True, text=True, check=False, env=env)
    assert "parked" in done.stdout


def test_a_usage_error_is_exit_code_2(pm: Any) -> None:
    for args in (
        ["nonsense"],
        ["list", "--nonsense"],
        ["run"],
        ["list", "--store", "here"],
        ["run", "--app", APP, "--only", "all"],
        ["parked", "replay"],
    ):
        answer = pm(*args)
        assert answer.code == 2, args
        assert answer.out == ""
        assert "Usage: pm" in answer.err


def test_a_server_without_credentials_is_told_how_to_name_it(pm: Any) -> None:
    pytest.importorskip("esdbclient")
    answer = pm("list", "--store", "esdb://localhost:2113")
    assert answer.code != 0
    assert "user:password" in answer.err
    assert "tls=false" in answer.err


def test_what_is_not_there_is_exit_code_4_and_not_created(pm: Any, place: Path) -> None:
    answer = pm("list", "--store", "sqlite:///nothing.db")
    assert (answer.code, answer.out) == (4, "")
    assert not Path("nothing.db").exists()
    Path("a.db").touch()
    assert pm("show", "a", "1", "--store", "a.db").code == 4
    assert pm("parked", "show", "1", "--store", "a.db").code == 4
    assert pm("parked", "list", "--group", "none", "--store", "a.db").code == 4


def test_a_file_that_is_no_store_is_an_error_in_words(pm: Any, place: Path) -> None:
    Path("a.db").write_text("a text that is no database at all, long enough to have a header")
    answer = pm("list", "--store", "a.db")
    assert answer.code == 1
    assert answer.err.startswith("error: ")
    assert "Traceback" not in answer.err


def test_an_empty_list_is_empty_in_every_format(pm: Any, place: Path) -> None:
    Path("process-manager.db").touch()
    for command in (["list"], ["parked", "list"]):
        assert pm(*command, "-o", "json").out == "[]\n"
        assert pm(*command, "-o", "jsonl").out == ""
        assert pm(*command, "-o", "ids").out == ""
        assert pm(*command, "-o", "csv").out.count("\n") == 1
        table = pm(*command)
        assert (table.code, table.out, table.err) == (0, "", "nothing to show\n")


def test_list_in_every_format(shop: Any) -> None:
    rows = json.loads(shop("list", "-o", "json").out)
    assert [(row["instance"], row["status"], row["outcome"]) for row in rows] == [
        ("order_fulfilment-1", "completed", "shipped"), ("order_fulfilment-2", "compensated", "b is out of stock"),
    ]  # fmt: skip
    assert rows[0]["started"] == "2026-01-01T00:00:00Z"
    assert [json.loads(line) for line in shop("list", "-o", "jsonl").out.splitlines()] == rows
    assert shop("list", "-o", "ids").out == "order_fulfilment-1\norder_fulfilment-2\n"
    assert next(csv.DictReader(io.StringIO(shop("list", "-o", "csv").out)))["started"] == "2026-01-01T00:00:00Z"
    assert "2026-01-01 00:00:00" in shop("list").out
    assert shop("list", "--status", "compensated", "-o", "ids").out == "order_fulfilment-2\n"
    other = shop("list", "--process", "other", "-o", "json")
    assert (other.code, other.out) == (4, "")
    assert "there is order_fulfilment" in other.err
    assert shop("list", "--process", "order_fulfilment", "--status", "aborted", "-o", "json").out == "[]\n"


def test_show_tells_the_story_and_as_data_the_records(shop: Any) -> None:
    told = shop("show", "order_fulfilment", "2")
    assert "compensated: b is out of stock" in told.out
    assert shop("show", "order_fulfilment-2").out == told.out
    records = json.loads(shop("show", "order_fulfilment-2", "-o", "json").out)
    assert [record["type"] for record in records][:2] == ["pm.started", "inventory.reserve-stock"]
    assert records[0]["data"]["key"] == "2"
    assert shop("show", "order_fulfilment", "2", "3").code == 2
    two = shop("show", "order_fulfilment-2", "order_fulfilment-1")
    assert (two.code, "name one instance" in two.err) == (2, True)


def test_check_says_what_an_app_holds(pm: Any) -> None:
    answer = pm("check", "--app", APP, "-o", "json")
    assert answer.code == 0
    (row,) = json.loads(answer.out)
    assert row["process"] == "order_fulfilment"
    assert row["commands_without_handler"] == ""
    assert "in order: 1 process, 6 handlers" in answer.err


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "has no 'app'"),
        ("app = 3", "is a int, not an App"),
        ("import nonsense_module", "imports 'nonsense_module', which is not installed"),
        ("1 / 0", "raised ZeroDivisionError: division by zero"),
        ("def :", "SyntaxError"),
        ("from process_manager import App\napp = App('a b', handlers=[print])", "the app's name 'a b'"),
        ("from process_manager import App\nother = App('a')", "it has other"),
    ],
)
def test_what_is_wrong_with_an_app_is_told_without_a_traceback(start: Any, place: Path, text: str, why: str) -> None:
    Path("broken.py").write_text(text)
    process = start("check", "--app", "broken:app")
    out, err = process.communicate(timeout=100)
    assert process.returncode == 1
    assert out == ""
    assert why in err
    assert "Traceback" not in err


def test_an_app_that_is_nowhere_is_named(pm: Any) -> None:
    assert "there is no module 'nowhere'" in pm("check", "--app", "nowhere.at.all:app").err
    assert "write module:attribute" in pm("check", "--app", "nowhere").err


def test_parked_records_are_listed_shown_and_replayed(pm: Any, place: Path) -> None:
    store = SqliteStore("process-manager.db")
    record = NewRecord(derive("1"), "a.thing", b'{"a": 1}', b"")
    store.append(Block("a-1", [record], StreamState.NO_STREAM))
    store.create_group("shop.handlers.1", where=Filter(types=frozenset({"a.thing"})))
    consumer = store.join("shop.handlers.1", "me")
    consumer.nack(consumer.fetch(1), Nack.PARK, "no such thing")
    store.close()
    (row,) = json.loads(pm("parked", "list", "--group", "shop.handlers", "-o", "json").out)
    assert (row["id"], row["reason"], row["group"]) == (record.id, "no such thing", "shop.handlers.1")
    assert json.loads(pm("parked", "show", record.id).out)["data"] == {"a": 1}
    assert pm("parked", "replay", "other").code == 4
    assert pm("parked", "replay", record.id, "--all").code == 2
    assert pm("parked", "replay", record.id).err == "1 delivered again\n"
    assert pm("parked", "list", "-o", "json").out == "[]\n"


def test_what_is_parked_is_dropped_with_a_reason_that_stands_in_the_log(pm: Any, place: Path) -> None:
    store = SqliteStore("process-manager.db")
    records = [NewRecord(derive(text), "a.thing", b"{}", b"") for text in ("1", "2")]
    store.append(Block("a-1", records, StreamState.NO_STREAM))
    store.create_group("shop.handlers.1", where=Filter(types=frozenset({"a.thing"})))
    consumer = store.join("shop.handlers.1", "me")
    consumer.nack(consumer.fetch(2), Nack.PARK, "no such thing")
    drop = ("parked", "drop", records[0].id, "--actor", "ann")
    assert pm(*drop).code == 2
    assert pm(*drop, "--reason", "by hand").code == 3  # nobody can be asked
    assert pm("parked", "drop", "other", "--reason", "by hand", "--yes").code == 4
    assert len(store.parked("shop.handlers.1")) == 2
    assert pm(*drop, "--reason", "by hand", "--yes").err == "1 dropped\n"
    assert [each.record.id for each in store.parked("shop.handlers.1")] == [records[1].id]
    (note,) = [json.loads(each.data) for each in store.read_stream("pm.dropped-shop.handlers.1")]
    told = {"id": records[0].id, "stream": "a-1", "parked_because": "no such thing", "actor": "ann", "reason": "by hand"}
    assert told.items() <= note.items()
    assert pm("parked", "drop", "--all", "--reason", "rest", "--yes").err == "1 dropped\n"
    assert list(store.parked("shop.handlers.1")) == []
    store.close()


def test_a_backup_is_a_store_and_overwrites_nothing(shop: Any) -> None:
    answer = shop("store", "backup", "copy.db")
    assert (answer.code, answer.out) == (0, "")
    assert shop("list", "--store", "copy.db").out == shop("list").out
    assert shop("store", "backup", "copy.db").code == 3
    assert shop("store", "backup", "other.db", "--store", "memory:").code == 3


def test_errors_of_the_library_are_sentences(capsys: pytest.CaptureFixture[str]) -> None:
    @click.command()
    def fails() -> None:
        raise StoreUnavailable("gone")

    @click.command()
    def interrupted() -> None:
        raise KeyboardInterrupt

    assert errors.run(fails, []) == 1
    assert capsys.readouterr().err == "error: gone\n"
    assert errors.run(interrupted, []) == 130


def test_a_broken_pipe_is_silent(shop: Any) -> None:
    pm = f"{sys.executable} -m process_manager.interfaces.cli.main"
    script = f"set -o pipefail; for i in 1 2 3; do {pm} show order_fulfilment-2 -o json; done | head -c 1"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout == "["


def test_diagram_draws_a_process_and_the_path_of_an_instance(shop: Any) -> None:
    assert "reserve_stock" in shop("diagram", "--app", APP).out
    assert shop("diagram", "--app", APP, "--format", "dot").out.startswith("digraph")
    assert shop("diagram", "--app", APP, "--instance", "2").out != shop("diagram", "--app", APP).out
    assert shop("diagram", "--app", APP, "--instance", "9").code == 4
    assert shop("diagram", "--app", APP, "--process", "other").code == 4
