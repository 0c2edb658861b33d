"""`pm publish`."""

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import chain, islice
from typing import TYPE_CHECKING

import click

from process_manager.interfaces import bootstrap
from process_manager.interfaces.cli.errors import ERROR, OK, say
from process_manager.interfaces.cli.events import Events, opened
from process_manager.interfaces.cli.options import command, store_option
from process_manager.interfaces.cli.progress import Progress
from process_manager.interfaces.cli.warnings import warn_of_streams, warn_of_types
from process_manager.interfaces.cli.words import counted
from process_manager.interfaces.loading import load_app

if TYPE_CHECKING:
    from process_manager.interfaces.compatibility.unused_events import UnusedEvents
    from process_manager.interfaces.publishing.event_lines import Addressed
    from process_manager.interfaces.publishing.publisher import Publisher


@command("publish", example="pm publish events.jsonl --store sqlite:///shop.db\ncat events.jsonl | pm publish - --app shop.orders:app")
@click.argument("file", type=click.Path(allow_dash=True))
@click.option(
    "--app", "app_name", metavar="MODULE:ATTR", envvar="PM_APP", default="", show_envvar=True,
    help="The app that the events are for: refuse its commands and data that its events do not take, warn of types that it does not "
    "know, and of streams that are its instances'.",
)  # fmt: skip
@store_option
def publish_command(file: str, app_name: str, url: str) -> int:
    """Publish the events of FILE (- for standard input), one JSON object a line.

    A line has id, type, stream and data, optionally time and metadata, and nothing else. An id that is no UUID becomes a UUID that is
    derived from it. Events that their stream holds already, by their ids, are left out, so publishing twice changes nothing. A bad line
    is reported with its number, the good ones are published, and the exit code is 1; a file that begins with 20 bad lines is given up.

    A line with specversion is a CloudEvent. Its id becomes uuid5(source, id). It goes to the stream named by its attribute stream,
    else to <last part of source>-<subject>. Its other attributes go into the metadata as ce-<name>.
    """
    from process_manager.interfaces.compatibility.unused_events import UnusedEvents
    from process_manager.interfaces.publishing.publisher import batches

    app = load_app(app_name) if app_name else None
    unused = UnusedEvents(app) if app else None
    progress = Progress()
    with opened(file) as source:
        events = Events(source, progress, app.messages if app else {})
        found = batches(_looked_at(events.read(), unused))
        first = list(islice(found, 1))
        spoilt = events.bad and not first  # then it leaves no store behind
        publisher = None if spoilt else _published(chain(first, found), events, url, progress)
    say(events.count(publisher))
    misplaced = publisher.misplaced if publisher else Counter[str]()
    if unused:
        warn_of_types(unused)
        misplaced |= unused.streams
    warn_of_streams(misplaced)
    return ERROR if events.bad else OK


def _published(found: "Iterable[list[Addressed]]", events: Events, url: str, progress: Progress) -> "Publisher":
    from process_manager.interfaces.publishing.publisher import Publisher

    with closing(bootstrap.open_store(url)) as store:
        bootstrap.refuse_imported(store, url)
        publisher = Publisher(store)
        try:
            for batch in found:
                publisher.publish(batch)
                progress.show(f"{counted(events.line, 'line')}, {counted(publisher.published, 'event')} published")
        finally:
            progress.clear()
    return publisher


def _looked_at(events: "Iterator[tuple[int, Addressed]]", unused: "UnusedEvents | None") -> "Iterator[Addressed]":
    for _, event in events:
        if unused:
            unused.look(event.record.type, event.stream)
        yield event
