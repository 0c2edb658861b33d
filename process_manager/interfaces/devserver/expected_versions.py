"""Expected versions as clients write them, and as answers repeat them."""

from typing import Any

from process_manager.interfaces.devserver.wire import LAST_REVISION
from process_manager.ports import ExpectedVersion, StreamState

_STATES = {"no_stream": StreamState.NO_STREAM, "any": StreamState.ANY, "stream_exists": StreamState.EXISTS}
_NUMBERS = {StreamState.NO_STREAM: -1, StreamState.ANY: -2, StreamState.EXISTS: -4}


def expected_version(options: Any, oneof: str, number: str) -> ExpectedVersion:
    """What the options of a write expect; `number` is the field that holds a revision."""
    chosen = options.WhichOneof(oneof)
    if chosen in _STATES:
        return _STATES[chosen]
    if chosen is None:
        raise ValueError("an expected version is missing")
    return min(int(getattr(options, number)), LAST_REVISION)


def as_number(expected: ExpectedVersion) -> int:
    """As the server's texts write it."""
    return expected if isinstance(expected, int) else _NUMBERS[expected]
