"""Days and times as people write them for options."""

from datetime import UTC, date, datetime, timedelta, tzinfo

import click


def moment(text: str, zone: tzinfo = UTC, *, end: bool = False) -> datetime:
    """A day or a time in ISO 8601, in `zone` unless it names its own; with `end`, the first moment that no longer belongs to it.

    Raises click.BadParameter.
    """
    try:
        time = datetime.fromisoformat(text)
        if end:
            time += timedelta(days=1) if _is_day(text) else timedelta(microseconds=1)
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is no time: write 2026-01-31 or 2026-01-31T18:00:00+01:00") from error
    except OverflowError as error:
        raise click.BadParameter(f"{text} is the end of the calendar: leave it out") from error
    return time if time.tzinfo else time.replace(tzinfo=zone)


def _is_day(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def read_time(_ctx: click.Context, _param: click.Parameter, value: str | None) -> datetime | None:
    """A callback for an option that holds a day, from its start on, or a time; without a zone it is in UTC."""
    return None if value is None else moment(value)


def read_end(_ctx: click.Context, _param: click.Parameter, value: str | None) -> datetime | None:
    """The same for the end of a span, a whole day included: the first moment after it."""
    return None if value is None else moment(value, end=True)
