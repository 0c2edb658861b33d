"""What is asked of a server: Append and BatchAppend."""

import time
import uuid

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from tests.interfaces.devserver.truth.asking import scenario
from tests.interfaces.devserver.truth.call import Call
from tests.interfaces.devserver.truth.session import Session

BIG = b'{"x":"' + b"x" * 400_000 + b'"}'


@scenario
def append_expected_versions(s: Session) -> None:
    """What does Append answer for each kind of expected version, right and wrong?"""
    a = s.stream("a")
    s.append(a, "stream_exists", "x")
    s.append(a, 0, "x")
    s.append(a, "no_stream", "a0")
    s.append(a, 0, "a1", "a2")
    s.append(a, "any", "a3")
    s.append(a, "stream_exists", "a4")
    s.append(a, "no_stream", "b")
    s.append(a, 2, "b")
    s.append(a, 9, "b")
    s.read_stream(a)


@scenario
def append_batch_expected_versions(s: Session) -> None:
    """The same through BatchAppend."""
    a = s.stream("a")
    s.batch(a, "stream_exists", "x")
    s.batch(a, 0, "x")
    s.batch(a, "no_stream", "a0")
    s.batch(a, 0, "a1", "a2")
    s.batch(a, "any", "a3")
    s.batch(a, "stream_exists", "a4")
    s.batch(a, "no_stream", "b")
    s.batch(a, 2, "b")
    s.batch(a, 9, "b")
    s.read_stream(a, count=3)


@scenario
def append_repeated_at_exact_version(s: Session) -> None:
    """A repeat with the same ids at the same exact version: whole, first part, first differs, later differs, past the end."""
    a = s.stream("a")
    s.append(a, "no_stream", "a0", "a1")
    s.append(a, 1, "a2")
    s.append(a, "no_stream", "a0", "a1")
    s.append(a, "no_stream", "a0")
    s.append(a, "no_stream", "z0", "a1")
    s.append(a, "no_stream", "a0", "z1")
    s.append(a, "no_stream", "a0", "a1", "a2")
    s.append(a, "no_stream", "a0", "a1", "a2", "a3")
    s.append(a, 0, "a1")
    s.append(a, 1, "a1")
    s.batch(a, "no_stream", "a0", "a1")
    s.batch(a, "no_stream", "a0", "z1")
    s.read_stream(a)


@scenario
def append_same_ids_other_content(s: Session) -> None:
    """The ids of what is stored, at the same exact version, with other types and data: only ids are compared."""
    a = s.stream("a")
    s.append(a, "no_stream", "a0")
    s.append(a, 0, ("a1", {"data": b'{"decided":"no"}'}), "a2")
    s.append(a, 0, ("a1", {"data": b'{"decided":"yes"}', "meta": {"type": "Other", "content-type": "application/json"}}), "a2")
    s.batch(a, 0, ("a1", {"data": b'{"decided":"yes"}'}), "a2")
    s.read_stream(a)


@scenario
def append_repeated_at_any(s: Session) -> None:
    """A repeat with the same ids at `any` and `stream_exists`."""
    a = s.stream("a")
    s.append(a, "any", "a0", "a1")
    s.append(a, "any", "a0", "a1")
    s.append(a, "stream_exists", "a0", "a1")
    s.append(a, "any", "a0")
    s.append(a, "any", "z0", "a1")
    s.append(a, "any", "a0", "z1")
    s.read_stream(a)


@scenario
def append_same_id_elsewhere(s: Session) -> None:
    """One id twice in a batch, and in two streams."""
    a, b = s.stream("a"), s.stream("b")
    s.append(a, "no_stream", "one", "one")
    s.append(b, "no_stream", "one")
    s.append(b, "any", "one")
    s.append(a, "any", "one")
    s.read_stream(a)
    s.read_stream(b)


@scenario
def append_bad_events(s: Session) -> None:
    """Missing or empty type, missing content type, empty id, an empty stream name."""
    a = s.stream("a")
    s.append(a, "any", ("no type", {"meta": {"content-type": "application/json"}}))
    s.append(a, "any", ("no content type", {"meta": {"type": "T"}}))
    s.append(a, "any", ("empty type", {"meta": {"type": "", "content-type": "application/json"}}))
    s.append(a, "any", ("odd content type", {"meta": {"type": "T", "content-type": "text/x", "other": "kept?"}}))
    s.append("", "any", "x")
    s.batch(a, "any", ("no type", {"meta": {"content-type": "application/json"}}))
    s.batch(a, "any", ("no content type", {"meta": {"type": "T"}}))
    s.batch("", "any", "x")
    r = s.batch_request(a, "any", "nil", correlation="nil-correlation")
    r.proposed_messages[0].id.string = str(uuid.UUID(int=0))
    c = Call(s, "BatchAppend with a nil event id", s.streams.BatchAppend, [r])
    c.take(1)
    c.close()
    s.read_stream(a)


@scenario
def append_too_large(s: Session) -> None:
    """An append of 1.2 MB in three events, by both calls."""
    a = s.stream("a")
    s.append(a, "no_stream", *[(f"big{i}", {"data": BIG}) for i in range(3)])
    s.batch(a, "no_stream", *[(f"big{i}", {"data": BIG}) for i in range(3)])
    s.append(a, "no_stream", "small")


@scenario
def append_content(s: Session) -> None:
    """Bytes, not-JSON under a JSON content type, custom metadata, empty data, unicode names."""
    a = s.stream("ä-日本")
    s.append(
        a,
        "no_stream",
        ("bytes", {"data": b"\x00\xff\x10", "meta": {"type": "Бин", "content-type": "application/octet-stream"}}),
        ("bad json", {"data": b"{not json"}),
        ("custom", {"custom": b'{"$correlationId":"c"}'}),
        ("empty", {"data": b""}),
    )
    s.read_stream(a)
    s.read_stream(a, count=1, structured=True)


@scenario
def batch_several_on_one_call(s: Session) -> None:
    """Many batches on one call: answers carry the correlation id; a batch in two messages; a wrong one among good ones."""
    a, b = s.stream("a"), s.stream("b")
    c = Call(s, "BatchAppend, long-lived", s.streams.BatchAppend, [s.batch_request(a, "no_stream", "a0", correlation="k1")])
    c.take(1)
    c.send(s.batch_request(a, "no_stream", "q", correlation="k2"))
    c.take(1)
    c.send(s.batch_request(b, "no_stream", "b0", correlation="k3", final=False))
    c.take(1, only=0, note="not final yet")
    c.send(s.batch_request(b, "no_stream", "b1", correlation="k3", options=False))
    c.take(1)
    c.send(s.batch_request(a, 0, "a1", correlation="k4"))
    c.take(1)
    c.half_close()
    c.take(1, only=0, note="after half-close")
    s.read_stream(b)


@scenario
def batch_deadlines(s: Session) -> None:
    """Both deadline forms, and one that has passed."""
    a = s.stream("a")
    soon = Timestamp()
    soon.FromSeconds(int(time.time()) + 30)
    past = Timestamp()
    past.FromSeconds(int(time.time()) - 30)
    for label, opts in (("duration", {"deadline": Duration(seconds=5)}), ("timestamp", {"deadline_21_10_0": soon})):
        c = Call(s, f"BatchAppend with a {label}", s.streams.BatchAppend, [s.batch_request(a, "any", label, correlation=label, **opts)])
        c.take(1)
        c.close()
    for label, opts in (("duration 0", {"deadline": Duration()}), ("past timestamp", {"deadline_21_10_0": past})):
        c = Call(s, f"BatchAppend with a {label}", s.streams.BatchAppend, [s.batch_request(a, "any", label, correlation=label, **opts)])
        c.take(1)
        c.close()
