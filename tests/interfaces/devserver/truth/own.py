"""Events and filters that belong to one run, so that others may have written to the server."""

from typing import Any

from tests.interfaces.devserver.truth.protos import Json
from tests.interfaces.devserver.truth.session import Session


def own_type(s: Session, label: str, name: str = "T", **more: Any) -> tuple[str, Json]:
    """An event whose type belongs to this run alone."""
    return label, {"type": f"{name}-{s.run}", **more}


def typed(s: Session, *names: str) -> Json:
    """A filter for exactly these event types of this run."""
    pattern = "^(?:" + "|".join(f"{name}-{s.run}" for name in names) + ")$"
    return {"event_type": {"regex": pattern}, "max": 32, "checkpointIntervalMultiplier": 1}


def by_stream(s: Session, *bases: str, window: int = 32, multiplier: int = 1) -> Json:
    """A filter for streams of this run."""
    prefixes = [s.stream(base) for base in bases]
    return {"stream_identifier": {"prefix": prefixes}, "max": window, "checkpointIntervalMultiplier": multiplier}


def link(label: str, target: str) -> tuple[str, Json]:
    return label, {"data": target.encode(), "meta": {"type": "$>", "content-type": "application/octet-stream"}}


def at_position(wire: int) -> Json:
    return {"position": {"commit_position": wire, "prepare_position": wire}}
