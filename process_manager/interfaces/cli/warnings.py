"""Warnings on stderr about events that are probably a mistake."""

from collections import Counter
from typing import TYPE_CHECKING

from process_manager.interfaces.cli.errors import say
from process_manager.interfaces.cli.words import counted

if TYPE_CHECKING:
    from process_manager.interfaces.compatibility.unused_events import UnusedEvents

SHOWN = 20
"""How many types are named."""


def warn_of_types(unused: "UnusedEvents") -> None:
    """Warn of events that no process or aggregate of an app handles."""
    for type_, count in unused.types.most_common(SHOWN):
        meant = unused.meant(type_)
        hint = f": did you mean {meant}?" if meant else ""
        say(f"warning: {counted(count, 'event')} of type {type_}, which no process or aggregate of the app takes{hint}")
    if len(unused.types) > SHOWN:
        say(f"warning: {len(unused.types) - SHOWN:,} more types that the app does not take")


def warn_of_streams(streams: Counter[str]) -> None:
    """Warn of events in streams of instances, counted by stream."""
    if streams:
        where = (
            f"in the stream {next(iter(streams))}" if len(streams) == 1 else f"in {len(streams):,} streams such as {next(iter(streams))}"
        )
        say(
            f"warning: {counted(streams.total(), 'event')} {where}, where instances keep what they know: "
            "publish events to streams of your domain, named otherwise than a process"
        )
