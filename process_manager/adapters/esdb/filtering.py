"""A port's filter as a server's: one pattern over types or over stream names, and what is left to check here."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from process_manager.adapters.esdb.records import Found
from process_manager.ports import Filter

_ANYTHING = r"[\s\S]*"  # a dot would stop at a line's end
_NOT_THE_STORES_OWN = r"(?!(?:PersistentConfig\d+|SubscriptionCheckpoint)$)[^$]" + _ANYTHING
"""What a server writes of groups has no `$` before some types: settings, and, up to 24.2, checkpoints of groups on streams."""


@dataclass(frozen=True, slots=True)
class ServerFilter:
    """One pattern, already in a group of its own; without one everything passes. `exact`: what passes needs no second look."""

    pattern: str | None
    by_stream: bool = False
    exact: bool = True

    def arguments(self) -> dict[str, Any]:
        """For esdbclient, which puts `^` before and `$` behind the pattern."""
        include = () if self.pattern is None else (self.pattern,)
        return {"filter_include": include, "filter_exclude": (), "filter_by_stream_name": self.by_stream}


def server_filter(where: Filter, *, types: Iterable[str] = (), streams: Iterable[str] = ()) -> ServerFilter:
    """What a server can do of a filter, together with some types, or, where it goes by stream, with some streams.

    A server looks at types or at stream names, never at both: what asks for both gets everything, and is filtered here.
    """
    by_type, by_stream = bool(where.types or where.type_prefixes), bool(where.stream_prefixes)
    if by_type and by_stream:
        return ServerFilter(None, exact=False)
    if by_stream:
        return ServerFilter(_pattern(streams, where.stream_prefixes), by_stream=True)
    if by_type:
        return ServerFilter(_pattern([*where.types, *types], where.type_prefixes))
    return ServerFilter(f"(?:{'|'.join([_NOT_THE_STORES_OWN, *map(re.escape, types)])})")


def passes(where: Filter, found: Found) -> bool:
    """Whether a filter asks for what was found; for a resolved link, as on the server, whether it asks for the link."""
    return where.matches(found.itself.type, found.itself.stream)


def _pattern(names: Iterable[str], prefixes: Iterable[str]) -> str:
    return f"(?:{'|'.join([*map(re.escape, sorted(names)), *(re.escape(prefix) + _ANYTHING for prefix in prefixes)])})"
