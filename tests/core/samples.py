"""A small world for the tests of the core: messages, and builders for what the scenarios need."""

from datetime import UTC, datetime
from typing import Any

import orjson

from process_manager import Command, Event
from process_manager.core.facts import Input
from process_manager.core.signals import COMMAND_PARKED, CommandParked
from process_manager.testing.scenario import Scenario


class Began(Event, type="t.began"):
    id: str
    items: tuple[str, ...] = ()
    need: int = 1


class Noticed(Event, type="t.noticed"):
    id: str
    text: str = ""


class Closed(Event, type="t.closed"):
    id: str


class Take(Command, type="t.take"):
    id: str
    item: str = ""


class Taken(Event, type="t.taken"):
    id: str
    item: str = ""


class Refused(Event, type="t.refused"):
    id: str
    item: str = ""


class GiveBack(Command, type="t.give-back"):
    id: str
    item: str = ""


class GivenBack(Event, type="t.given-back"):
    id: str
    item: str = ""


class Stuck(Event, type="t.stuck"):
    id: str
    item: str = ""


class Pay(Command, type="t.pay"):
    id: str


class Paid(Event, type="t.paid"):
    id: str


class Declined(Event, type="t.declined"):
    id: str


class Refund(Command, type="t.refund"):
    id: str


class Refunded(Event, type="t.refunded"):
    id: str


def by_item(message: Any) -> str:
    """The key of a run: each item has one."""
    return str(message.item)


def take(item: str = "") -> Take:
    return Take(id="1", item=item)


def taken(item: str = "") -> Taken:
    return Taken(id="1", item=item)


def refused(item: str = "") -> Refused:
    return Refused(id="1", item=item)


def give_back(item: str = "") -> GiveBack:
    return GiveBack(id="1", item=item)


def given_back(item: str = "") -> GivenBack:
    return GivenBack(id="1", item=item)


def began(*items: str, need: int = 1) -> Began:
    return Began(id="1", items=items, need=need)


PAY, PAID, DECLINED, REFUND, REFUNDED = Pay(id="1"), Paid(id="1"), Declined(id="1"), Refund(id="1"), Refunded(id="1")
NOTICED, CLOSED = Noticed(id="1"), Closed(id="1")
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def input_of(event: Event, number: int = 1) -> Input:
    """An event as the input at position `number`."""
    data = event.model_dump_json().encode()
    return Input(f"00000000-0000-4000-8000-{number:012}", event.message_type, 1, data, b"{}", "s", 0, number, NOW)


def park(case: Scenario, command_id: str, *, unread: bool = False) -> None:
    """The handler of a command gives up."""
    data = orjson.dumps(CommandParked(case.instance.stream, command_id, "it crashed", unread))
    case._take(Input(f"park-{command_id}", COMMAND_PARKED, 1, data, b"{}", "s", 0, 10**6 + len(case.records), case.now))
