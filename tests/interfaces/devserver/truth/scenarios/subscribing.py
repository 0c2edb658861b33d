"""What is asked of a server: Catch-up subscriptions."""

from tests.interfaces.devserver.truth.asking import scenario
from tests.interfaces.devserver.truth.own import by_stream, own_type
from tests.interfaces.devserver.truth.scenarios.deleting import delete
from tests.interfaces.devserver.truth.session import Session


@scenario
def subscribe_stream(s: Session) -> None:
    """A stream's subscription: confirmation, history, caught up, live events; start is exclusive; a stream not there yet."""
    a, later = s.stream("a"), s.stream("later")
    s.append(a, "no_stream", "a0", "a1", "a2")
    for label, at in (("start", {"start": {}}), ("revision 0", {"revision": 0}), ("end", {"end": {}})):
        c = s.open_read(f"subscribe at {label}", stream=s.stream_option(a, **at), subscription={})
        c.take({"start": 5, "revision 0": 4, "end": 2}[label])
        s.append(a, "any", f"live {label}")
        c.take(1)
        c.close()
    c = s.open_read("subscribe to a stream not there", stream=s.stream_option(later, start={}), subscription={})
    c.take(2, only=1)
    s.append(later, "no_stream", "l0")
    c.take(1)
    delete(s, "Delete", later, "any")
    c.take(1, note="after a soft delete")
    s.append(later, "any", "l1")
    c.take(1)
    delete(s, "Tombstone", later, "any")
    c.take(2, note="after a tombstone")
    c.close()


@scenario
def subscribe_all_checkpoints(s: Session) -> None:
    """$all by filter: where checkpoints come with a window of 5 and multiplier 2, in history and live."""
    a, other = s.stream("a"), s.stream("other")
    s.append(other, "any", "start")
    start = max(s.tokens)
    s.append(a, "any", own_type(s, "a0"))
    for i in range(24):
        s.append(other, "any", f"o{i}")
    s.append(a, "any", own_type(s, "a1"))
    c = s.open_read(
        "subscribe after `start`",
        all={"position": {"commit_position": start, "prepare_position": start}},
        subscription={},
        filter=by_stream(s, "a", window=5, multiplier=2),
    )
    seen: list[str] = []
    with s.unrecorded():  # where exactly checkpoints fall is the server's own affair; what a client may count on is noted
        while len(seen) < 20 and "caught_up" not in seen:
            seen += [m.WhichOneof("content") for m in c.take(1)] or ["nothing"]
    s.note("history: order without checkpoints", [k for k in seen if k != "checkpoint"])
    s.note(
        "history: checkpoints between the two events, 24 others apart",
        "checkpoint" in seen[seen.index("event") : len(seen) - 1 - seen[::-1].index("event")],
    )
    for i in range(12):
        s.append(other, "any", f"p{i}")
    s.append(a, "any", own_type(s, "a2"))
    with s.unrecorded():
        live = c.take(1)
        while live and live[-1].WhichOneof("content") != "event" and (more := c.take(1)):
            live += more
        live += c.take(9, only=0)
    kinds = [m.WhichOneof("content") for m in live]
    s.note("live: events", kinds.count("event"))
    s.note("live: a checkpoint within every 10 events looked at", kinds.count("checkpoint") >= 1)
    positions = [getattr(m, k).commit_position for m, k in zip(live, kinds, strict=True)]
    s.note("live: positions never go back", positions == sorted(positions))
    c.close()


@scenario
def subscribe_all_exclusive_and_end(s: Session) -> None:
    """$all from a position (exclusive) and from the end."""
    a = s.stream("a")
    s.append(a, "any", "a0")
    first = max(s.tokens)
    s.append(a, "any", "a1")
    c = s.open_read(
        "after a0",
        all={"position": {"commit_position": first, "prepare_position": first}},
        subscription={},
        filter=by_stream(s, "a", window=1000),
    )
    got = c.take(2)
    s.note("events among them", sum(m.WhichOneof("content") == "event" for m in got))
    c.close()
    c = s.open_read("from the end", all={"end": {}}, subscription={}, filter=by_stream(s, "a", window=1000))
    c.take(3, only=2)
    s.append(a, "any", "a2")
    c.take(1)
    c.close()
