"""A filter as a server's pattern: what the server lets through is what the filter asks for."""

import re

import pytest
from hypothesis import given, strategies as st

pytest.importorskip("esdbclient", reason="the esdb extra is not installed")

from esdbclient.common import construct_filter_include_regex

from process_manager.adapters.esdb.filtering import ServerFilter, server_filter
from process_manager.ports import EVERYTHING, Filter

NAMES = st.text("ab.$-|(^\\*+ ö", min_size=1, max_size=4)


def lets_through(asked: ServerFilter, type_: str, stream: str) -> bool:
    """As the server does: a search, case-sensitive, with the anchors that esdbclient adds."""
    if asked.pattern is None:
        return True
    pattern = construct_filter_include_regex([asked.pattern])
    return re.search(pattern, stream if asked.by_stream else type_) is not None


@given(types=st.frozensets(NAMES), prefixes=st.lists(NAMES, max_size=2), streams=st.lists(NAMES, max_size=2), type_=NAMES, stream=NAMES)
def test_the_pattern_agrees_with_the_filter(
    types: frozenset[str], prefixes: list[str], streams: list[str], type_: str, stream: str
) -> None:
    where = Filter(types, tuple(prefixes), tuple(streams))
    asked = server_filter(where)
    passes = lets_through(asked, type_, stream)
    assert passes == where.matches(type_, stream) if asked.exact else passes


@given(types=st.frozensets(NAMES, min_size=1), type_=NAMES)
def test_what_is_asked_for_besides_passes_too(types: frozenset[str], type_: str) -> None:
    for where in (EVERYTHING, Filter(types)):
        asked = server_filter(where, types=["$marker"])
        assert lets_through(asked, "$marker", "any")
        assert lets_through(asked, type_, "any") == (where.matches(type_, "any") or type_ == "$marker")
    by_stream = server_filter(Filter(stream_prefixes=("order-",)), types=["$marker"], streams=["pm.parked-g"])
    assert [lets_through(by_stream, "t", it) for it in ("order-1", "pm.parked-g", "pm.parked-g2", "other")] == [True, True, False, False]


def test_one_pattern_in_one_group() -> None:
    """esdbclient would join several patterns without a group: `^A|B$`."""
    assert server_filter(Filter(frozenset(["A", "B"]))).arguments() == {
        "filter_include": ("(?:A|B)",),
        "filter_exclude": (),
        "filter_by_stream_name": False,
    }
    both = server_filter(Filter(frozenset(["A"]), stream_prefixes=("s",)))
    assert (both.pattern, both.exact) == (None, False)


def test_everything_leaves_out_what_the_server_writes_of_groups() -> None:
    asked = server_filter(EVERYTHING, types=["$marker"])
    assert not any(lets_through(asked, it, "s") for it in ("PersistentConfig1", "SubscriptionCheckpoint", "$SubscriptionCheckpoint"))
    assert all(lets_through(asked, it, "s") for it in ("PersistentConfigured", "PersistentConfig", "SubscriptionCheckpoints", "$marker"))


def test_a_prefix_goes_over_the_end_of_a_line() -> None:
    assert lets_through(server_filter(Filter(type_prefixes=("a",))), "a\nb", "s")
