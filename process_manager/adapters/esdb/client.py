"""esdbclient's threaded client, with what it lacks; the one module that touches its private attributes. They are:

- `_construct_grpc_channel` and `_connection`: keep-alive works (esdbclient's sets an option that gRPC does not know), each client has
  a connection of its own, gRPC tries again within a second, and a reconnect does not end the reads of other threads;
- `_construct_esdb_connection`, `_construct_cluster_members`, `_discover_preferred_node` and `_targets`: gossip goes on naming a leader that
  has died, which esdbclient takes for one, and it asks the same node first each time, though that may be the one which is cut off;
- `streams._stub` and `persistent_subscriptions._stub` with the headers and credentials of a call: BatchAppend as one long-lived call,
  a group's Read without a thread that batches acks by a clock, GetInfo with the connections it tells, List, reads with a window of our own;
- `_get_next_read_resp` of a read: what the server sends as it is, for a quarter of the CPU time of esdbclient's own events; `_read_resps`,
  its call, so that it is heard out.
"""

# ruff: noqa: SLF001  see above

import os
import time
from collections.abc import Callable, Generator, Sequence
from threading import Thread, current_thread
from typing import Any
from urllib.parse import unquote

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # else gRPC prints handshakes that fail to stderr; we raise errors that say it

from esdbclient import EventStoreDBClient
from esdbclient.common import GrpcOptions
from esdbclient.connection import ESDBConnection
from esdbclient.exceptions import CancelledByClient, DiscoveryFailed, GrpcError, NotFound
from esdbclient.gossip import ClusterMember, GossipService
from esdbclient.protos.Grpc import gossip_pb2, persistent_pb2, shared_pb2
from esdbclient.streams import ReadResponse

from process_manager.adapters.esdb.address import ServerAddress
from process_manager.adapters.esdb.duplex import Duplex, hear_out
from process_manager.adapters.esdb.errors import TROUBLE, translate
from process_manager.errors import StoreUnavailable

QUERY_DEADLINE = 10.0
"""Seconds that a call with one short answer may take."""

LOOKED_AT = 1_000
"""Records that a server looks at in one go, where few of them may match."""

_CHANNEL: GrpcOptions = (
    ("SingleThreadedUnaryStream", 1),  # a read is taken in by who iterates: a third of the CPU time for each record
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 5000),  # which is also how long connecting may take
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.http2.max_pings_without_data", 0),
)


class _Gossip(GossipService):
    """Tells only members that are alive: after an election the dead leader may be named beside the new one for a while."""

    refused: list[Exception]
    """What nodes said instead."""

    def read(self, *args: Any, **options: Any) -> Sequence[ClusterMember]:
        try:
            return super().read(*args, **options)
        except GrpcError as refused:
            self.refused.append(refused)
            raise

    @staticmethod
    def _construct_cluster_members(cluster_info: gossip_pb2.ClusterInfo) -> Sequence[ClusterMember]:
        alive = gossip_pb2.ClusterInfo(members=[it for it in cluster_info.members if it.is_alive])
        return GossipService._construct_cluster_members(alive)


class Client(EventStoreDBClient):
    """One connection. Raises errors of esdbclient; see `errors.translate`."""

    def __init__(self, address: ServerAddress, name: str) -> None:
        self._ended = False
        self._retired: list[Any] = []
        self._receivers: list[Thread] = []
        self._refused: list[Exception] = []
        super().__init__(address.uri(name))

    def construct_call_credentials(self, username: str | None, password: str | None) -> Any:
        """User and password stand in the URL with special characters as %XX, which esdbclient would send as they are."""
        return super().construct_call_credentials(unquote(username or ""), unquote(password or ""))

    def _construct_grpc_channel(self, grpc_target: str, grpc_options: GrpcOptions = ()) -> Any:
        options = self.connection_spec.options
        alive: GrpcOptions = (
            ("grpc.keepalive_time_ms", options.KeepAliveInterval or 10_000),
            ("grpc.keepalive_timeout_ms", options.KeepAliveTimeout or 10_000),
            ("grpc.http2.ping_timeout_ms", options.KeepAliveTimeout or 10_000),
        )
        return super()._construct_grpc_channel(grpc_target, (*grpc_options, *_CHANNEL, *alive))

    def _construct_esdb_connection(self, grpc_target: str, grpc_options: GrpcOptions = ()) -> ESDBConnection:
        made = super()._construct_esdb_connection(grpc_target, grpc_options)
        made.gossip = gossip = _Gossip(made._grpc_channel, self.connection_spec, made._grpc_streamers)
        gossip.refused = self._refused
        return made

    def _discover_preferred_node(self) -> ESDBConnection:
        """Every node of the URL may be the first to answer: one that is cut off knows of no leader, or of an old one. A failure with a
        cause is that none has answered."""
        for _ in self.connection_spec.targets[1:]:
            try:
                return self._discover()
            except DiscoveryFailed as failed:
                if failed.__cause__ is not None:
                    raise
        return self._discover()

    def _discover(self) -> ESDBConnection:
        seeds = self.connection_spec._targets
        self._refused.clear()
        try:
            return super()._discover_preferred_node()
        except DiscoveryFailed as failed:
            lasting = (it for it in self._refused if not isinstance(translate(it), StoreUnavailable))
            raise failed from next(lasting, failed.__cause__)
        finally:
            seeds.append(seeds.pop(0))

    def reconnect(self, grpc_target: str | None = None) -> None:
        """Use a new connection from here on. The old one serves who still reads from it; esdbclient would end that quietly."""
        self.check_open()
        with self._reconnection_lock:
            fresh = self._connect(grpc_target)
            old, self._connection = self._connection, fresh
            self._retired.append(old)
            for connection in [it for it in self._retired if not list(it._grpc_streamers)]:
                self._retired.remove(connection)
                connection.close()

    def check_open(self) -> None:
        if self._ended:
            raise StoreUnavailable("this store was closed")

    def follow(self, leader: str | None) -> None:
        """Reconnect: to the node that is said to be the leader, when the URL lets us choose nodes, else wherever the URL leads."""
        single = self.connection_spec.scheme == "esdb" and len(self.connection_spec.targets) == 1
        self.reconnect(None if single else leader)

    def read(self, **options: Any) -> Generator[Any, None, None]:
        """The server's messages of a read or a subscription, by the options of esdbclient's `streams.read`.

        Close it when done. The server looks at more records at a time than 30 for those that match.
        """
        options |= {"window_size": LOOKED_AT, "checkpoint_interval_multiplier": 1}
        return _messages(self.streams.read(metadata=self._call_metadata, credentials=self._call_credentials, **options))

    def batch_append(self) -> Duplex:
        """A BatchAppend call."""
        service = self.streams
        return Duplex(service._stub.BatchAppend, service._metadata(self._call_metadata, requires_leader=True), self._call_credentials)

    def read_group(self) -> Duplex:
        """A Read call of a group."""
        service = self.persistent_subscriptions
        return Duplex(service._stub.Read, service._metadata(self._call_metadata, requires_leader=True), self._call_credentials)

    def group_info(self, group: str) -> Any:
        """A group on $all as the server tells it, connections included."""
        service = self.persistent_subscriptions
        options = persistent_pb2.GetInfoReq.Options(all=shared_pb2.Empty(), group_name=group)
        metadata = service._metadata(self._call_metadata, requires_leader=True)
        request = persistent_pb2.GetInfoReq(options=options)
        answer = service._stub.GetInfo(request, timeout=QUERY_DEADLINE, metadata=metadata, credentials=self._call_credentials)
        return answer.subscription_info

    def group_names(self) -> list[str]:
        """The groups on $all. esdbclient's own list is empty where a node says that it is not the leader."""
        service = self.persistent_subscriptions
        request = persistent_pb2.ListReq(options=persistent_pb2.ListReq.Options(list_all_subscriptions=shared_pb2.Empty()))
        metadata = service._metadata(self._call_metadata, requires_leader=True)
        answer = service._stub.List(request, timeout=QUERY_DEADLINE, metadata=metadata, credentials=self._call_credentials)
        return [it.group_name for it in answer.subscriptions if it.event_source == "$all"]

    def receive(self, name: str, work: Callable[[], None]) -> None:
        """Start a thread that takes in what the server sends; it does not keep the process from ending."""
        thread = Thread(target=work, name=name, daemon=True)
        self._receivers = [*filter(Thread.is_alive, self._receivers), thread]
        thread.start()

    def await_receivers(self, until: float) -> None:
        """Wait for the threads of a client that is closed, up to a time on the monotonic clock.

        Python stops them wherever they stand when the process ends. Within gRPC that may be with a lock which it takes afterwards, to let
        go of a call, and then the process would never end.
        """
        for thread in self._receivers:
            if thread is not current_thread():
                thread.join(max(0.0, until - time.monotonic()))

    def close(self) -> None:
        self._ended = True
        for connection in getattr(self, "_retired", ()):
            connection.close()
        super().close()


def _messages(response: ReadResponse) -> Generator[Any, None, None]:
    """The messages of a read; where its client was closed meanwhile, it just ends."""
    try:
        with response:
            while True:
                message = response._get_next_read_resp()
                if message.WhichOneof("content") == "stream_not_found":
                    raise NotFound
                yield message
    except (CancelledByClient, StopIteration):
        return
    finally:
        hear_out(response._read_resps)


def connect(address: ServerAddress, name: str) -> Client:
    """A client, not yet connected. Raises NotAStore for options that cannot work, StoreUnavailable when no node is found."""
    try:
        return Client(address, name)
    except TROUBLE as error:
        raise translate(error, where=address.shown) from None
