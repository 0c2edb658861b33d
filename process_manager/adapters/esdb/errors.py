"""What each error of esdbclient, gRPC and a BatchAppend answer means in ours: one table by role.

A StoreUnavailable may pass by itself, so it is worth a repeat; every other error is an answer.
No text of esdbclient's about a URL is shown, for it may hold a password.
"""

import re
from collections.abc import Mapping

import grpc
from esdbclient import exceptions as theirs
from esdbclient.common import handle_rpc_error

from process_manager.errors import (
    AccessDenied,
    AppendTooLarge,
    BadAddress,
    GroupExists,
    GroupNotFound,
    NotAStore,
    StoreError,
    StoreUnavailable,
    StreamDeleted,
    StreamNotFound,
)
from process_manager.ports import MAX_APPEND

GRANT = (
    "the server denies access: a worker's user needs to read $all and to manage groups; be in $ops, and let an administrator append "
    """{"$acl":{"$r":["$admins","$ops"]}} as an event of type $metadata to the stream $$$all (README, EventStoreDB)"""
)
LOGIN = "the server does not accept this user and password: check them in the URL, where special characters are written as %XX"
TLS = "no secure connection: check that the server speaks TLS (else write tls=false) and that tlsCaFile names the authority that signed it"
LEADER = "this node is not the leader: name every node of the cluster in the URL, or use esdb+discover://"
FULL = "the group takes no more members: raise its max_subscriber_count on the server"

MEANING: Mapping[str, tuple[type[StoreError], str]] = {
    "StreamIsDeleted": (StreamDeleted, ""),
    "NotFound": (StreamNotFound, ""),
    "AlreadyExists": (GroupExists, ""),
    "MaximumAppendSizeExceededError": (AppendTooLarge, ""),
    "AccessDeniedError": (AccessDenied, GRANT),
    "SSLError": (NotAStore, TLS),
    "NodeIsNotLeader": (StoreUnavailable, LEADER),
    "MaximumSubscriptionsReached": (StoreError, FULL),
    "ServiceUnavailable": (StoreUnavailable, "no answer"),
    "DiscoveryFailed": (StoreUnavailable, "no node of the cluster answers, or it has no leader now"),
    "GrpcDeadlineExceeded": (StoreUnavailable, "no answer in time"),
    "AppendDeadlineExceeded": (StoreUnavailable, "no answer in time"),
    "AbortedByServer": (StoreUnavailable, "the server gave up"),
    "CancelledByClient": (StoreUnavailable, "the call was cancelled"),
    "InternalError": (StoreUnavailable, "the server failed"),
    "ExceptionThrownByHandler": (StoreUnavailable, "the server failed"),
    "UnknownError": (StoreUnavailable, "the server does not say why"),
    "InvalidTransactionError": (StoreError, "the server refused this"),
    "BadRequestError": (StoreError, "the server refused this"),
    "FailedPrecondition": (StoreError, "the server refused this"),
    "SubscriptionConfirmationError": (NotAStore, "the server does not answer as EventStoreDB does"),
    "ExceptionIteratingRequests": (StoreError, "a request could not be sent"),
    "PERMISSION_DENIED": (AccessDenied, GRANT),
    "UNAUTHENTICATED": (AccessDenied, LOGIN),
    "UNIMPLEMENTED": (NotAStore, "the server does not know this call: it is no EventStoreDB, or too old"),
    "CANCELLED": (StoreUnavailable, "the server ended the call"),
    "INVALID_ARGUMENT": (StoreError, "the server refused this"),
    "RESOURCE_EXHAUSTED": (StoreError, "the server refused this"),
    "OUT_OF_RANGE": (StoreError, "the server refused this"),
    "GrpcError": (StoreUnavailable, "the call failed"),
    "EventStoreDBClientException": (StoreError, "the client failed"),
    "closed channel": (StoreUnavailable, "the connection was closed"),
    "OSError": (NotAStore, "a file that the URL names cannot be read"),
    "no user": (BadAddress, "a server with TLS needs user:password@ in the URL; for one without TLS add ?tls=false"),
    "ValueError": (BadAddress, "the URL cannot be used"),
}
"""By the name of an exception class, or of a status for plain GrpcErrors; a class not listed is what its nearest listed base is."""

_SAYS_ALL = {"NodeIsNotLeader", "SSLError", "no user"}
_NOT_CONNECTED = (
    re.compile(r"failed to connect to all addresses; last error: \w+: (?:ipv[46]:)?(?P<node>\S+): (?:.*: )?(?P<why>[^:]+)"),
    re.compile(r"DNS resolution failed for (?P<node>\S+): (?:.*: )?(?P<why>[^:]+)"),
)
_HINTS = {
    "Socket closed": " (does the server speak TLS? then leave tls=false out)",
    "Connection refused": " (is the server running?)",
    "Name or service not known": " (nodes of a cluster are found by names that they advertise: AdvertiseHostToClientAs)",
}
_BAD_VALUES = (
    ("closed channel", "closed channel"),
    ("Channel closed", "closed channel"),
    ("Username and password are required", "no user"),
)

IN_ANSWERS: Mapping[str, tuple[type[StoreError], str]] = {
    "event_store.client.StreamDeleted": MEANING["StreamIsDeleted"],
    "event_store.client.AccessDenied": MEANING["AccessDeniedError"],
    "event_store.client.Timeout": MEANING["AppendDeadlineExceeded"],
    "event_store.client.Unknown": MEANING["UnknownError"],
    "event_store.client.InvalidTransaction": MEANING["InvalidTransactionError"],
    "event_store.client.MaximumAppendSizeExceeded": MEANING["MaximumAppendSizeExceededError"],
    "event_store.client.MaximumAppendEventSizeExceeded": MEANING["MaximumAppendSizeExceededError"],
    "event_store.client.BadRequest": MEANING["BadRequestError"],
    "google.protobuf.Empty": (StoreUnavailable, "the server takes no appends now"),
}
"""By the type of the detail in a BatchAppend answer, apart from WrongExpectedVersion, which names versions. An Empty comes with words: not
ready, too busy, or, while a cluster elects, that there is no leader."""

TROUBLE = (theirs.EventStoreDBClientException, grpc.RpcError, ValueError, OSError)
"""What esdbclient and gRPC raise; ValueError is a bad URL or a closed channel."""


def translate(error: BaseException, *, where: str = "", stream: str = "", group: str = "") -> StoreError:
    """Our error for one of esdbclient's or gRPC's, about the stream or group that was asked for."""
    if isinstance(error, StoreError):
        return error
    if isinstance(error, theirs.DiscoveryFailed) and error.__cause__:  # what a node said that was asked for the others
        error = error.__cause__
    if isinstance(error, grpc.RpcError):
        error = handle_rpc_error(error)
    role = _role(error)
    said = "" if role in _SAYS_ALL else _why_not_connected(_said(error), where)
    return _build(*MEANING[role], said, where=where, stream=stream, group=group)


def of_answer(type_name: str, said: str, stream: str, size: int, limit: int = MAX_APPEND) -> StoreError:
    """Our error for one in a BatchAppend answer about a block of `size` bytes; `limit` is the server's own."""
    kind, meaning = IN_ANSWERS.get(type_name, MEANING["EventStoreDBClientException"])
    return _build(kind, meaning, said, stream=stream, size=size, limit=limit)


def leader(error: BaseException) -> str | None:
    """The address of the leader, when the error tells it."""
    if isinstance(error, grpc.RpcError):
        error = handle_rpc_error(error)
    return error.leader_grpc_target if isinstance(error, theirs.NodeIsNotLeader) else None


def _role(error: BaseException) -> str:
    """Which row of the table an error is."""
    if type(error) is theirs.GrpcError and error.args and isinstance(error.args[0], grpc.Call):
        name = str(error.args[0].code().name)
        return name if name in MEANING else "GrpcError"
    if isinstance(error, ValueError):
        return next((role for part, role in _BAD_VALUES if part in str(error)), "ValueError")
    for kind in type(error).__mro__:
        if kind.__name__ in MEANING:
            return kind.__name__
    raise error


def _build(
    kind: type[StoreError], meaning: str, said: str, *,
    where: str = "", stream: str = "", group: str = "", size: int = 0, limit: int = MAX_APPEND,
) -> StoreError:  # fmt: skip
    if kind in {StreamNotFound, GroupNotFound} and group:
        return GroupNotFound(f"there is no group {group!r}")
    if kind is GroupExists:
        return GroupExists(f"there is a group {group!r} already")
    if kind is AppendTooLarge:
        return AppendTooLarge(stream, size, limit)
    if kind in {StreamNotFound, StreamDeleted}:
        return kind(stream)
    return kind(": ".join(part for part in (where, meaning, said) if part))


def _said(error: BaseException) -> str:
    """What the server or the system says of it."""
    if isinstance(error, OSError):
        return f"{error.filename} ({error.strerror})"
    if isinstance(error, ValueError):
        return _without_url(str(error))
    first = error.args[0] if error.args else ""
    return str(first.details() or "") if isinstance(first, grpc.Call) else str(first)


def _why_not_connected(text: str, where: str) -> str:
    """gRPC's texts about a connection that it could not make, without what they say twice; any other text as it is."""
    for form in _NOT_CONNECTED:
        if found := form.fullmatch(text):
            why = found["why"] + next((hint for start, hint in _HINTS.items() if found["why"].startswith(start)), "")
            return why if where.endswith(f"//{found['node']}") else f"{found['node']}: {why}"
    return text


def _without_url(text: str) -> str:
    """esdbclient's texts about a URL end with the URL, password and all."""
    return text.partition(": esdb")[0] if "://" in text else text
