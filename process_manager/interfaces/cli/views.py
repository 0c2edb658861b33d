"""What the commands of the read side share: options, opening the views, waiting for them."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

from process_manager.interfaces.cli.errors import NOT_FOUND, CliError, say
from process_manager.interfaces.cli.words import counted

if TYPE_CHECKING:
    from process_manager.ports import EventStore
    from projections.projection import Projection
    from projections.views import Views

F = TypeVar("F", bound=Callable[..., Any])

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
    from process_manager.interfaces.reading.views import open_views

    views = open_views(store_url, views_url)
    if views is None:
        raise CliError("this store has no file beside which its views could be: name a database with --views")
    try:
        if not create and views.path is not None and not views.path.exists():
            raise CliError(f"there are no views {views.path}: pm projections run --until-idle builds them", NOT_FOUND)
        yield views
    finally:
        views.close()


def ready(store: "EventStore", views: "Views", needed: "Sequence[Projection]", *, wait: bool) -> str:
    """Check that projections can be read. Returns how many records they are behind, in words, or "". Raises ProjectionError."""
    from projections.lag import COUNTED, lag, wait as wait_for
    from projections.runner import check

    if wait:
        wait_for(store, views, needed, PATIENCE)
    places = check(store, views, needed)
    position = min(places[each.name].position for each in needed)
    behind = max(lag(store, each, places[each.name].position) for each in needed)
    if not behind:
        return ""
    count = f"{'more than ' if behind == COUNTED else ''}{counted(behind, 'record')}"
    say(f"the views are at position {position:,}, {count} behind the log: pm projections run")
    return count
