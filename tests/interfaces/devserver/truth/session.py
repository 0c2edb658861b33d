"""One scenario's connection and the calls that it makes; everything asked is written to the record."""

import time
import uuid
from contextlib import suppress
from typing import Any

import grpc

from process_manager.adapters.esdb.address import read_server
from process_manager.adapters.esdb.client import connect
from tests.interfaces.devserver.truth.call import WITHIN, Call
from tests.interfaces.devserver.truth.plain import Plain
from tests.interfaces.devserver.truth.protos import (
    Expected,
    Json,
    gossip_pb2_grpc,
    persistent_pb2,
    persistent_pb2_grpc,
    shared_pb2,
    streams_pb2,
    streams_pb2_grpc,
)

SETTINGS: Json = {
    "max_retry_count": 3,
    "min_checkpoint_count": 1,
    "max_checkpoint_count": 100,
    "max_subscriber_count": 5,
    "live_buffer_size": 500,
    "read_batch_size": 20,
    "history_buffer_size": 500,
    "message_timeout_ms": 30_000,
    "checkpoint_after_ms": 500,
    "consumer_strategy": "DispatchToSingle",
}
MOMENTARY = (
    "average_per_second",
    "count_since_last_measurement",
    "connections",
    "status",
    "read_buffer_count",
    "live_buffer_count",
    "total_items",
)
Event = str | tuple[str, Json]
"""A label, or a label and what is not as usual."""


class Session(Plain):
    """Asks a server, of a cluster its leader; deletes its groups when it is closed."""

    def __init__(self, uri: str) -> None:
        super().__init__()
        self.channel = channel_to(uri)
        self._made: list[tuple[str, str | None]] = []
        self.streams = streams_pb2_grpc.StreamsStub(self.channel)
        self.groups = persistent_pb2_grpc.PersistentSubscriptionsStub(self.channel)
        self.gossip = gossip_pb2_grpc.GossipStub(self.channel)
        self.header: tuple[tuple[str, str], ...] = (("requires-leader", "true"),)

    def stream(self, base: str) -> str:
        return f"{base}-{self.run}"

    def ident(self, stream: str) -> Any:
        return shared_pb2.StreamIdentifier(stream_name=stream.encode())

    def uid(self, id_: uuid.UUID | str) -> Any:
        return shared_pb2.UUID(string=str(id_))

    def ask(self, label: str, method: Any, request: Any) -> Any:
        """A call with one answer; returns it, or None."""
        try:
            answer = method(iter(request) if isinstance(request, list) else request, timeout=WITHIN, metadata=self.header)
        except grpc.RpcError as error:
            self.log.append({"call": label, "answers": [], "ended": self.status(error)})
            return None
        self.log.append({"call": label, "answers": [self.message(answer)], "ended": "OK"})
        return answer

    def expect(self, options: Any, expected: Expected, number: str) -> Any:
        if isinstance(expected, int):
            setattr(options, number, expected)
        else:
            getattr(options, expected).SetInParent()
        return options

    def proposed(
        self, kind: Any, label: str, type: str = "T", data: bytes = b'{"n":1}', meta: dict[str, str] | None = None, custom: bytes = b""
    ) -> Any:
        message = kind.ProposedMessage(id=self.uid(self.event_id(label)), custom_metadata=custom, data=data)
        message.metadata.update({"type": type, "content-type": "application/json"} if meta is None else meta)
        return message

    def _event(self, kind: Any, event: Event) -> Any:
        return self.proposed(kind, event) if isinstance(event, str) else self.proposed(kind, event[0], **event[1])

    def append(self, stream: str, expected: Expected, *events: Event) -> Any:
        options = self.expect(streams_pb2.AppendReq.Options(stream_identifier=self.ident(stream)), expected, "revision")
        messages = [streams_pb2.AppendReq(options=options)]
        messages += [streams_pb2.AppendReq(proposed_message=self._event(streams_pb2.AppendReq, it)) for it in events]
        return self.ask(f"Append {self.text(stream)} at {expected}: {_names(events)}", self.streams.Append, messages)

    def batch_request(
        self, stream: str, expected: Expected, *events: Event, correlation: str, final: bool = True, options: bool = True, **more: Any
    ) -> Any:
        request = streams_pb2.BatchAppendReq(correlation_id=self.uid(self.event_id(correlation)), is_final=final)
        if options:
            request.options.stream_identifier.CopyFrom(self.ident(stream))
            self.expect(request.options, expected, "stream_position")
            for key, value in more.items():
                getattr(request.options, key).CopyFrom(value)
        request.proposed_messages.extend(self._event(streams_pb2.BatchAppendReq, it) for it in events)
        return request

    def batch(self, stream: str, expected: Expected, *events: Event) -> list[Any]:
        """A batch on a call of its own."""
        label = f"BatchAppend {self.text(stream)} at {expected}: {_names(events)}"
        call = Call(self, label, self.streams.BatchAppend, [self.batch_request(stream, expected, *events, correlation=f"c{len(self.log)}")])
        got = call.take(1)
        call.close()
        return got

    def read(self, label: str, n: int = 10_000, *, structured: bool = False, **options: Any) -> list[Any]:
        """Options are those of the request, as nested dictionaries."""
        call = self.open_read(label, structured=structured, **options)
        got = call.take(n)
        call.close()
        return got

    def open_read(self, label: str, *, structured: bool = False, **options: Any) -> Call:
        if "filter" not in options:
            options.setdefault("no_filter", {})
        request = streams_pb2.ReadReq(options=options)
        (request.options.uuid_option.structured if structured else request.options.uuid_option.string).SetInParent()
        return Call(self, f"Read {label}", lambda _: self.streams.Read(request, metadata=self.header), [])

    def stream_option(self, stream: str, **at: Any) -> Json:
        return {"stream_identifier": {"stream_name": stream.encode()}, **at}

    def read_stream(self, stream: str, at: Json | None = None, backwards: bool = False, count: int = 2**63 - 1, **more: Any) -> list[Any]:
        direction, many = "backwards" if backwards else "forwards", count if count < 10**6 else "all"
        return self.read(
            f"{self.text(stream)} {direction} at {at or 'start'} count {many}",
            stream=self.stream_option(stream, **(at or {"start": {}})), read_direction=int(backwards), count=count, **more,
        )  # fmt: skip

    def open_group(self, group: str, stream: str | None = None, buffer: int = 100, structured: bool = False) -> Call:
        request = persistent_pb2.ReadReq(options=named(group, stream) | {"buffer_size": buffer})
        (request.options.uuid_option.structured if structured else request.options.uuid_option.string).SetInParent()
        return Call(self, f"group {self.text(group)}", lambda it: self.groups.Read(it, metadata=self.header), [request])

    def ack(self, *ids: Any) -> Any:
        return persistent_pb2.ReadReq(ack=persistent_pb2.ReadReq.Ack(ids=list(ids)))

    def nack(self, action: str, *ids: Any, reason: str = "asked") -> Any:
        value = persistent_pb2.ReadReq.Nack.Action.Value(action)
        return persistent_pb2.ReadReq(nack=persistent_pb2.ReadReq.Nack(ids=list(ids), action=value, reason=reason))

    def create_group(
        self, group: str, stream: str | None = None, at: Json | None = None, where: Json | None = None, **settings: Any
    ) -> Any:
        options: Json = {"group_name": group, "settings": SETTINGS | settings}
        if stream:
            options["stream"] = self.stream_option(stream, **(at or {"start": {}}))
        else:
            options["all"] = dict(at or {"start": {}}) | ({"filter": where} if where else {"no_filter": {}})
        self._made.append((group, stream))
        label = f"Create group {self.text(group)} on {self.text(stream or '$all')}"
        return self.ask(label, self.groups.Create, persistent_pb2.CreateReq(options=options))

    def _info(self, group: str, stream: str | None) -> Any:
        request = persistent_pb2.GetInfoReq(options=named(group, stream))
        return self.groups.GetInfo(request, timeout=WITHIN, metadata=self.header).subscription_info

    def info(self, group: str, stream: str | None = None, only: tuple[str, ...] = ()) -> None:
        """What a group says about itself, without what depends on the moment."""
        label = f"GetInfo {self.text(group)}"
        try:
            said = self.message(self._info(group, stream))
        except grpc.RpcError as error:
            self.log.append({"call": label, "ended": self.status(error)})
            return
        for key in MOMENTARY:
            said.pop(key, None)
        if not stream:
            said.pop("last_known_event_position", None)
        self.log.append({"call": label, "answers": [{key: said.get(key, 0) for key in only} if only else said]})

    def until(self, group: str, stream: str | None, **wanted: Any) -> None:
        """Wait until a group says this of itself; what it says is compared later."""
        limit = time.monotonic() + WITHIN
        while time.monotonic() < limit:
            said = self._info(group, stream)
            if all(_counted(getattr(said, key)) == value for key, value in wanted.items()):
                return
            time.sleep(0.02)

    def until_stands(self, stream: str, revision: int) -> None:
        """Wait until a stream has come so far, which a group may say of itself a moment before."""
        limit, last = time.monotonic() + WITHIN, -1
        while last < revision and time.monotonic() < limit:
            with self.unrecorded():
                got = self.read_stream(stream, {"end": {}}, backwards=True, count=1)
            last = max((m.event.event.stream_revision for m in got if m.WhichOneof("content") == "event"), default=-1)

    def close(self) -> None:
        for group, stream in self._made:
            with suppress(grpc.RpcError):  # deleted by the scenario itself
                self.groups.Delete(persistent_pb2.DeleteReq(options=named(group, stream)), timeout=WITHIN, metadata=self.header)
        self.channel.close()


def channel_to(uri: str) -> Any:
    """A channel to the server that a URI names; where it has users, every call shows the user."""
    client = connect(read_server(uri), "truth")
    client.close()
    options = [("grpc.max_receive_message_length", 32 << 20)]
    if not client.connection_spec.options.Tls:
        return grpc.insecure_channel(client.connection_target, options)
    user = client.construct_call_credentials(client.connection_spec.username, client.connection_spec.password)
    secure = grpc.composite_channel_credentials(grpc.ssl_channel_credentials(client.root_certificates), user)
    return grpc.secure_channel(client.connection_target, secure, options)


def named(group: str, stream: str | None) -> Json:
    return {"group_name": group} | ({"stream_identifier": {"stream_name": stream.encode()}} if stream else {"all": {}})


def _counted(value: Any) -> Any:
    return len(value) if hasattr(value, "append") else value


def _names(events: tuple[Event, ...]) -> str:
    return ", ".join(it if isinstance(it, str) else it[0] for it in events)
