"""One Read call of a group: deliveries come in, acks go out at once, each batch as one message."""

import time
from collections.abc import Iterator, Sequence
from threading import Timer
from typing import Any

import grpc
from esdbclient.protos.Grpc import persistent_pb2, shared_pb2

from process_manager.adapters.esdb.client import Client
from process_manager.errors import StoreUnavailable

GRACE = 0.2
"""Seconds that a server gets to read the last acks before the call is cancelled, which may overtake them."""

CONFIRMED_WITHIN = 10.0
"""Seconds that a server gets to confirm. One that has just become the leader may not answer at all (KurrentDB #5596)."""


class Membership:
    """A connection to a group. Raises grpc.RpcError and StoreUnavailable; `messages` ends by raising, unless it was left."""

    def __init__(self, client: Client, group: str, in_flight: int) -> None:
        self._acked = 0.0
        uuids = persistent_pb2.ReadReq.Options.UUIDOption(string=shared_pb2.Empty())
        options = persistent_pb2.ReadReq.Options(all=shared_pb2.Empty(), group_name=group, buffer_size=in_flight, uuid_option=uuids)
        self._call = client.read_group()
        self._call.send(persistent_pb2.ReadReq(options=options))
        unconfirmed = Timer(CONFIRMED_WITHIN, self._call.cancel)
        unconfirmed.daemon = True
        unconfirmed.start()
        try:
            confirmation = next(self._call, None)  # or what is wrong
        except grpc.RpcError:
            self.end()
            raise
        finally:
            unconfirmed.cancel()
        if confirmation is None:
            self.end()
            raise StoreUnavailable("the server ended the call before it was confirmed")

    def messages(self) -> Iterator[Any]:
        """Events with their retry counts."""
        return (message.event for message in self._call if message.WhichOneof("content") == "event")

    def ack(self, ids: Sequence[str]) -> None:
        self._acked = time.monotonic()
        self._call.send(persistent_pb2.ReadReq(ack=persistent_pb2.ReadReq.Ack(ids=[shared_pb2.UUID(string=id_) for id_ in ids])))

    def leave(self) -> None:
        """Let the acks out, then end the call."""
        if self._call.is_active() and self._acked:
            self._call.sent(1.0)
            time.sleep(max(0.0, self._acked + GRACE - time.monotonic()))
        self._call.cancel()

    def end(self) -> None:
        """Let go of a call that broke."""
        self._call.cancel()
