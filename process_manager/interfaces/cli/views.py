"""Options and openings that the commands of the read side share."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

from process_manager.interfaces.cli.errors import NOT_FOUND, CliError, say

if TYPE_CHECKING:
    from process_manager.interfaces.cli.output import Row
    from process_manager.ports import EventStore
    from projections.projection import Projection
    from projections.views import Views

F = TypeVar("F", bound=Callable[..., Any])

FRESH = 1_000
"""Records that a view may be behind the log for `pm list` to read it."""

PATIENCE = 30.0
"""Seconds that --wait waits."""


def views_option(function: F) -> F:
    """`--views URL`."""
    return click.option(
        "--views", "views_url", metavar="URL", envvar="PM_VIEWS", show_envvar=True,
        help="The database for the views, as SQLAlchemy writes it. Default: sqlite:///shop.views.db beside a store shop.db.",
    )(function)  # fmt: skip


def wait_option(function: F) -> F:
    """`--wait`."""
    return click.option(
        "--wait", is_flag=True, help=f"First wait for the views to include all that is in the log now, at most {PATIENCE:g} seconds."
    )(function)


@contextmanager
def opened_views(store_url: str, views_url: str | None, *, create: bool = False) -> "Iterator[Views]":
    """The views of a store; unless they may be created, a file must be there."""
    from process_manager.interfaces.views import open_views

    views = open_views(store_url, views_url)
    if views is None:
        raise CliError("this store has no file beside which its views could be: name a database with --views")
    try:
        if not create and views.path is not None and not views.path.exists():
            raise CliError(f"there are no views {views.path}: pm projections run --until-idle builds them", NOT_FOUND)
        yield views
    finally:
        views.close()


def ready(store: "EventStore", views: "Views", needed: "Sequence[Projection]", *, wait: bool) -> None:
    """See that projections can be read, and say how far they are behind. Raises ProjectionError."""
    from projections.runner import check
    from projections.waiting import COUNTED, lag
    from projections.waiting import wait as wait_for

    if wait:
        wait_for(store, views, needed, PATIENCE)
    places = check(store, views, needed)
    position = min(places[each.name].position for each in needed)
    behind = max(lag(store, each, places[each.name].position) for each in needed)
    if behind:
        count = f"more than {COUNTED:,}" if behind == COUNTED else f"{behind:,}"
        say(f"the views are at position {position:,}, {count} records behind the log: pm projections run")


def listed(
    store: "EventStore", store_url: str, views_url: str | None, process: str, status: str, limit: int | None, *, wait: bool
) -> "tuple[list[Row], int] | None":
    """The instances as the views have them, at most `limit`, and how many there are; None where the views cannot tell."""
    from process_manager.interfaces.views import default_path

    path = default_path(store_url)
    if not (wait or views_url) and (path is None or not path.exists()):
        return None
    from projections.reports.instances import count, instances
    from projections.reports.scope import Scope
    from projections.shipped.instances import Instances

    scope = Scope(process=process, status=status)
    with opened_views(store_url, views_url) as views:
        if not (wait or _fresh(store, views)):
            return None
        ready(store, views, [Instances()], wait=wait)
        with views.read() as connection:
            rows = instances(connection, scope, limit)
            total = count(connection, scope) if limit == len(rows) else len(rows)
    return [row._asdict() for row in rows], total


def _fresh(store: "EventStore", views: "Views") -> bool:
    from projections.follower import first_id
    from projections.runner import trouble
    from projections.shipped.instances import Instances

    place = views.places().get(Instances.name)
    if place is None or trouble(Instances(), place, first_id(store)):
        return False
    missing = store.read_all(after=place.position, where=Instances().where, limit=FRESH + 1)
    return sum(1 for _ in missing) <= FRESH
