"""From functions to gRPC methods: errors become statuses here."""

import logging
from collections.abc import Callable, Iterator
from typing import Any

import grpc

from process_manager.errors import StoreError, StreamDeleted
from process_manager.interfaces.devserver.statuses import Refused, invalid, stream_deleted

logger = logging.getLogger(__name__)

Unary = Callable[[Any, Any], Any]
Streaming = Callable[[Any, Any], Iterator[Any]]


def _status(error: Exception) -> Refused:
    match error:
        case Refused():
            return error
        case StreamDeleted():
            return stream_deleted(error.stream)
        case ValueError():
            return invalid(str(error))
        case StoreError():
            return Refused(grpc.StatusCode.UNAVAILABLE, str(error))
        case _:
            logger.error("a call failed", exc_info=error)
            return Refused(grpc.StatusCode.UNKNOWN, "Exception was thrown by handler.")


def _abort(context: Any, error: Exception) -> None:
    refused = _status(error)
    context.set_trailing_metadata(refused.trailers)
    context.abort(refused.code, refused.details)


def _single(function: Unary) -> Unary:
    def answer(request: Any, context: Any) -> Any:
        try:
            return function(request, context)
        except Exception as error:  # noqa: BLE001  every error becomes a status
            _abort(context, error)

    return answer


def _many(function: Streaming) -> Streaming:
    def answers(request: Any, context: Any) -> Iterator[Any]:
        try:
            yield from function(request, context)
        except Exception as error:  # noqa: BLE001  every error becomes a status
            _abort(context, error)

    return answers


def unary(function: Unary, request: Any) -> Any:
    """One request, one answer."""
    return grpc.unary_unary_rpc_method_handler(_single(function), request.FromString, _serialized)


def collecting(function: Unary, request: Any) -> Any:
    """Many requests, one answer."""
    return grpc.stream_unary_rpc_method_handler(_single(function), request.FromString, _serialized)


def streaming(function: Streaming, request: Any) -> Any:
    """One request, many answers."""
    return grpc.unary_stream_rpc_method_handler(_many(function), request.FromString, _serialized)


def duplex(function: Streaming, request: Any) -> Any:
    """Many requests, many answers."""
    return grpc.stream_stream_rpc_method_handler(_many(function), request.FromString, _serialized)


def _serialized(message: Any) -> bytes:
    data = message.SerializeToString()
    assert isinstance(data, bytes)
    return data


def service(name: str, methods: dict[str, Any]) -> Any:
    """A service; what it does not have is UNIMPLEMENTED."""
    return grpc.method_handlers_generic_handler(f"event_store.client.{name}", methods)
