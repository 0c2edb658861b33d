"""The server-side filter of $all."""

import re
from collections.abc import Callable
from typing import Any

from process_manager.core.records import Record
from process_manager.interfaces.devserver.log import visible
from process_manager.interfaces.devserver.statuses import invalid

Matches = Callable[[Record], bool]

LONGEST_PATTERN = 16_384
REMEMBERED = 10_000


def _text_matcher(expression: Any) -> Callable[[str], bool]:
    """A pattern is searched for, as .NET's IsMatch does; prefixes are alternatives."""
    if not expression.regex:
        prefixes = tuple(expression.prefix)
        return lambda text: text.startswith(prefixes)
    if len(expression.regex) > LONGEST_PATTERN:
        raise invalid(f"A filter's pattern may have {LONGEST_PATTERN} characters.")
    try:
        pattern = re.compile(expression.regex)
    except re.error as error:
        raise invalid(f"The filter's pattern is not one: {error}") from error
    return lambda text: pattern.search(text) is not None


class _Remembering(dict[str, bool]):
    """Answers of a matcher by text: types and streams repeat, patterns are slow."""

    def __init__(self, matches: Callable[[str], bool]) -> None:
        super().__init__()
        self._matches = matches

    def __missing__(self, text: str) -> bool:
        if len(self) >= REMEMBERED:
            self.clear()
        found = self[text] = self._matches(text)
        return found


def matcher(options: Any) -> Matches:
    """Which records of $all match: options are those of a read or of a new group. Raises Refused for a filter that is none."""
    if options is None:
        return visible
    known = options.WhichOneof("filter")
    if known == "event_type":
        by_type = _Remembering(_text_matcher(options.event_type))
        return lambda record: by_type[record.type] and visible(record)
    if known == "stream_identifier":
        by_stream = _Remembering(_text_matcher(options.stream_identifier))
        return lambda record: by_stream[record.stream] and visible(record)
    raise invalid("A filter needs an event type or a stream identifier.")
