"""The gRPC server over an open store."""

import socket
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self

import grpc
from esdbclient.protos.Grpc import persistent_pb2, shared_pb2, streams_pb2

from process_manager.interfaces.devserver import rpc
from process_manager.interfaces.devserver.appending import Appending
from process_manager.interfaces.devserver.batches import Batches
from process_manager.interfaces.devserver.calls import Calls
from process_manager.interfaces.devserver.deleting import Deleting
from process_manager.interfaces.devserver.features import Gossip, supported_methods
from process_manager.interfaces.devserver.feed import Feed
from process_manager.interfaces.devserver.groups.consuming import Consuming
from process_manager.interfaces.devserver.groups.manager import Manager
from process_manager.interfaces.devserver.groups.managing import Managing
from process_manager.interfaces.devserver.log import Log
from process_manager.interfaces.devserver.reading import Reading
from process_manager.interfaces.devserver.security import USER, Guard, Security, is_loopback
from process_manager.interfaces.devserver.subscribing import Subscribing
from process_manager.interfaces.devserver.wire import END
from process_manager.interfaces.devserver.writer import Writer
from process_manager.ports import EventStore

CALLS_AT_ONCE = 512  # a long call holds a thread, which costs little while it waits
LARGEST_REQUEST = 16 * 1024 * 1024
SYSTEM_STREAM = "$stats"  # a new database begins with a record of the system's, and there are clients that rely on it
GRACE = 0.5  # seconds for the last answers to leave

_OPTIONS = [
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", LARGEST_REQUEST),
    ("grpc.max_send_message_length", -1),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 1_000),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 1_000),
    ("grpc.http2.max_ping_strikes", 0),
]


class PortTaken(OSError):
    """The address cannot be bound."""


def check_free(host: str, port: int) -> None:
    """Raise PortTaken where a server could not be bound just now."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen()
    except OSError as error:
        raise PortTaken(_taken(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")) from error


def _taken(address: str) -> str:
    return f"{address} cannot be bound: another program has it, or this machine has no such address"


class DevServer:
    """Serves a store until it is closed; the store stays open. Raises PortTaken, and ValueError for an address that others
    reach without `security`."""

    def __init__(self, store: EventStore, host: str = "127.0.0.1", port: int = 0, security: Security | None = None) -> None:
        if security is None and not is_loopback(host):
            raise ValueError(f"{host} can be reached from outside: that needs TLS and a password")
        self._security = security
        self._calls = Calls()
        log = Log(store)
        self._writer = Writer(log)
        if store.last_position() < 0:
            self._writer.wait(SYSTEM_STREAM, lambda rules: rules.set_metadata(SYSTEM_STREAM, b'{"$maxAge":86400}'))
        self._feed = Feed(store)
        self._manager = Manager(log, self._writer)
        self._feed.join(self._manager, END)
        self._gossip = Gossip()
        guards = [Guard(security.password)] if security else []
        self._pool = ThreadPoolExecutor(CALLS_AT_ONCE, "devserver")
        self._server = grpc.server(self._pool, interceptors=guards, options=_OPTIONS)
        self._server.add_generic_rpc_handlers(self._services(log))
        self.host = f"[{host}]" if ":" in host else host
        self.port = self._bind(f"{self.host}:{port}")
        self._gossip.host, self._gossip.port = host, self.port
        self._server.start()

    def _services(self, log: Log) -> tuple[Any, ...]:
        appending, deleting = Appending(self._writer), Deleting(self._writer)
        batches, reading = Batches(self._writer, self._calls), Reading(log, Subscribing(log, self._feed, self._calls))
        streams = {
            "Append": rpc.collecting(appending.append, streams_pb2.AppendReq),
            "BatchAppend": rpc.duplex(batches.batch_append, streams_pb2.BatchAppendReq),
            "Read": rpc.streaming(reading.read, streams_pb2.ReadReq),
            "Delete": rpc.unary(deleting.delete, streams_pb2.DeleteReq),
            "Tombstone": rpc.unary(deleting.tombstone, streams_pb2.TombstoneReq),
        }
        managing, consuming = Managing(self._manager), Consuming(self._manager, self._calls)
        groups = {
            "Create": rpc.unary(managing.create, persistent_pb2.CreateReq),
            "Update": rpc.unary(managing.update, persistent_pb2.UpdateReq),
            "Delete": rpc.unary(managing.delete, persistent_pb2.DeleteReq),
            "Read": rpc.duplex(consuming.read, persistent_pb2.ReadReq),
            "GetInfo": rpc.unary(managing.get_info, persistent_pb2.GetInfoReq),
            "List": rpc.unary(managing.list_, persistent_pb2.ListReq),
            "ReplayParked": rpc.unary(managing.replay_parked, persistent_pb2.ReplayParkedReq),
            "RestartSubsystem": rpc.unary(managing.restart_subsystem, shared_pb2.Empty),
        }
        return (
            rpc.service("streams.Streams", streams),
            rpc.service("persistent_subscriptions.PersistentSubscriptions", groups),
            rpc.service("gossip.Gossip", {"Read": rpc.unary(self._gossip.read, shared_pb2.Empty)}),
            rpc.service("server_features.ServerFeatures", {"GetSupportedMethods": rpc.unary(supported_methods, shared_pb2.Empty)}),
        )

    def _bind(self, address: str) -> int:
        try:
            if self._security:
                return int(self._server.add_secure_port(address, self._security.credentials()))
            return int(self._server.add_insecure_port(address))
        except RuntimeError as error:
            self._end()
            raise PortTaken(_taken(address)) from error

    @property
    def url(self) -> str:
        """What clients connect to, but for the password."""
        if self._security:
            return f"esdb://{USER}:PASSWORD@{self.host}:{self.port}?tls=true&tlsCaFile={self._security.certificate}"
        return f"esdb://{self.host}:{self.port}?tls=false"

    def close(self) -> None:
        """End all calls, with UNAVAILABLE; what was taken is written."""
        self._calls.close()
        self._server.stop(GRACE).wait()
        self._end()

    def _end(self) -> None:
        self._feed.close()
        self._manager.actor.close()
        self._writer.close()
        self._pool.shutdown(wait=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def serve(store: EventStore, host: str = "127.0.0.1", port: int = 0, security: Security | None = None) -> DevServer:
    """Serve an open store; port 0 takes a free one. Use it as a context manager, or close it."""
    return DevServer(store, host, port, security)
