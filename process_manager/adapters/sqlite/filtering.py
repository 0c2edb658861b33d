"""A filter of the port as a Python function over records, and as SQL over rows."""

# ruff: noqa: S608  the SQL is put together from our own text; values are parameters

import json
from collections.abc import Callable, Sequence

from process_manager.core.records import Record
from process_manager.ports import EVERYTHING, Filter

Pick = Callable[[Sequence[Record]], list[Record]]

REMEMBERED_TYPES = 10_000


class _ByType(dict[str, bool]):
    """Whether a type matches whatever its stream; computed once for each type."""

    def __init__(self, where: Filter) -> None:
        super().__init__()
        self._where = where

    def __missing__(self, type_: str) -> bool:
        if len(self) >= REMEMBERED_TYPES:
            self.clear()
        found = self[type_] = self._where.matches(type_, "")
        return found


def picker(where: Filter) -> Pick:
    """A function that returns the matching ones of some records, at the price of one dict lookup each."""
    by_type, prefixes = _ByType(where), where.stream_prefixes
    if prefixes:
        return lambda records: [it for it in records if by_type[it.type] or it.stream.startswith(prefixes)]
    return lambda records: [it for it in records if by_type[it.type]]


def condition(where: Filter) -> tuple[str, tuple[object, ...]]:
    """The same as SQL over `messages m JOIN streams s`, and its parameters."""
    if where == EVERYTHING:
        return "m.type NOT IN (SELECT id FROM types WHERE name >= '$' AND name < '%')", ()  # % comes right after $
    type_sql, type_values = _prefixed(where.type_prefixes)
    stream_sql, stream_values = _prefixed(where.stream_prefixes)
    names = json.dumps(sorted(where.types))
    sql = f"""(m.type IN (SELECT id FROM types WHERE name IN (SELECT value FROM json_each(?)) OR {type_sql})
        OR {stream_sql.replace("name", "s.name")})"""
    return sql, (names, *type_values, *stream_values)


def _prefixed(prefixes: Sequence[str]) -> tuple[str, list[object]]:
    """Byte ranges, which an index can answer; 0xFF is above every byte of UTF-8."""
    sql = " OR ".join(["(name >= ? AND name < CAST(? AS TEXT))"] * len(prefixes)) or "FALSE"
    return sql, [bound for prefix in prefixes for bound in (prefix, prefix.encode() + b"\xff")]
