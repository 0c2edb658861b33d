"""What a group is told to do, as clients write it, as it is kept, and as it is shown."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from process_manager.interfaces.devserver.wire import END

FROM_END = -1
_TICKS = 10_000_000  # in a second
_STRATEGY_NUMBERS = ("DispatchToSingle", "RoundRobin", "Pinned")

_COPIED = (
    "resolve_links",
    "extra_statistics",
    "max_retry_count",
    "min_checkpoint_count",
    "max_checkpoint_count",
    "max_subscriber_count",
    "live_buffer_size",
    "read_batch_size",
    "history_buffer_size",
)


@dataclass(frozen=True, slots=True)
class Settings:
    """Times are seconds. `start` is a revision or a position on the wire, inclusive, or FROM_END."""

    start: int
    resolve_links: bool = False
    extra_statistics: bool = False
    max_retry_count: int = 10
    min_checkpoint_count: int = 10
    max_checkpoint_count: int = 1000
    max_subscriber_count: int = 0  # 0: any number
    live_buffer_size: int = 500
    read_batch_size: int = 20
    history_buffer_size: int = 500
    message_timeout: float = 30.0
    checkpoint_after: float = 2.0
    strategy: str = "RoundRobin"

    @classmethod
    def from_wire(cls, settings: Any, start: int) -> Self:
        """Of a group that is created or updated: only creating can name a strategy by text."""
        text = getattr(settings, "consumer_strategy", "")
        return cls(
            start=start,
            message_timeout=_seconds(settings, "message_timeout"),
            checkpoint_after=_seconds(settings, "checkpoint_after"),
            strategy=text or _STRATEGY_NUMBERS[settings.named_consumer_strategy],
            **{name: getattr(settings, name) for name in _COPIED},
        )

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        return cls(**stored)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def _seconds(settings: Any, name: str) -> float:
    """Milliseconds, or ticks of 100 ns as older clients write them."""
    if settings.WhichOneof(name) == f"{name}_ticks":
        return float(getattr(settings, f"{name}_ticks") / _TICKS)
    return float(getattr(settings, f"{name}_ms") / 1000)


def start_of_stream(option: Any) -> int:
    """From where on a group on a stream delivers."""
    match option.WhichOneof("revision_option"):
        case "revision":
            return FROM_END if option.revision == END else int(option.revision)
        case "end":
            return FROM_END
        case _:
            return 0


def start_of_all(option: Any) -> int:
    """From where on a group on $all delivers."""
    match option.WhichOneof("all_option"):
        case "position":
            return FROM_END if option.position.commit_position == END else int(option.position.commit_position)
        case "end":
            return FROM_END
        case _:
            return 0
