"""`pm subscriptions`."""

import json
from pathlib import Path
from typing import Any

import pytest

from process_manager.adapters.sqlite import SqliteStore
from tests.interfaces.orders_in_a_file import APP, placed, reserved

STORE = "sqlite:///a.db"


@pytest.fixture
def groups(pm: Any, place: Path) -> list[str]:
    """The names of an app's groups, in a store with one order that nobody has taken."""
    placed("a.db", "1")
    answer = pm("subscriptions", "create", "--app", APP, "--store", STORE, "--message-timeout", "90")
    assert answer.code == 0, answer.err
    names: list[str] = answer.out.split()
    return names


def rows(pm: Any) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in json.loads(pm("subscriptions", "list", "--store", STORE, "-o", "json").out)}


def named(groups: list[str], role: str) -> str:
    return next(name for name in groups if f".{role}." in name)


def test_create_makes_what_a_worker_needs_and_no_more(pm: Any, groups: list[str]) -> None:
    """With these settings; the worker then goes on from there."""
    assert sorted(name.split(".")[1] for name in groups) == ["handlers", "processes"]
    assert {row["message_timeout"] for row in rows(pm).values()} == {90.0}
    again = pm("subscriptions", "create", "--app", APP, "--store", STORE)
    assert (again.out, "were there" in again.err) == ("", True)
    assert pm("run", "--app", APP, "--store", STORE, "--until-idle").code == 0
    assert sorted(rows(pm)) == sorted(groups)
    assert reserved("a.db") == 1


def test_groups_are_created_for_some_roles_and_from_a_position(pm: Any, place: Path) -> None:
    placed("a.db", "1")
    answer = pm("subscriptions", "create", "--app", APP, "--store", STORE, "--only", "processes", "--from", "now")
    assert [name.split(".")[1] for name in answer.out.split()] == ["processes"]
    assert pm("run", "--app", APP, "--store", STORE, "--until-idle").code == 0
    assert reserved("a.db") == 0


def test_list_says_what_waits_and_for_how_long(pm: Any, groups: list[str]) -> None:
    """For people as an age, for programs as a time."""
    row = rows(pm)[named(groups, "processes")]
    assert (row["lag"], row["consumers"], row["parked"], row["in_flight"]) == (1, 0, 0, 0)
    assert row["oldest"] is not None
    table = pm("subscriptions", "list", "--store", STORE).out
    assert " ago" in table
    assert len(pm("subscriptions", "list", "--store", STORE, "-o", "ids").out.split()) == 2


def test_show_finds_a_group_by_the_start_of_its_name(pm: Any, groups: list[str]) -> None:
    """Members and types are there."""
    app = groups[0].partition(".")[0]
    shown = json.loads(pm("subscriptions", "show", f"{app}.processes", "--store", STORE).out)
    assert shown["name"] == named(groups, "processes")
    assert shown["members"] == []
    assert (shown["waiting"]["type"], shown["waiting"]["revision"]) == ("orders.order-placed", 0)
    assert set(shown["waiting"]) == {"id", "type", "stream", "revision", "position"}
    idle = json.loads(pm("subscriptions", "show", f"{app}.handlers", "--store", STORE).out)
    assert idle["waiting"] is None
    assert "pm.deadline-passed" in shown["types"]
    assert pm("subscriptions", "show", app, "--store", STORE).code == 4
    assert "no group is called" in pm("subscriptions", "show", "other", "--store", STORE).err


def test_update_asks_first(pm: Any, groups: list[str]) -> None:
    """Without a terminal it wants to be told; nothing else of the group changes."""
    name = named(groups, "handlers")
    refused = pm("subscriptions", "update", name, "--max-retries", "7", "--store", STORE)
    assert (refused.code, "--yes" in refused.err) == (3, True)
    assert pm("subscriptions", "update", name, "--yes", "--store", STORE).code == 2
    for wrong in (("--strategy", "Sideways"), ("--message-timeout", "0.0001"), ("--max-retries", str(2**31))):  # as a server would
        assert pm("subscriptions", "update", name, *wrong, "--yes", "--store", STORE).code == 2
    assert pm("subscriptions", "update", name, "--max-retries", "7", "--yes", "--store", STORE).code == 0
    row = rows(pm)[name]
    assert (row["max_retries"], row["message_timeout"]) == (7, 90.0)


def test_delete_asks_first_and_spares_a_group_in_use(pm: Any, groups: list[str]) -> None:
    """Deleted, it is made again by the next worker, which loses nothing."""
    name = named(groups, "processes")
    store = SqliteStore("a.db")
    consumer = store.join(name, "worker")
    consumer.fetch(0)
    refused = pm("subscriptions", "delete", name, "--store", STORE)
    assert (refused.code, "has 1 consumer: stop" in refused.err) == (3, True)
    consumer.leave()
    store.close()
    assert pm("subscriptions", "delete", name, "--store", STORE).code == 3
    assert pm("subscriptions", "delete", name, "--yes", "--store", STORE).code == 0
    assert name not in rows(pm)
    assert pm("run", "--app", APP, "--store", STORE, "--until-idle").code == 0
    assert reserved("a.db") == 1
