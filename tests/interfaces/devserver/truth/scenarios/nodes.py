"""What is asked of a server: Gossip, features, headers."""

import grpc

from tests.interfaces.devserver.truth.asking import scenario
from tests.interfaces.devserver.truth.call import WITHIN
from tests.interfaces.devserver.truth.protos import gossip_pb2, shared_pb2
from tests.interfaces.devserver.truth.session import Session


@scenario
def gossip_of_one_node(s: Session) -> None:
    """Gossip of a single node."""
    info = s.gossip.Read(shared_pb2.Empty(), timeout=WITHIN)
    s.note(
        "members",
        [
            {"state": gossip_pb2.MemberInfo.VNodeState.Name(m.state), "alive": m.is_alive, "address": m.http_end_point.address}
            for m in info.members
        ],
    )


@scenario
def server_features(s: Session) -> None:
    """GetSupportedMethods, read from the wire: method, service, features."""
    call = s.channel.unary_unary("/event_store.client.server_features.ServerFeatures/GetSupportedMethods")

    def fields(raw: bytes) -> list[tuple[int, bytes]]:
        out, i = [], 0
        while i < len(raw):
            tag, i = raw[i], i + 1
            n, shift = 0, 0
            while True:
                n |= (raw[i] & 0x7F) << shift
                shift, more, i = shift + 7, raw[i] & 0x80, i + 1
                if not more:
                    break
            out.append((tag >> 3, raw[i : i + n]))
            i += n
        return out

    try:
        top = fields(call(b"", timeout=WITHIN))
    except grpc.RpcError as e:
        s.note("ended", s.status(e))
        return
    rows = []
    for n, raw in top:
        if n == 1:
            sub = fields(raw)
            row = [b"".join(v for k, v in sub if k == 1).decode(), b"".join(v for k, v in sub if k == 2).decode()]
            if row[1].startswith(("event_store.client.streams", "event_store.client.persistent")):
                rows.append([*row, sorted(v.decode() for k, v in sub if k == 3)])
    s.note("methods", sorted(rows, key=lambda r: (r[1], r[0])))
    s.note("version has three numbers", [v.decode().split(".")[0].isdigit() and v.decode().count(".") >= 2 for n, v in top if n == 2])


@scenario
def unknown_headers_and_no_leader_header(s: Session) -> None:
    """Unknown headers, and no requires-leader header."""
    a = s.stream("a")
    s.header = (("x-odd", "1"), ("connection-name", "me"))
    s.append(a, "no_stream", "a0")
    s.header = (("requires-leader", "false"),)
    s.append(a, "any", "a1")
    s.read_stream(a)
