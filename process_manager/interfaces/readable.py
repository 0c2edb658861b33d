"""Values of reports as people read them."""

from datetime import timedelta


def share(value: float) -> str:
    """A part of one as a percentage."""
    return f"{value:.1%}"


def span(value: timedelta) -> str:
    """A span of time in its largest unit."""
    for unit, seconds in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if value.total_seconds() >= seconds:
            return f"{value.total_seconds() / seconds:,.1f} {unit}"
    return f"{value.total_seconds():.1f} s"
