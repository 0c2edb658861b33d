"""What is asked of a server: Delete, Tombstone and stream metadata."""

from tests.interfaces.devserver.truth.asking import scenario
from tests.interfaces.devserver.truth.own import by_stream
from tests.interfaces.devserver.truth.protos import Expected, streams_pb2
from tests.interfaces.devserver.truth.session import Session


def delete(s: Session, rpc: str, stream: str, expected: Expected) -> None:
    kind = getattr(streams_pb2, rpc + "Req")
    o = s.expect(kind.Options(stream_identifier=s.ident(stream)), expected, "revision")
    s.ask(f"{rpc} {s.text(stream)} at {expected}", getattr(s.streams, rpc), kind(options=o))


@scenario
def delete_stream(s: Session) -> None:
    """Soft delete: errors, then what the stream answers, then writing to it again in each way."""
    a = s.stream("a")
    delete(s, "Delete", a, "any")
    delete(s, "Delete", a, 3)
    s.append(a, "no_stream", "a0", "a1")
    delete(s, "Delete", a, 0)
    delete(s, "Delete", a, 1)
    s.read_stream(a)
    s.read_stream("$$" + a)
    delete(s, "Delete", a, 1)
    s.append(a, "stream_exists", "x")
    s.append(a, 0, "x")
    s.append(a, 1, "a2")
    s.read_stream(a)
    s.read_stream("$$" + a)


@scenario
def delete_then_append_at_each(s: Session) -> None:
    """What each expected version answers on a soft-deleted stream."""
    for e in ("no_stream", "any"):
        a = s.stream("a-" + e)
        s.append(a, "no_stream", e + "0", e + "1")
        delete(s, "Delete", a, "stream_exists")
        s.append(a, e, e + "2")
        s.append(a, e if e == "any" else 2, e + "3")
        s.read_stream(a)
    b = s.stream("b")
    s.append(b, "no_stream", "b0")
    delete(s, "Delete", b, "any")
    s.append(b, "no_stream", "b0")
    s.batch(b, "stream_exists", "x")
    s.read_stream(b)


@scenario
def tombstone_stream(s: Session) -> None:
    """Tombstone: every later write, read and subscription."""
    a, never = s.stream("a"), s.stream("never")
    delete(s, "Tombstone", never, "stream_exists")
    delete(s, "Tombstone", never, 0)
    delete(s, "Tombstone", never, "any")
    s.append(never, "no_stream", "x")
    s.append(a, "no_stream", "a0")
    delete(s, "Tombstone", a, 5)
    delete(s, "Tombstone", a, 0)
    for e in ("no_stream", "any", "stream_exists", 0):
        s.append(a, e, "x")
        s.batch(a, e, "x")
    delete(s, "Tombstone", a, "any")
    delete(s, "Delete", a, "any")
    s.read_stream(a)
    s.read_stream("$$" + a)
    s.append("$$" + a, "any", ("meta", {"type": "$metadata", "data": b"{}"}))
    s.read(f"subscribe {s.text(a)}", n=3, stream=s.stream_option(a, start={}), subscription={})
    s.read("the records in $all", read_direction=0, all={"start": {}}, count=100, filter=by_stream(s, "a"))


# stream metadata --------------------------------------------------------------------------------------------------------


@scenario
def metadata_limits(s: Session) -> None:
    """$maxCount and $tb on stream reads, on $all, and on the next number."""
    a = s.stream("a")
    s.append(a, "no_stream", *[f"a{i}" for i in range(5)])
    s.read_stream("$$" + a)
    s.append("$$" + a, "no_stream", ("m0", {"type": "$metadata", "data": b'{"$maxCount":2}'}))
    s.read_stream(a)
    s.read_stream(a, {"end": {}}, backwards=True)
    s.append("$$" + a, 0, ("m1", {"type": "$metadata", "data": b'{"$tb":4}'}))
    s.read_stream(a)
    s.read_stream(a, {"revision": 1})
    s.append("$$" + a, 1, ("m2", {"type": "$metadata", "data": b'{"$tb":99}'}))
    s.read_stream(a)
    s.read_stream("$$" + a)
    s.append(a, 4, "a5")
    s.read("$all by stream prefix", read_direction=0, all={"start": {}}, count=100, filter=by_stream(s, "a"))
