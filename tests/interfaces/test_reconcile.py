"""`pm reconcile`."""

import json
from pathlib import Path
from typing import Any

from process_manager.adapters.sqlite import SqliteStore
from process_manager.examples.order_fulfilment import messages as m
from tests.interfaces.orders_in_a_file import APP, placed, reserved

STORE = "sqlite:///a.db"


def skip() -> None:
    """What there is, is acknowledged without anybody having taken it."""
    store = SqliteStore("a.db")
    (group,) = (group.name for group in store.groups() if ".processes." in group.name)
    consumer = store.join(group, "faulty")
    consumer.ack(consumer.fetch(99))
    consumer.leave()
    store.close()


def test_what_was_missed_is_taken_and_told(pm: Any, place: Path) -> None:
    """For people and for programs; a second time there is nothing."""
    placed("a.db", "1")
    assert pm("run", "--app", APP, "--store", STORE, "--until-idle").code == 0
    placed("a.db", "2")
    skip()

    answer = pm("reconcile", "--app", APP, "--store", STORE)
    assert answer.code == 0
    assert "1 of them missed before and taken now" in answer.out
    assert "in order-2" in answer.out
    again = json.loads(pm("reconcile", "--app", APP, "--store", STORE, "-o", "json").out)
    assert (again["missed"], again["taken"]) == (0, [])
    assert reserved("a.db") == 2


def test_older_events_of_a_type_are_offered_on_request(pm: Any, place: Path) -> None:
    placed("a.db", "1")
    assert pm("run", "--app", APP, "--store", STORE, "--until-idle", "--from", "now").code == 0
    placed("a.db", "2")
    assert pm("run", "--app", APP, "--store", STORE, "--until-idle").code == 0
    assert json.loads(pm("reconcile", "--app", APP, "--store", STORE, "-o", "json").out)["missed"] == 0
    answer = pm("reconcile", "--app", APP, "--store", STORE, "--since", "start", "--type", m.OrderPlaced.message_type, "-o", "json")
    assert [each["stream"] for each in json.loads(answer.out)["taken"]] == ["order-1"]


def test_what_cannot_be_reconciled_is_refused(pm: Any, place: Path) -> None:
    """An app that has never run there has missed nothing; a type that nobody takes is a slip."""
    placed("a.db", "1")
    assert pm("reconcile", "--app", APP, "--store", STORE).code == 4
    answer = pm("reconcile", "--app", APP, "--store", STORE, "--type", "no.such")
    assert (answer.code, "no process takes no.such" in answer.err) == (4, True)
