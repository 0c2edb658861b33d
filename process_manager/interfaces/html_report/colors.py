"""Names of the colours that the style of the page defines."""

_STATUSES = frozenset({"completed", "compensated", "compensating", "aborted", "cancelled", "suspended", "compensation_failed"})


def color(status: str, other: str = "bar") -> str:
    """The colour of a status; `other` for what is none, or has none."""
    return status if status in _STATUSES else other
