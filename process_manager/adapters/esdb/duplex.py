"""A call that streams both ways, taken in by the thread that iterates and sent by whoever sends.

gRPC's own hands each message of such a call through three threads: one waits for the connection, one asks for requests, one iterates.
Here who iterates waits for the connection itself, as gRPC lets a read do by `SingleThreadedUnaryStream`, whose class this one extends.
That is gRPC's private part, in this one module; esdbclient holds grpcio to one minor version.
"""

# ruff: noqa: SLF001  see above

import time
from collections import deque
from typing import Any

from grpc import _channel
from grpc._cython import cygrpc

_NO_FLAGS = 0
_MORE_COMES = cygrpc.WriteFlag.buffer_hint
_SENDING = cygrpc.OperationType.send_message
_DUE = (
    cygrpc.OperationType.send_initial_metadata, cygrpc.OperationType.receive_initial_metadata,
    cygrpc.OperationType.receive_status_on_client,
)  # fmt: skip


class Duplex(_channel._SingleThreadedRendezvous):  # type: ignore[misc]  # gRPC has no types
    """An iterator of what the server sends, for one thread at a time. Raises grpc.RpcError; it can be cancelled from any thread."""

    def __init__(self, method: Any, metadata: Any, credentials: Any) -> None:
        """Begin a call of a stub's method, as that itself would."""
        self._serialize = method._request_serializer
        self._outgoing: deque[bytes] = deque()
        operations = (
            (cygrpc.SendInitialMetadataOperation(metadata, _NO_FLAGS),),
            (cygrpc.ReceiveStatusOnClientOperation(_NO_FLAGS),),
            (cygrpc.ReceiveInitialMetadataOperation(_NO_FLAGS),),
        )
        call = method._channel.segregated_call(
            cygrpc.PropagationConstants.GRPC_PROPAGATE_DEFAULTS, method._method, None, None, metadata,
            credentials and credentials._credentials, tuple((each, None) for each in operations), method._context,
            method._registered_call_handle,
        )  # fmt: skip
        super().__init__(_state(method), call, method._response_deserializer, None)

    def send(self, message: Any) -> None:
        """Send a message behind those before it, from any thread; not at all once the call is over. Never waits."""
        with self._state.condition:
            self._outgoing.append(self._serialize(message))
            self._send_next()

    def sent(self, timeout: float) -> bool:
        """Wait until gRPC has taken all of it; another thread has to iterate meanwhile. Whether it has."""
        with self._state.condition:
            return bool(self._state.condition.wait_for(lambda: not self._outgoing and _SENDING not in self._state.due, timeout))

    def _send_next(self) -> None:
        """gRPC takes one message at a time."""
        if self._outgoing and self._state.code is None and _SENDING not in self._state.due:
            self._state.due.add(_SENDING)
            message = self._outgoing.popleft()
            flags = _MORE_COMES if self._outgoing else _NO_FLAGS
            if not self._call.operate((cygrpc.SendMessageOperation(message, flags),), None):
                self._state.due.remove(_SENDING)

    def _next(self) -> Any:
        try:
            return super()._next()
        except BaseException:
            self.cancel()  # which changes nothing where it is over; not where who waits is interrupted
            hear_out(self)
            raise

    def _consume_next_event(self) -> Any:
        event = super()._consume_next_event()
        with self._state.condition:
            self._send_next()
            self._state.condition.notify_all()
        return event


def hear_out(call: Any) -> None:
    """Take in what a call that is over, or cancelled, has still to tell. Until then gRPC keeps its 20 kB, as long as the connection."""
    while call._state.due:
        call._consume_next_event()


def _state(method: Any) -> Any:
    state = _channel._RPCState(_DUE, None, None, None, None)
    state.rpc_start_time = time.perf_counter()
    state.method, state.target = method._method.decode(), method._target.decode()
    return state
