"""One app handles a command."""

from concurrent.futures import ThreadPoolExecutor

import orjson
import pytest

from process_manager.errors import CommandOwned
from process_manager.ports import EventStore
from process_manager.runtime.owners import own


def test_the_first_app_owns_a_command_and_is_noted_once(store: EventStore) -> None:
    """Starting again changes nothing."""
    own(store, "shop", ["pay", "ship"])
    last = store.last_position()
    own(store, "shop", ["ship", "pay"])

    assert store.last_position() == last
    assert len(list(store.read_stream("pm.owner-pay"))) == 1


def test_a_second_app_is_refused_with_the_owner_and_the_way_out(store: EventStore) -> None:
    """Nothing is noted for it, not even what is free."""
    own(store, "shop", ["pay"])
    last = store.last_position()

    with pytest.raises(CommandOwned, match=r"pay belongs to the app 'shop'.*--take-over") as caught:
        own(store, "store", ["free", "pay"])

    assert caught.value.owners == {"pay": "shop"}
    assert store.last_position() == last


def test_a_command_that_was_taken_over_is_refused_to_its_first_owner(store: EventStore) -> None:
    """And may be taken back."""
    own(store, "shop", ["pay"])
    own(store, "store", ["pay"], take_over=True)
    own(store, "store", ["pay"])

    with pytest.raises(CommandOwned, match="'store'"):
        own(store, "shop", ["pay"])
    own(store, "shop", ["pay"], take_over=True)
    own(store, "shop", ["pay"])


def test_of_apps_that_start_at_once_one_owns_all(store: EventStore) -> None:
    """Whoever is first with a command; nobody believes that he is when he is not."""
    commands = [f"command-{number}" for number in range(10)]

    def start(app: str) -> bool:
        try:
            own(store, app, commands)
        except CommandOwned:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        started = list(pool.map(start, ["one", "two", "three", "four"]))

    assert started.count(True) <= 1
    owners = [read_owner(store, command) for command in commands]
    if True in started:
        assert len(set(owners)) == 1


def read_owner(store: EventStore, command: str) -> str:
    (record,) = store.read_stream(f"pm.owner-{command}")
    return str(orjson.loads(record.data)["app"])
