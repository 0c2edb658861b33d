"""`pm projections`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from process_manager.interfaces.cli import output
from process_manager.interfaces.cli.errors import NOT_FOUND, CliError, say
from process_manager.interfaces.cli.options import command, existing_log, format_option, group, store_option
from process_manager.interfaces.cli.views import opened_views, ready, views_option, wait_option
from process_manager.interfaces.cli.words import counted, there

if TYPE_CHECKING:
    from process_manager.ports import EventStore
    from projections.projection import Projection
    from projections.views import Views

_LISTED = ("name", "version", "tables", "reads", "what")
_STATUS = ("name", "version", "position", "lag", "state")

own_option = click.option(
    "--projections", "own", metavar="MODULE:ATTR", envvar="PM_PROJECTIONS", show_envvar=True,
    help="Projections of your own beside the shipped ones: one, or a list.",
)  # fmt: skip


@group("projections", example="pm projections run --store sqlite:///shop.db\npm projections status")
def projections_command() -> None:
    """Keep the views: tables that projections make of the log, for reports and lists."""


@command("list", of=projections_command, example="pm projections list\npm projections list --projections shop.views:projections -o json")
@own_option
@format_option(*output.FORMATS)
def list_projections(own: str | None, format_: str) -> None:
    """List the projections: what they read and which tables they write."""
    from process_manager.interfaces.loading import load_projections

    rows = [
        {
            "name": each.name, "version": each.version, "tables": [table.name for table in each.tables], "reads": sorted(each.methods),
            "what": (each.__doc__ or "").partition("\n")[0],
        }
        for each in load_projections(own)
    ]  # fmt: skip
    output.write_rows(rows, _LISTED, format_, "name", hidden=("reads",))


@command("status", of=projections_command, example="pm projections status\npm projections status --wait -o json")
@own_option
@wait_option
@views_option
@store_option
@format_option(*output.FORMATS)
def status(own: str | None, views_url: str | None, url: str, format_: str, *, wait: bool) -> None:
    """Tell how far each projection is in the log, and how many records it has still to read (counted to 10,000)."""
    from process_manager.interfaces.loading import load_projections

    projections = load_projections(own)
    with existing_log(url) as store, opened_views(url, views_url) as views:
        if wait:
            ready(store, views, projections, wait=True)
        output.write_rows([_status(store, views, each) for each in projections], _STATUS, format_, "name")


def _status(store: "EventStore", views: "Views", projection: "Projection") -> dict[str, Any]:
    from projections.follower import log_id
    from projections.lag import lag
    from projections.runner import trouble

    place = views.places().get(projection.name)
    problem = trouble(projection, place, log_id(store))
    behind = None if place is None or problem else lag(store, projection, place.position)
    return {
        "name": projection.name, "version": place and place.version, "position": place and place.position, "lag": behind,
        "state": problem or ("behind" if behind else "current"),
    }  # fmt: skip


@command("rebuild", of=projections_command, example="pm projections rebuild decisions steps\npm projections rebuild --all")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--all", "everything", is_flag=True, help="Every projection.")
@own_option
@views_option
@store_option
def rebuild(names: tuple[str, ...], own: str | None, views_url: str | None, url: str, *, everything: bool) -> None:
    """Build tables anew from the whole log. Who reads sees the old ones until the new ones take their place, all at once."""
    if bool(names) == everything:
        raise click.UsageError("name the projections to rebuild, or say --all")
    from process_manager.interfaces.loading import load_projections

    known = {each.name: each for each in load_projections(own)}
    if missing := [name for name in names if name not in known]:
        raise CliError(f"there is no projection {', '.join(missing)}: {there(known)}", NOT_FOUND)
    chosen = [each for name, each in known.items() if everything or name in names]
    _run(url, views_url, chosen, rebuild=True, until_idle=True)


@command(
    "run",
    of=projections_command,
    example="pm projections run --store sqlite:///shop.db\npm projections run --until-idle --projections shop.views:orders",
)
@click.option("--until-idle", is_flag=True, help="Stop at the end of the log.")
@own_option
@views_option
@store_option
def run(own: str | None, views_url: str | None, url: str, *, until_idle: bool) -> None:
    """Follow the log and keep the views up to date; build those that are missing first.

    It may be stopped or killed at any moment and goes on where it was. Several at once do no harm. A projection that fails stays
    behind until the next run; the others go on, and --until-idle ends with the error.
    """
    from process_manager.interfaces.loading import load_projections

    _run(url, views_url, load_projections(own), rebuild=False, until_idle=until_idle)


def _run(url: str, views_url: str | None, projections: "Any", *, rebuild: bool, until_idle: bool) -> None:
    from process_manager.interfaces.bootstrap import collect_less
    from process_manager.interfaces.cli.progress import Progress
    from projections.errors import ProjectionFailed
    from projections.runner import Runner

    collect_less()
    progress = Progress()
    with existing_log(url) as store, opened_views(url, views_url, create=True) as views:
        last = store.last_position()
        runner = Runner(store, views, projections, progress=lambda position: progress.show(f"at position {position:,} of {last:,}"))
        try:
            if rebuild:
                runner.rebuild(projections)
            else:
                runner.run(until_idle=until_idle)
        except ProjectionFailed:
            _say_where(views, runner.projections)
            raise
        finally:
            progress.clear()
        _say_where(views, projections)


def _say_where(views: "Views", projections: "Sequence[Projection]") -> None:
    if projections:
        places = views.places()
        say(f"{counted(len(projections), 'projection')}, at position {min(places[each.name].position for each in projections):,}")
