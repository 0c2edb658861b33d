"""What a soak counts."""

from dataclasses import dataclass


@dataclass
class Figures:
    """What was done, and what came of it."""

    orders: int = 0
    rounds: int = 0
    workers_killed: int = 0
    restarts: int = 0
    server_killed: int = 0
    connections_cut: int = 0
    stalls: int = 0
    disk_filled: int = 0
    clock_set_back: int = 0
    duplicates_offered: int = 0
    conflicts: int = 0
    lost: int = 0
    doubled: int = 0
    otherwise: int = 0
    seconds: float = 0.0

    @property
    def bad(self) -> int:
        return self.lost + self.doubled + self.otherwise
