"""Values as people read them."""

from datetime import timedelta

import pytest

from process_manager.core.readable import span

SPANS = [
    (0, "0 s"), (0.0124, "0.012 s"), (1.25, "1.2 s"), (10, "10 s"), (90, "1.5 min"), (7200, "2 h"), (5_184_000, "60 d"),
    (198.042 * 86_400, "198 d"), (86_400_000, "1,000 d"), (-90, "-1.5 min"),
]  # fmt: skip


@pytest.mark.parametrize(("seconds", "text"), SPANS)
def test_spans_are_written_in_their_largest_unit(seconds: float, text: str) -> None:
    assert span(timedelta(seconds=seconds)) == text
