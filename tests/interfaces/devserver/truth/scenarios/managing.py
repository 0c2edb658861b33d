"""What is asked of a server: Persistent subscriptions: creating, inspecting, failing."""

from typing import Any

from tests.interfaces.devserver.truth.asking import scenario
from tests.interfaces.devserver.truth.own import typed
from tests.interfaces.devserver.truth.protos import persistent_pb2
from tests.interfaces.devserver.truth.session import SETTINGS, Session, named


def delete_group(s: Session, group: str, stream: str | None = None) -> None:
    s.ask(f"Delete group {s.text(group)}", s.groups.Delete, persistent_pb2.DeleteReq(options=named(group, stream)))


def update_group(s: Session, group: str, stream: str | None = None, **settings: Any) -> None:
    o = {"group_name": group, "settings": {k: v for k, v in (SETTINGS | settings).items() if k != "consumer_strategy"}}
    o |= {"stream": s.stream_option(stream, start={})} if stream else {"all": {"start": {}}}
    s.ask(f"Update group {s.text(group)}", s.groups.Update, persistent_pb2.UpdateReq(options=o))


def replay(s: Session, group: str, stream: str | None = None, **kw: Any) -> None:
    s.ask(
        f"ReplayParked {s.text(group)} {kw or ''}",
        s.groups.ReplayParked,
        persistent_pb2.ReplayParkedReq(options=named(group, stream) | (kw or {"no_limit": {}})),
    )


@scenario
def group_manage_errors(s: Session) -> None:
    """Create twice; update, delete, inspect, read, replay and list one that is not there; bad settings."""
    a, g = s.stream("a"), s.stream("g")
    s.append(a, "no_stream", "a0")
    for stream in (a, None):
        s.create_group(g, stream)
        s.create_group(g, stream)
        s.info(g, stream)
        none = s.stream("none")
        update_group(s, none, stream)
        delete_group(s, none, stream)
        s.info(none, stream)
        replay(s, none, stream)
        c = s.open_group(none, stream)
        c.take(1)
        c.close()
        delete_group(s, g, stream)
        delete_group(s, g, stream)
    s.ask(
        "List of a stream without groups",
        s.groups.List,
        persistent_pb2.ListReq(options={"list_for_stream": {"stream": {"stream_name": s.stream("no").encode()}}}),
    )
    s.create_group(s.stream("g1"), a, read_batch_size=500, history_buffer_size=500)
    s.create_group(s.stream("g2"), a, consumer_strategy="Nonsense")
    s.create_group(s.stream("g3"), None, at={"position": {"commit_position": 10**15, "prepare_position": 10**15}})


@scenario
def group_info_defaults(s: Session) -> None:
    """What info says of groups made in each way: enum strategy, text strategy, ticks, from end, from a revision, the old fields."""
    a = s.stream("a")
    s.append(a, "no_stream", "a0", "a1", "a2")
    s.create_group(s.stream("from-end"), a, at={"end": {}})
    s.info(s.stream("from-end"), a)
    s.create_group(s.stream("from-1"), a, at={"revision": 1}, consumer_strategy="", named_consumer_strategy=1)
    s.info(s.stream("from-1"), a)
    for strategy in ("RoundRobin", "Pinned", "PinnedByCorrelation"):
        s.create_group(s.stream(strategy), a, consumer_strategy=strategy)
        s.info(s.stream(strategy), a, only=("named_consumer_strategy",))
    settings = {k: v for k, v in SETTINGS.items() if k not in ("message_timeout_ms", "checkpoint_after_ms", "consumer_strategy")}
    s.ask(
        "Create by the old fields",
        s.groups.Create,
        persistent_pb2.CreateReq(
            options={
                "stream_identifier": {"stream_name": a.encode()},
                "group_name": s.stream("old"),
                "settings": settings | {"revision": 2, "message_timeout_ticks": 50_000_000, "checkpoint_after_ticks": 20_000_000},
            }
        ),
    )
    s.info(s.stream("old"), a)
    s.create_group(s.stream("all-end"), None, at={"end": {}}, where=typed(s, "A"))
    s.info(s.stream("all-end"), only=("start_from", "event_source", "named_consumer_strategy"))
