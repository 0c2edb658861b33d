"""Median, 90th and 99th percentile of spans of time."""

from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple


class Quantiles(NamedTuple):
    """The quantiles of `size` spans; one that falls between two of them is interpolated."""

    size: int
    median: timedelta
    p90: timedelta
    p99: timedelta
    longest: timedelta


def quantiles(spans: Sequence[int]) -> Quantiles:
    """The quantiles of at least one span, in microseconds."""
    ordered = sorted(spans)
    return Quantiles(len(ordered), *(_at(ordered, share) for share in (0.5, 0.9, 0.99, 1.0)))


def _at(ordered: Sequence[int], share: float) -> timedelta:
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return timedelta(microseconds=round(ordered[low] + (ordered[high] - ordered[low]) * (place - low)))
