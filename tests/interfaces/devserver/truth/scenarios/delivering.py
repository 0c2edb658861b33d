"""What is asked of a server: Persistent subscriptions: who gets what, how often."""

import uuid
from typing import Any

from tests.interfaces.devserver.truth.asking import scenario
from tests.interfaces.devserver.truth.call import Call
from tests.interfaces.devserver.truth.own import by_stream, own_type, typed
from tests.interfaces.devserver.truth.scenarios.managing import delete_group, replay, update_group
from tests.interfaces.devserver.truth.session import Session


def ids_of(got: list[Any]) -> list[Any]:
    return [(m.event.link if m.event.HasField("link") else m.event.event).id for m in got if m.WhichOneof("content") == "event"]


@scenario
def group_deliver_and_ack(s: Session) -> None:
    """Confirmation, history, live events, acks, what info and the checkpoint stream say after."""
    a, g = s.stream("a"), s.stream("g")
    s.append(a, "no_stream", *[f"a{i}" for i in range(4)])
    s.create_group(g, a)
    c = s.open_group(g, a)
    got = c.take(5)
    s.info(
        g,
        a,
        only=(
            "total_in_flight_messages",
            "outstanding_messages_count",
            "parked_message_count",
            "last_known_event_position",
            "last_checkpointed_event_position",
        ),
    )
    c.send(s.ack(*ids_of(got)))
    s.until(g, a, last_checkpointed_event_position="3")
    s.info(g, a, only=("total_in_flight_messages", "outstanding_messages_count", "last_checkpointed_event_position"))
    s.append(a, "any", "live")
    got = c.take(1)
    c.send(s.ack(*ids_of(got)))
    c.send(s.ack(s.uid(uuid.uuid4())))
    c.take(1, only=0, note="after acks, one of an unknown id")
    s.until(g, a, last_checkpointed_event_position="4")
    checkpoints = f"$persistentsubscription-{a}::{g}-checkpoint"
    s.until_stands(checkpoints, 1)
    s.read_stream(checkpoints, {"end": {}}, backwards=True, count=1)
    c.close()
    s.until(g, a, connections=0)
    c = s.open_group(g, a)
    c.take(2, only=1, note="a new consumer after all was acknowledged")
    c.close()


@scenario
def group_on_all(s: Session) -> None:
    """A filtered group on $all: positions, both id forms, order."""
    a, b, g = s.stream("a"), s.stream("b"), s.stream("g")
    s.append(a, "any", own_type(s, "a0", "A"), own_type(s, "a1", "X"))
    s.append(b, "any", own_type(s, "b0", "B"))
    s.create_group(g, None, where=typed(s, "A", "B"))
    c = s.open_group(g)
    got = c.take(3)
    c.send(s.ack(*ids_of(got)))
    s.append(b, "any", own_type(s, "b1", "B"))
    got = c.take(1)
    c.send(s.ack(*ids_of(got)))
    s.until(g, None, outstanding_messages_count=0)
    c.close()
    c = s.open_group(g, structured=True)
    s.append(b, "any", own_type(s, "b2", "B"))
    c.take(2)
    c.close()


@scenario
def group_start_positions(s: Session) -> None:
    """Start is inclusive; end means only what comes after the creation."""
    a = s.stream("a")
    s.append(a, "no_stream", *[f"a{i}" for i in range(3)])
    for label, at, only in (("revision 1", {"revision": 1}, 4), ("end", {"end": {}}, 2)):
        g = s.stream("g-" + label.replace(" ", ""))
        s.create_group(g, a, at=at)
        s.append(a, "any", "after " + label)
        c = s.open_group(g, a)
        c.take(6, only=only)
        c.close()
    p2 = min(s.tokens)
    g = s.stream("g-all")
    s.append(a, "any", own_type(s, "in all"))
    s.create_group(g, None, at={"position": {"commit_position": p2, "prepare_position": p2}}, where=by_stream(s, "a"))
    c = s.open_group(g)
    c.take(3)
    c.close()


@scenario
def group_nacks(s: Session) -> None:
    """Each nack action on an event of its own: what comes again, with which retry count, and what is parked, and how the parked stream reads."""  # noqa: E501  as recorded
    for action, again in (("Retry", 2), ("Unknown", 2), ("Park", 0), ("Skip", 0), ("Stop", 0)):
        a, g = s.stream("a" + action), s.stream("g" + action)
        s.append(a, "no_stream", action + "0")
        s.create_group(g, a, max_retry_count=2)
        c = s.open_group(g, a)
        got = c.take(2)
        for turn in range(4):
            ids = ids_of(got)
            if not ids:
                break
            c.send(s.nack(action, *ids))
            got = c.take(1, only=int(turn < again), note=f"after nack {action}")
        s.until(g, a, outstanding_messages_count=0, parked_message_count=int(action not in {"Skip", "Stop"}))
        s.info(g, a, only=("parked_message_count", "outstanding_messages_count"))
        c.close()
    s.read_stream(f"$persistentsubscription-{s.stream('aPark')}::{s.stream('gPark')}-parked")


@scenario
def group_parked_replay(s: Session) -> None:
    """Replay of parked messages: what is delivered, by which ids they are acknowledged, what remains; stop_at; twice."""
    a, g = s.stream("a"), s.stream("g")
    s.append(a, "no_stream", *[f"a{i}" for i in range(3)])
    s.create_group(g, a)
    c = s.open_group(g, a)
    got = c.take(4)
    c.send(s.nack("Park", *ids_of(got)))
    s.until(g, a, parked_message_count=3)
    s.info(g, a, only=("parked_message_count",))
    replay(s, g, a, stop_at=1)
    got = c.take(3, only=1, note="replayed with stop_at 1")
    c.send(s.ack(*ids_of(got)))
    s.until(g, a, outstanding_messages_count=0)
    s.info(g, a, only=("parked_message_count",))
    replay(s, g, a)
    got = c.take(3, only=2, note="replayed without limit")
    c.send(s.nack("Park", *ids_of(got)))
    s.until(g, a, parked_message_count=2, outstanding_messages_count=0)
    s.info(g, a, only=("parked_message_count", "outstanding_messages_count"))
    replay(s, g, a)
    got = c.take(3, only=2, note="replayed again")
    c.send(s.ack(*ids_of(got)))
    s.until(g, a, outstanding_messages_count=0)
    replay(s, g, a)
    c.take(1, only=0, note="replayed with nothing parked")
    s.info(g, a, only=("parked_message_count", "outstanding_messages_count"))
    c.close()


@scenario
def group_timeout(s: Session) -> None:
    """A message timeout of 1 s with no answer: redelivered with retry count 1, then 2, then parked (max 2)."""
    a, g = s.stream("a"), s.stream("g")
    s.append(a, "no_stream", "a0")
    s.create_group(g, a, message_timeout_ms=1000, max_retry_count=2)
    c = s.open_group(g, a)
    c.take(5, only=4, quiet=2.5)
    s.until(g, a, parked_message_count=1)
    s.info(g, a, only=("parked_message_count", "outstanding_messages_count"))
    c.close()


@scenario
def group_disconnect(s: Session) -> None:
    """A consumer that leaves: its messages go to the next with retry count + 1, also beyond the maximum."""
    a, g = s.stream("a"), s.stream("g")
    s.append(a, "no_stream", "a0", "a1")
    s.create_group(g, a, max_retry_count=1)
    for i in range(4):
        c = s.open_group(g, a)
        c.take(3, note=f"consumer {i}")
        c.close()
        s.until(g, a, connections=0)
    s.info(g, a, only=("parked_message_count",))


@scenario
def group_consumer_limits(s: Session) -> None:
    """A second consumer where one is allowed; buffer_size bounds what is unacknowledged."""
    a, g = s.stream("a"), s.stream("g")
    s.append(a, "no_stream", *[f"a{i}" for i in range(6)])
    s.create_group(g, a, max_subscriber_count=1)
    c = s.open_group(g, a, buffer=2)
    got = c.take(4, only=3)
    d = s.open_group(g, a)
    d.take(1)
    d.close()
    c.send(s.ack(*ids_of(got)[:1]))
    c.take(2, only=1, note="after one ack")
    c.close()


@scenario
def group_update_and_delete_drop(s: Session) -> None:
    """Update and delete drop the consumers; how the call ends; what is delivered after an update."""
    a, g = s.stream("a"), s.stream("g")
    s.append(a, "no_stream", "a0", "a1")
    s.create_group(g, a)
    c = s.open_group(g, a)
    got = c.take(3)
    c.send(s.ack(ids_of(got)[0]))
    s.until(g, a, last_checkpointed_event_position="0")
    update_group(s, g, a, max_retry_count=9)
    c.take(1, note="after an update")
    c.close()
    s.info(g, a, only=("max_retry_count", "last_checkpointed_event_position", "named_consumer_strategy", "start_from"))
    c = s.open_group(g, a)
    c.take(3, only=2, note="a consumer after the update")
    delete_group(s, g, a)
    c.take(1, note="after a delete")
    c.close()


@scenario
def group_resolved_links(s: Session) -> None:
    """A group that resolves links: event and link, and the id to acknowledge by."""
    a, links, g = s.stream("a"), s.stream("links"), s.stream("g")
    s.append(a, "no_stream", "a0")
    s.append(
        links,
        "no_stream",
        ("l0", {"data": f"0@{a}".encode(), "meta": {"type": "$>", "content-type": "application/octet-stream"}}),
        ("l1", {"data": f"5@{a}".encode(), "meta": {"type": "$>", "content-type": "application/octet-stream"}}),
    )
    s.create_group(g, links, resolve_links=True)
    c = s.open_group(g, links)
    got = c.take(3)
    c.send(s.ack(*ids_of(got)))
    s.until(g, links, outstanding_messages_count=0)
    s.info(g, links, only=("outstanding_messages_count", "parked_message_count"))
    c.close()


@scenario
def group_round_robin(s: Session) -> None:
    """Two consumers of a RoundRobin group, four live events: how many each gets."""
    a, g = s.stream("a"), s.stream("g")
    s.create_group(g, a, consumer_strategy="RoundRobin")
    c = s.open_group(g, a)
    c.take(1)
    d = s.open_group(g, a)  # once the first has joined: they take turns in that order
    d.take(1)
    for i in range(4):
        s.append(a, "any", f"a{i}")
    c.take(2)
    d.take(2)
    c.close()
    d.close()


@scenario
def group_half_close(s: Session) -> None:
    """The consumer half-closes its requests: does delivery go on?"""
    a, g = s.stream("a"), s.stream("g")
    s.append(a, "no_stream", "a0")
    s.create_group(g, a)
    c = s.open_group(g, a)
    c.take(2)
    c.half_close()
    s.append(a, "any", "a1")
    c.take(1, note="after half-close")
    c.close()


@scenario
def group_unknown_request_order(s: Session) -> None:
    """An ack before the options."""
    c = Call(s, "group: ack first", lambda it: s.groups.Read(it, metadata=s.header), [s.ack(s.uid(uuid.uuid4()))])
    c.take(1)
    c.close()
