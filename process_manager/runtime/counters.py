"""What a worker has done, for its progress line, its summary and its metrics."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from itertools import accumulate
from math import inf

from process_manager.core import facts
from process_manager.core.facts import Fact

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, inf)
"""Upper bounds of the latencies that are counted together, in seconds."""


@dataclass(slots=True)
class Latency:
    """A histogram of durations in seconds."""

    total: float = 0.0
    counts: list[int] = field(default_factory=lambda: [0] * len(BOUNDS))

    def observe(self, seconds: float) -> None:
        """Count one; a clock that stands behind another's gives 0."""
        seconds = max(seconds, 0.0)
        self.total += seconds
        self.counts[next(index for index, bound in enumerate(BOUNDS) if seconds <= bound)] += 1

    def cumulative(self) -> Sequence[tuple[float, int]]:
        """How many took at most so long, for each bound."""
        return list(zip(BOUNDS, accumulate(self.counts), strict=True))


@dataclass(slots=True)
class Counters:
    """Counts since the worker started."""

    turns: int = 0
    commands: int = 0  # issued
    handled: int = 0  # commands that handlers have dealt with
    duplicates: int = 0  # inputs and commands that were dealt with before
    conflicts: int = 0
    ignored: int = 0
    waiting: int = 0
    suspended: int = 0
    parked: int = 0
    left: int = 0  # records, to a newer version
    deadlines: int = 0  # fired
    event_to_command: Latency = field(default_factory=Latency)  # from an input's append to that of the commands it led to

    def add_turn(self, recorded: Sequence[Fact]) -> None:
        """Count the facts of a turn; none at all are those of an input that was ignored where there is no stream."""
        self.turns += bool(recorded)
        self.ignored += not recorded
        for fact in recorded:
            match fact:
                case facts.StepStarted():
                    self.commands += 1
                case facts.InputIgnored():
                    self.ignored += 1
                case facts.InputKept():
                    self.waiting += 1
                case facts.Suspended():
                    self.suspended += 1
                case _:
                    pass

    def as_dict(self) -> dict[str, int]:
        """The counts by name."""
        return {each.name: value for each in fields(self) if isinstance(value := getattr(self, each.name), int)}
