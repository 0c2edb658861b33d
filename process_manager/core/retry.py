"""How often a step is tried, and how long to wait between two attempts."""

from dataclasses import dataclass
from datetime import timedelta

from process_manager.errors import DefinitionError


@dataclass(frozen=True, slots=True)
class Retry:
    """`attempts` in all, each a new command, when the step is overdue or its handler has given up; with `refusals` also when it failed.

    The first wait is `wait`, each further one `factor` times as long, none longer than `longest`.
    An attempt after overdue carries the first attempt's operation id; an attempt after a refusal is a new operation.
    """

    attempts: int = 1
    wait: timedelta = timedelta(0)
    factor: float = 2.0
    longest: timedelta = timedelta(hours=1)
    refusals: bool = False

    def __post_init__(self) -> None:
        for name in ("wait", "longest"):
            if not isinstance(given := getattr(self, name), timedelta):
                raise DefinitionError("Retry", name, f"{given!r} is no length of time", f"write {name}=seconds(20)")
        if self.attempts < 1 or self.wait < timedelta(0) or self.factor < 1:
            raise DefinitionError("Retry", "", f"{self} makes no sense", "give at least 1 attempt, no negative wait, a factor of 1 or more")

    def delay(self, attempt: int) -> timedelta:
        """The wait between this attempt (counted from 1) and the next."""
        if not self.wait:
            return self.wait
        try:
            seconds = self.wait.total_seconds() * self.factor ** (attempt - 1)
        except OverflowError:
            return self.longest
        return min(timedelta(seconds=min(seconds, self.longest.total_seconds())), self.longest)


ONCE = Retry()
UNDO = Retry(5, wait=timedelta(seconds=10))
"""For undo steps that say nothing else: giving up leaves something done that should not be."""
