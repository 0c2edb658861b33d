"""Times in tables: whole microseconds since 1970 in UTC, which every database stores, sorts and subtracts alike."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def micros(when: datetime) -> int:
    """An aware time as a number."""
    return (when - EPOCH) // _MICROSECOND


def moment(number: int) -> datetime:
    """A number as a time in UTC."""
    return EPOCH + timedelta(microseconds=number)


@lru_cache(maxsize=4096)  # the records of one turn carry one time
def parse(text: str) -> int:
    """An ISO time with its zone as a number. Raises ValueError, TypeError."""
    return micros(datetime.fromisoformat(text))
