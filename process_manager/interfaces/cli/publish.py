"""`pm publish`."""

import click

from process_manager.interfaces import bootstrap
from process_manager.interfaces.cli.errors import ERROR, OK, say
from process_manager.interfaces.cli.events import Events, opened
from process_manager.interfaces.cli.options import command, store_option
from process_manager.interfaces.cli.progress import Progress


@command("publish", example="pm publish events.jsonl --store sqlite:///shop.db\ncat events.jsonl | pm publish -")
@click.argument("file", type=click.Path(allow_dash=True))
@store_option
def publish_command(file: str, url: str) -> int:
    """Publish the events of FILE (- for standard input), one JSON object a line.

    A line has id, type, stream and data, optionally time and metadata, and nothing else. An id that is no UUID becomes a UUID that is
    derived from it. Events that their stream holds already, by their ids, are left out, so publishing twice changes nothing. A bad line
    is reported with its number, the good ones are published, and the exit code is 1.

    A line with specversion is a CloudEvent. Its id becomes uuid5(source, id). It goes to the stream named by its attribute stream,
    else to <last part of source>-<subject>. Its other attributes go into the metadata as ce-<name>.
    """
    from process_manager.interfaces.publishing import Publisher, batches

    progress = Progress()
    with opened(file) as source:
        events = Events(source, progress)
        store = bootstrap.open_store(url)
        try:
            bootstrap.refuse_imported(store, url)
            publisher = Publisher(store)
            for batch in batches(event for _, event in events.read()):
                publisher.publish(batch)
                progress.show(f"{events.line:,} lines, {publisher.published:,} events published")
        finally:
            store.close()
            progress.clear()
    say(events.count(publisher))
    for stream, count in publisher.misplaced.items():
        say(f"warning: {count:,} went into {stream}, where an instance keeps what it knows: give events streams of your domain")
    return ERROR if events.bad else OK
