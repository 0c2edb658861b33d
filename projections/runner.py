"""Keeps projections up to date: builds those that are missing or of an older definition, then follows the log."""

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import closing

from process_manager.ports import BEFORE_ALL, EventStore
from projections import views as database
from projections.errors import Overtaken, ProjectionError, ProjectionFailed
from projections.follower import Follower, log_id
from projections.projection import Projection
from projections.views import BESIDE, Place, Views, shape

logger = logging.getLogger(__name__)

BATCH = 20_000
"""Records in one transaction, while there are so many."""

IDLE = 0.5
"""Seconds between two looks at what else is to be done, where the log stands still."""

STANDS_STILL = 10.0
"""Seconds without a batch after which nobody builds any more; twice as many each time, lest two that are slow begin in turn for ever."""

Progress = Callable[[int], None]
"""Is told the position now and then."""


def _silent(_position: int) -> None:
    """The default progress: tell nobody."""


class Runner:
    """Brings projections up to date, and keeps them so.

    Several may run on one database: each batch is written by one of them. A projection that fails stays behind, the others go on.
    """

    def __init__(
        self, store: EventStore, views: Views, projections: Sequence[Projection], *, batch: int = BATCH, progress: Progress = _silent
    ) -> None:
        self._store = store
        self._views = views
        self._projections = list(projections)
        self._failed: list[ProjectionFailed] = []
        self._batch = batch
        self._progress = progress
        self._followers: list[Follower] = []
        self._stands_still = STANDS_STILL

    def run(self, *, until_idle: bool = False) -> None:
        """Build what is missing or outdated, then follow the log for ever, or to its end.

        It may be interrupted or killed at any moment. Raises ProjectionError; ProjectionFailed only when the others are through.
        """
        self.build_outdated()
        while self._projections and (self.step(0.0 if until_idle else IDLE) or not until_idle):
            pass
        self._raise_failed()

    def step(self, timeout: float = 0.0) -> bool:
        """Move on by one batch; False when every projection is at the end of the log."""
        try:
            return self._step(timeout)
        except Overtaken:
            self.close()
        except ProjectionFailed as error:
            self._leave_behind(error)
        return bool(self._projections)

    def _step(self, timeout: float) -> bool:
        if not self._followers:
            self._followers = self._at_their_places()
        first, *others = self._followers
        if not others:
            moved = first.step(self._batch, timeout) > 0
        else:
            moved = True
            first.step(self._batch, 0.0, until=others[0].position)
            if first.position == others[0].position:
                self.close()
        self._progress(first.position)
        return moved

    def close(self) -> None:
        """Let go of the subscriptions; the next step begins where the projections are."""
        for each in self._followers:
            each.close()
        self._followers = []

    def _at_their_places(self) -> list[Follower]:
        """One follower for each position, the one furthest behind first."""
        found = check(self._store, self._views, self._projections)
        by_position: dict[int, list[Projection]] = {}
        for each in self._projections:
            by_position.setdefault(found[each.name].position, []).append(each)
        return [Follower(self._store, self._views, each, position) for position, each in sorted(by_position.items())]

    def build_outdated(self) -> None:
        """Build those that have no tables yet, or tables that an older definition made. What newer code has made stays.

        Of several processes that build the same, the one that began last does; the others wait for it.
        """
        while outdated := self._outdated():
            self._built_or_waited(outdated)

    def _outdated(self) -> list[Projection]:
        places = self._views.places()
        outdated = [each for each in self._projections if _outdated(each, places.get(each.name))]
        for each in outdated:
            if place := places.get(each.name):
                logger.warning("the projection %s %s", each.name, _older(each, place) + ": it is built anew")
        return outdated

    def _wait_while_built(self, projections: Sequence[Projection]) -> None:
        """Until their tables beside the live ones are gone, or stand still because that process has ended."""
        names = {BESIDE + each.name for each in projections}
        seen, until = list[Place](), 0.0
        while beside := [place for name, place in self._views.places().items() if name in names]:
            if beside != seen:
                seen, until = beside, time.monotonic() + self._stands_still
            elif time.monotonic() >= until:
                self._stands_still *= 2
                return
            time.sleep(IDLE)

    def rebuild(self, projections: Sequence[Projection]) -> None:
        """Build tables beside the live ones from the whole log, then put them in their place in one transaction.

        Where another process begins to build them later, it is waited for first.
        Raises ProjectionFailed for one that cannot be built, when the others are.
        """
        while not self._built_or_waited(projections):
            pass
        self._raise_failed()

    def _built_or_waited(self, projections: Sequence[Projection]) -> bool:
        """Whether they were built here; if not, another process has built them, or has ended before it was through."""
        try:
            self._build(projections)
        except Overtaken:
            logger.warning("another process builds %s: waiting for it", ", ".join(each.name for each in projections))
            self._wait_while_built(projections)
            return False
        return True

    def _build(self, projections: Sequence[Projection]) -> None:
        self.close()
        with self._views.begin_alone() as connection:
            for each in projections:
                database.create(connection, each, BESIDE, BEFORE_ALL)
        left, position = list(projections), BEFORE_ALL
        while left:
            with closing(Follower(self._store, self._views, left, position, prefix=BESIDE)) as follower:
                try:
                    self._fill(follower)
                except ProjectionFailed as error:
                    position = follower.position
                    self._give_up([each for each in left if each.name == error.name])
                    left = [each for each in left if each.name != error.name]
                    self._leave_behind(error)
                else:
                    break

    def _fill(self, follower: Follower) -> None:
        while follower.step(self._batch):
            self._progress(follower.position)
        while not self._swapped(follower):
            follower.step(self._batch, 0.1)

    def _give_up(self, projections: Sequence[Projection]) -> None:
        """Drop the new tables of projections that cannot be built."""
        with self._views.begin_alone() as connection:
            for each in projections:
                database.discard(connection, each, BESIDE)

    @property
    def projections(self) -> Sequence[Projection]:
        """The projections that have not failed."""
        return self._projections

    def _leave_behind(self, error: ProjectionFailed) -> None:
        self.close()
        logger.error("the projection %s stays behind: %s", error.name, error)
        self._failed.append(error)
        self._projections = [each for each in self._projections if each.name != error.name]

    def _raise_failed(self) -> None:
        if self._failed:
            first, *others = self._failed
            for each in others:
                first.add_note(str(each))
            raise first

    def _swapped(self, follower: Follower) -> bool:
        """Take the place of the live tables, unless these have moved further on in the meantime.

        Those that are beyond the log's end were made before it was put back to an earlier one.
        """
        log, last = log_id(self._store), self._store.last_position()
        with self._views.begin_alone() as connection:
            follower.lock(connection)
            database.hold(connection, follower.projections)
            live = database.places(connection)
            for each in follower.projections:
                place = live.get(each.name)
                if place is not None and (place.log, place.version) == (log, each.version) and follower.position < place.position <= last:
                    return False
            for each in follower.projections:
                database.swap(connection, each)
        return True


def check(store: EventStore, views: Views, projections: Sequence[Projection]) -> dict[str, Place]:
    """Where the projections are. Raises ProjectionError for one that is missing, of another version, or made from another log."""
    places, log = views.places(), log_id(store)
    for each in projections:
        problem = trouble(each, places.get(each.name), log)
        if problem:
            raise ProjectionError(f"the projection {each.name} {problem}")
    return places


def trouble(projection: Projection, place: Place | None, log: str) -> str:
    """Why the tables of a projection cannot be used, and what to do; empty if they can."""
    if place is None:
        return "has no tables yet: pm projections run builds them"
    if _outdated(projection, place):
        return f"{_older(projection, place)}: pm projections run builds it anew"
    if place.version != projection.version:
        return f"is at version {place.version}, the code at {projection.version}: pm projections rebuild {projection.name}"
    if place.log not in {"", log}:
        return f"was made from another log, or from this one through a server: other --views, or pm projections rebuild {projection.name}"
    return ""


def _outdated(projection: Projection, place: Place | None) -> bool:
    """Whether the tables are missing, or made by a definition before this one."""
    if place is None or place.version != projection.version:
        return place is None or place.version < projection.version
    return place.shape != shape(projection)


def _older(projection: Projection, place: Place) -> str:
    if place.version != projection.version:
        return f"is at version {place.version}, the code at {projection.version}"
    return f"has tables of another definition of version {place.version}"
