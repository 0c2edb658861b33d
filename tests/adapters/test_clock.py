"""The three clocks."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from process_manager.adapters.clock import DrivenClock, ManualClock, RealClock
from process_manager.ports import Clock

THEN = datetime(2001, 2, 3, tzinfo=UTC)


def test_the_real_clock_tells_the_time_whatever_the_message_says() -> None:
    clock: Clock = RealClock()
    before = datetime.now(UTC)
    assert before <= clock.now(THEN) <= datetime.now(UTC)


def test_the_manual_clock_moves_when_it_is_moved() -> None:
    clock = ManualClock(THEN)
    clock.advance(timedelta(days=2))
    assert clock.now(datetime.now(UTC)) == datetime(2001, 2, 5, tzinfo=UTC)
    clock.set(datetime(2001, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))))
    assert clock.now(THEN) == datetime(2001, 1, 1, tzinfo=UTC)
    with pytest.raises(ValueError, match="time zone"):
        clock.set(datetime(2001, 1, 1))  # noqa: DTZ001  that is the mistake


def test_the_driven_clock_stands_where_the_message_stands() -> None:
    assert DrivenClock().now(THEN) == THEN
