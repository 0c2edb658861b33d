"""The tables as they would have stood at an earlier time."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager

from process_manager.ports import BEFORE_ALL, EventStore
from projections import views as database
from projections.follower import Follower
from projections.projection import Projection
from projections.runner import BATCH
from projections.views import BESIDE, Views


@contextmanager
def as_of(store: EventStore, before: int, projections: Sequence[Projection], *, batch: int = BATCH) -> Iterator[Views]:
    """Build projections from the messages that are timed before a time (microseconds since 1970), in a database that is then thrown away.

    It reads the whole log, since a record may tell late of an early time; and it holds for every projection, because it runs the same code.
    """
    with tempfile.TemporaryDirectory(prefix="as-of-") as folder, closing(Views(f"sqlite:///{folder}/views.db")) as views:
        with views.begin() as connection:
            for each in projections:
                database.create(connection, each, BESIDE, BEFORE_ALL)
        with closing(Follower(store, views, projections, BEFORE_ALL, prefix=BESIDE, before=before)) as follower:
            while follower.step(batch):
                pass
        with views.begin() as connection:
            for each in projections:
                database.swap(connection, each)
        yield views
