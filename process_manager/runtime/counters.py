"""What a worker has done, for its progress line and its summary."""

from dataclasses import dataclass, fields


@dataclass(slots=True)
class Counters:
    """Counts since the worker started."""

    turns: int = 0
    commands: int = 0  # issued
    handled: int = 0  # commands taken by handlers
    duplicates: int = 0
    conflicts: int = 0
    ignored: int = 0
    waiting: int = 0
    suspended: int = 0
    parked: int = 0
    left: int = 0  # to a newer version
    deadlines: int = 0  # fired

    def as_dict(self) -> dict[str, int]:
        return {each.name: getattr(self, each.name) for each in fields(self)}
