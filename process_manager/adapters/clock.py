"""The three clocks: what time it is when a message is decided."""

from datetime import UTC, datetime, timedelta


class RealClock:
    """The time on the wall."""

    def now(self, message_time: datetime) -> datetime:  # noqa: ARG002  the port's signature
        return datetime.now(UTC)


class ManualClock:
    """Stands still until it is moved: for tests."""

    def __init__(self, start: datetime = datetime(2020, 1, 1, tzinfo=UTC)) -> None:
        self._now = _aware(start)

    def now(self, message_time: datetime) -> datetime:  # noqa: ARG002  the port's signature
        return self._now

    def set(self, when: datetime) -> None:
        """Move to a time; backwards is allowed, as clocks on walls do it too."""
        self._now = _aware(when)

    def advance(self, by: timedelta) -> None:
        """Move on by a span of time."""
        self._now += by


class DrivenClock:
    """Time moves only by messages in the log: years of history run in minutes, and twice the same way."""

    def now(self, message_time: datetime) -> datetime:
        return message_time


def _aware(when: datetime) -> datetime:
    if when.tzinfo is None:
        raise ValueError(f"{when} says no time zone: give it one, such as datetime.UTC")
    return when.astimezone(UTC)
