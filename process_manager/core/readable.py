"""Values as people read them."""

from datetime import timedelta

_UNITS = (("d", 86_400, 1), ("h", 3_600, 1), ("min", 60, 1), ("s", 1, 1))
"""A unit, its seconds, and the digits behind the point."""


def share(value: float) -> str:
    """A part of one as a percentage."""
    return f"{value:.1%}"


def span(value: timedelta) -> str:
    """A length of time in its largest unit, rounded: `198 d`, `1.5 min`, `0.012 s`."""
    seconds = value.total_seconds()
    unit, size, digits = next((each for each in _UNITS if abs(seconds) >= each[1]), ("s", 1, 3))
    return f"{f'{seconds / size:,.{digits}f}'.rstrip('0').rstrip('.')} {unit}"
