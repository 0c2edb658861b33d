"""What is asked of a server: Reads of streams, links and $all."""

from tests.interfaces.devserver.truth.asking import scenario
from tests.interfaces.devserver.truth.own import at_position, by_stream, link, own_type, typed
from tests.interfaces.devserver.truth.scenarios.deleting import delete
from tests.interfaces.devserver.truth.session import Session


@scenario
def read_stream_edges(s: Session) -> None:
    """Directions, revisions, counts, past the end, a stream that is not there."""
    a = s.stream("a")
    s.append(a, "no_stream", *[f"a{i}" for i in range(4)])
    s.read_stream(a, {"revision": 2})
    s.read_stream(a, {"revision": 9})
    s.read_stream(a, {"revision": 1}, backwards=True)
    s.read_stream(a, {"revision": 9}, backwards=True, count=2)
    s.read_stream(a, {"end": {}})
    s.read_stream(a, {"start": {}}, backwards=True)
    s.read_stream(a, {"start": {}}, count=2)
    s.read_stream(a, {"start": {}}, count=0)
    s.read_stream(s.stream("not-there"))
    s.read_stream(s.stream("not-there"), {"end": {}}, backwards=True, count=1)
    s.read_stream(a, control_option={"compatibility": 1})
    s.read("without a uuid option's direction, bad stream name", stream={"stream_identifier": {"stream_name": b""}, "start": {}}, count=1)


@scenario
def read_links(s: Session) -> None:
    """Link events with and without resolving; a link to nothing; a link to a deleted stream."""
    a, links = s.stream("a"), s.stream("links")
    s.append(a, "no_stream", "a0", "a1")
    s.append(links, "no_stream", link("l0", f"1@{a}"), link("l1", f"7@{a}"), link("l2", f"0@{s.stream('nothing')}"))
    for resolve in (False, True):
        s.read(f"links, resolve {resolve}", stream=s.stream_option(links, start={}), read_direction=0, count=10, resolve_links=resolve)
    delete(s, "Delete", a, "any")
    s.read("links after the target's delete", stream=s.stream_option(links, start={}), read_direction=0, count=10, resolve_links=True)


@scenario
def read_all_positions(s: Session) -> None:
    """$all: forward includes its position, backward excludes it; filters; a limit counts matches."""
    a, b = s.stream("a"), s.stream("b")
    for i in range(3):
        s.append(a, i - 1 if i else "no_stream", own_type(s, f"a{i}", "A"))
        s.append(b, i - 1 if i else "no_stream", own_type(s, f"b{i}", "B"))
    at = {v: k for k, v in s.tokens.items()}
    both = by_stream(s, "a", "b")
    s.read("forward from p3", read_direction=0, all=at_position(at["p3"]), count=2, filter=both)
    s.read("backward from p3", read_direction=1, all=at_position(at["p3"]), count=2, filter=both)
    s.read("by type", read_direction=0, all={"start": {}}, count=2, filter=typed(s, "A"))
    s.read("by type, backward from the end", read_direction=1, all={"end": {}}, count=1, filter=typed(s, "A"))
    s.read(
        "by type prefix",
        read_direction=0,
        all={"start": {}},
        count=9,
        filter={"event_type": {"prefix": [f"B-{s.run}"]}, "count": {}, "checkpointIntervalMultiplier": 1},
    )
    s.read(
        "pattern found anywhere",
        read_direction=0,
        all={"start": {}},
        count=1,
        filter={"event_type": {"regex": f"-{s.run[:8]}"}, "max": 10, "checkpointIntervalMultiplier": 1},
    )
    s.read(
        "inside a record", read_direction=0, all={"position": {"commit_position": at["p3"] + 1, "prepare_position": at["p3"] + 1}}, count=1
    )
    s.read(
        "beyond the end", read_direction=0, all={"position": {"commit_position": 10**15, "prepare_position": 10**15}}, count=1, filter=both
    )
    s.read(
        "multiplier 0",
        read_direction=0,
        all={"start": {}},
        count=1,
        filter={"event_type": {"prefix": ["B"]}, "max": 10, "checkpointIntervalMultiplier": 0},
        subscription={},
    )
