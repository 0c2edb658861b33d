"""How long to wait before trying again."""

import random
import time

LONGEST = 2.0
"""Seconds."""


class Backoff:
    """Pauses that double, with some randomness so that many clients do not come back as one, for `patience` seconds in all."""

    def __init__(self, patience: float = float("inf")) -> None:
        self._until = time.monotonic() + patience
        self._pause = 0.05

    def next(self) -> float | None:
        """Seconds to wait now; None when the patience is at its end."""
        left = self._until - time.monotonic()
        if left <= 0:
            return None
        pause = min(self._pause * random.uniform(0.75, 1.25), left)  # noqa: S311  no secret
        self._pause = min(self._pause * 2, LONGEST)
        return pause

    def again(self) -> bool:
        """Wait. Returns whether to try again."""
        pause = self.next()
        if pause is not None:
            time.sleep(pause)
        return pause is not None
