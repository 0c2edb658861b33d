"""How calls end when they do not end well: the statuses and trailers of EventStoreDB 23.10.

Clients decide by the text of the details or by the trailer `exception`: both are the server's own.
"""

from typing import Any

import grpc

from process_manager.ports import MAX_APPEND


class Refused(Exception):
    """A call ends with this status. `trailers` are its trailing metadata."""

    def __init__(self, code: Any, details: str, trailers: dict[str, str] | None = None) -> None:
        super().__init__(details)
        self.code = code
        self.details = details
        self.trailers = [(key, value.encode("ascii", "backslashreplace").decode()) for key, value in (trailers or {}).items()]


def invalid(details: str) -> Refused:
    """For what the real server only calls UNKNOWN: here it says why."""
    return Refused(grpc.StatusCode.INVALID_ARGUMENT, details)


def shutting_down() -> Refused:
    return Refused(grpc.StatusCode.UNAVAILABLE, "Server Is Shutting Down")


def unauthenticated() -> Refused:
    return Refused(grpc.StatusCode.UNAUTHENTICATED, "Unauthenticated")


def missing_metadata(key: str) -> Refused:
    return Refused(
        grpc.StatusCode.INVALID_ARGUMENT,
        f"Required Metadata Property '{key}' is missing",
        {"exception": "missing-required-metadata-property", "required-metadata-properties": "type,content-type"},
    )


def too_large() -> Refused:
    return Refused(
        grpc.StatusCode.INVALID_ARGUMENT,
        f"Maximum Append Size of {MAX_APPEND} Exceeded.",
        {"exception": "maximum-append-size-exceeded", "maximum-append-size": str(MAX_APPEND)},
    )


def stream_deleted(stream: str) -> Refused:
    return Refused(
        grpc.StatusCode.FAILED_PRECONDITION,
        f"Event stream '{stream}' is deleted.",
        {"exception": "stream-deleted", "stream-name": stream},
    )


def wrong_version(stream: str, expected: int, actual: int) -> Refused:
    """Of Delete and Tombstone; appends answer a wrong version with a message."""
    return Refused(
        grpc.StatusCode.FAILED_PRECONDITION,
        f"Delete failed due to WrongExpectedVersion. Stream: {stream}, Expected version: {expected}, Actual version: {actual}",
        {
            "exception": "wrong-expected-version",
            "stream-name": stream,
            "expected-version": str(expected),
            "actual-version": str(actual),
        },
    )


def _of_group(code: Any, details: str, exception: str, stream: str, group: str) -> Refused:
    trailers = {"exception": exception, "stream-name": stream, "group-name": group}
    return Refused(code, details, {key: value for key, value in trailers.items() if value})


def group_exists(stream: str, group: str) -> Refused:
    details = f"Subscription group {group} on stream {stream} exists."
    return _of_group(grpc.StatusCode.ALREADY_EXISTS, details, "persistent-subscription-exists", stream, group)


def group_missing(stream: str, group: str) -> Refused:
    details = f"Subscription group {group} on stream {stream} does not exist."
    return _of_group(grpc.StatusCode.NOT_FOUND, details, "persistent-subscription-does-not-exist", stream, group)


def group_dropped(stream: str, group: str) -> Refused:
    details = f"Subscription group {group} on stream {stream} was dropped."
    return _of_group(grpc.StatusCode.CANCELLED, details, "persistent-subscription-dropped", stream, group)


def group_full(stream: str, group: str) -> Refused:
    details = f"Maximum subscriptions reached for subscription group {group} on stream {stream}."
    return _of_group(grpc.StatusCode.FAILED_PRECONDITION, details, "maximum-subscribers-reached", stream, group)


def group_failed(stream: str, group: str, reason: str) -> Refused:
    details = f"Subscription group {group} on stream {stream} failed: '{reason}'"
    refused = _of_group(grpc.StatusCode.INTERNAL, details, "persistent-subscription-failed", stream, group)
    refused.trailers.append(("reason", reason))
    return refused
