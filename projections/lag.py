"""How far projections are behind the log, and waiting until they have caught up: reads that include one's own writes."""

import time
from collections.abc import Sequence

from process_manager.ports import BEFORE_ALL, EventStore
from projections.errors import ProjectionError
from projections.projection import Projection
from projections.views import Views

COUNTED = 10_000
"""A larger lag is not counted any further."""

_PAUSE = 0.02


def lag(store: EventStore, projection: Projection, position: int) -> int:
    """How many records that it reads stand after a position, counted to COUNTED."""
    return sum(1 for _ in store.read_all(after=position, where=projection.where, limit=COUNTED))


def target(store: EventStore, projection: Projection) -> int:
    """The position of the last record now in the log that the projection reads: once it is there, it knows all there is to know."""
    last = next(iter(store.read_all(backwards=True, limit=1, where=projection.where)), None)
    return BEFORE_ALL if last is None else last.position


def wait(store: EventStore, views: Views, projections: Sequence[Projection], timeout: float) -> None:
    """Wait until the projections include everything that is in the log now. Raises ProjectionError after `timeout` seconds."""
    targets = {each.name: target(store, each) for each in projections}
    until = time.monotonic() + timeout
    while behind := _behind(views, targets):
        if time.monotonic() > until:
            raise ProjectionError(f"{', '.join(behind)}: still behind after {timeout:g} s; does pm projections run follow this store?")
        time.sleep(_PAUSE)


def _behind(views: Views, targets: dict[str, int]) -> list[str]:
    places = views.places()
    return [name for name, position in targets.items() if name not in places or places[name].position < position]
