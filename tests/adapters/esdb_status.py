"""A gRPC call that ended with a status, as tests make one."""

from typing import Any

import grpc


class Status(grpc.RpcError, grpc.Call):  # type: ignore[misc]  # grpc has no types
    """What gRPC raises."""

    def __init__(self, code: Any, details: str = "", trailers: tuple[Any, ...] = ()) -> None:
        self._code, self._details, self._trailers = code, details, trailers

    def code(self) -> Any:
        return self._code

    def details(self) -> str:
        return self._details

    def trailing_metadata(self) -> tuple[Any, ...]:
        return self._trailers

    def initial_metadata(self) -> tuple[Any, ...]:
        return ()

    def add_callback(self, callback: Any) -> bool:
        return False

    def cancel(self) -> None: ...

    def is_active(self) -> bool:
        return False

    def time_remaining(self) -> float:
        return 0.0
