"""`pm check` and `pm diagram`."""

from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import click

from process_manager.interfaces.cli import output
from process_manager.interfaces.cli.errors import DIFFERS, NOT_FOUND, OK, CliError, say
from process_manager.interfaces.cli.options import DEFAULT_STORE, app_option, check_url, command, existing_log, format_option, no_instance
from process_manager.interfaces.cli.warnings import warn_of_streams, warn_of_types
from process_manager.interfaces.cli.words import counted
from process_manager.interfaces.loading import load_app

if TYPE_CHECKING:
    from process_manager.core.definition import Definition
    from process_manager.core.records import Record
    from process_manager.runtime.app import App


@command("check", example="pm check --app shop.orders:app\npm check --app shop.orders:app --store sqlite:///shop.db -o ids")
@app_option
@click.option("--store", "url", callback=check_url, metavar="URL", help="Check that the instances in this store can go on with the app.")
@format_option("table", "json", "jsonl", "csv", "ids")
def check_command(app_name: str, url: str | None, format_: str) -> int:
    """Check an app: say what it holds, or everything that is wrong with it (exit code 1).

    With --store, before a deploy: list what instances there still need and the app no longer has, such as a step that is outstanding, a
    deadline that is set, a join that is decided. The exit code is 5 when there is any, and 3 when `pm run` would refuse the app because
    another one handles its commands. The whole log is read: types of events that the app does not take are named too, and events that
    stand in streams of instances.
    """
    app = load_app(app_name)
    return _check_instances(app, url, format_) if url else _check_app(app, app_name, format_)


def _check_instances(app: "App", url: str, format_: str) -> int:
    from process_manager.interfaces.compatibility.misfits import COLUMNS, InstanceCheck
    from process_manager.interfaces.compatibility.unused_events import unused_events
    from process_manager.runtime.owners import check_owner

    with existing_log(url) as store:
        check = InstanceCheck(store, app.definitions)
        rows = list(check.rows())
        if format_ == "ids":
            rows = [next(each) for _, each in groupby(rows, itemgetter("instance"))]
        if rows or format_ != "table":
            output.write_rows(rows, COLUMNS, format_, "instance")
        unused = unused_events(store, app)
        warn_of_types(unused)
        warn_of_streams(unused.streams)
        check_owner(store, app.name, app.handled_commands)
    if not check.misfits:
        say(_all_fit(check.instances))
        return OK
    need = "needs" if check.misfits == 1 else "need"
    say(f"{check.misfits:,} of {counted(check.instances, 'instance')} {need} what the app no longer has: keep it until they have ended")
    return DIFFERS


def _all_fit(instances: int) -> str:
    if not instances:
        return "there is no instance of the app's processes in this store"
    return f"{'the' if instances == 1 else 'all'} {counted(instances, 'instance')} can go on with the app"


def _check_app(app: "App", app_name: str, format_: str) -> int:
    rows = [_row(definition, app) for definition in app.definitions.values()]
    columns = ("process", "version", "steps", "starts", "events", "commands_without_handler")
    output.write_rows(rows, columns, format_, "process")
    say(f"{app_name} is in order: {counted(len(rows), 'process', 'processes')}, {counted(len(app.handlers), 'handler')}")
    return OK


def _row(definition: "Definition", app: "App") -> dict[str, Any]:
    commands = [step.command.message_type for step in definition.steps.values()]
    return {
        "process": definition.name,
        "version": definition.version,
        "steps": _listed(definition.steps),
        "starts": _listed(type_ for type_, handled in definition.handled.items() if handled.starts is not None),
        "events": len(definition.handled),
        "commands_without_handler": _listed(each for each in commands if each not in app.handled_commands),
    }


def _listed(names: Any) -> str:
    return " ".join(sorted(names))


@command("diagram", example="pm diagram --app shop.orders:app > orders.mmd\npm diagram --app shop.orders:app --format dot | dot -Tsvg")
@app_option
@click.option("--process", default="", metavar="NAME", help="Which process; needed where the app has several.")
@click.option("--format", "language", type=click.Choice(["mermaid", "dot"]), default="mermaid", show_default=True)
@click.option("--instance", "key", default="", metavar="KEY", help="Mark the path that this instance took; its events are in --store.")
@click.option("--store", "url", callback=check_url, metavar="URL", envvar="PM_STORE", default=DEFAULT_STORE, show_default=True)
def diagram_command(app_name: str, process: str, language: str, key: str, url: str) -> None:
    """Draw a process: its steps, branches, deadlines and compensation."""
    from process_manager.core.diagram import dot, mermaid

    definition = _chosen(load_app(app_name), process)
    taken = _records(definition.name, key, url) if key else ()
    draw = mermaid if language == "mermaid" else dot
    click.echo(draw(definition, taken).rstrip("\n"))


def _chosen(app: "App", process: str) -> "Definition":
    names = ", ".join(app.definitions) or "none"
    if process and process not in app.definitions:
        raise CliError(f"there is no process {process!r}: the app has {names}", NOT_FOUND)
    if not process and len(app.definitions) != 1:
        raise click.UsageError(f"say which process with --process: {names}")
    return app.definitions[process] if process else next(iter(app.definitions.values()))


def _records(process: str, key: str, url: str) -> "list[Record]":
    from process_manager.errors import StreamNotFound

    stream = key if key.startswith(f"{process}-") else f"{process}-{key}"
    with existing_log(url) as store:
        try:
            return list(store.read_stream(stream))
        except StreamNotFound as error:
            raise no_instance(stream) from error
