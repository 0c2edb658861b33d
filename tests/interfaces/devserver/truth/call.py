"""A streaming call that is open: answers arrive on a queue, requests may still be sent."""

import threading
import time
from collections.abc import Sequence
from queue import Empty, Queue
from typing import Any

import grpc

from tests.interfaces.devserver.truth.plain import Plain
from tests.interfaces.devserver.truth.protos import Json

WITHIN = 60.0  # seconds in which an answer comes, if one is to come
QUIET = 0.75  # seconds without an answer, where none is to come


class Call:
    """A call of a session, by the name that it has in the record."""

    def __init__(self, plain: Plain, label: str, method: Any, first: Sequence[Any]) -> None:
        self._plain = plain
        self._label = label
        self._requests: Queue[Any] = Queue()
        for message in first:
            self._requests.put(message)
        self._answers: Queue[Any] = Queue()
        self._rpc = method(iter(self._requests.get, None))
        threading.Thread(target=self._pump, daemon=True).start()

    def _pump(self) -> None:
        try:
            for message in self._rpc:
                self._answers.put(message)
            self._answers.put(("end", None))
        except grpc.RpcError as error:
            self._answers.put(("end", error))

    def send(self, message: Any) -> None:
        self._requests.put(message)

    def half_close(self) -> None:
        self._requests.put(None)

    def take(self, n: int, *, only: int | None = None, within: float = WITHIN, quiet: float = QUIET, note: str = "") -> list[Any]:
        """The next n answers, fewer when the call ends, written to the record. `only`: so many are expected, then silence."""
        got: list[Any] = []
        record: Json = {"call": self._label + (f" ({note})" if note else ""), "answers": []}
        limit = time.monotonic() + within
        while len(got) < n:
            silent = only is not None and len(got) >= only
            try:
                message = self._answers.get(timeout=quiet if silent else max(0.0, limit - time.monotonic()))
            except Empty:
                record["then"] = "silence"
                break
            if isinstance(message, tuple):
                record["ended"] = self._plain.status(message[1])
                break
            got.append(message)
            record["answers"].append(self._plain.message(message))
        self._plain.log.append(record)
        return got

    def close(self) -> None:
        self._rpc.cancel()
        self._requests.put(None)
