"""`pm publish`."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from process_manager.interfaces import bootstrap
from process_manager.interfaces.cli.errors import ERROR, OK, CliError, say
from process_manager.interfaces.cli.options import command, store_option
from process_manager.interfaces.cli.progress import Progress

if TYPE_CHECKING:
    from process_manager.interfaces.lines import Addressed
    from process_manager.interfaces.publishing import Publisher

BATCH = 1_000
BATCH_BYTES = 8 * 1024 * 1024


@command("publish", example="pm publish events.jsonl --store sqlite:///shop.db\ncat events.jsonl | pm publish -")
@click.argument("file", type=click.Path(allow_dash=True))
@store_option
def publish_command(file: str, url: str) -> int:
    """Publish the events of FILE (- for standard input), one JSON object a line.

    A line has id, type, stream and data, and if it likes time and metadata. Publishing it twice changes nothing: what a stream
    holds already is left out by its id. A bad line is reported with its number, the good ones are published, and the exit code is 1.

    A line with specversion is a CloudEvent. Its id becomes uuid5(source, id). It goes to the stream named by its attribute stream,
    else to <last part of source>-<subject>. Its other attributes go into the metadata as ce-<name>.
    """
    from process_manager.interfaces.publishing import Publisher

    with _opened(file) as source:
        store = bootstrap.open_store(url)
        try:
            publisher = Publisher(store)
            bad = _publish(source, publisher)
        finally:
            store.close()
    known = f", {publisher.known:,} were there already" if publisher.known else ""
    say(f"{publisher.published:,} events published{known}" + (f", {bad:,} bad lines left out" if bad else ""))
    return ERROR if bad else OK


def _opened(file: str) -> IO[bytes]:
    if file == "-":
        return sys.stdin.buffer
    try:
        return Path(file).open("rb")
    except OSError as error:
        raise CliError(f"{file}: {error.strerror}") from error


def _publish(source: IO[bytes], publisher: "Publisher") -> int:
    from process_manager.interfaces.lines import BadLine, read_line

    bad = size = 0
    batch: list[Addressed] = []
    progress = Progress()
    for number, line in _lines(source):
        try:
            batch.append(read_line(line))
        except BadLine as error:
            progress.clear()
            say(f"line {number}: {error}")
            bad += 1
            continue
        size += len(line)
        if len(batch) >= BATCH or size > BATCH_BYTES:
            publisher.publish(batch)
            batch, size = [], 0
            progress.show(f"{number:,} lines, {publisher.published:,} events published")
    publisher.publish(batch)
    progress.clear()
    return bad


def _lines(source: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """Lines with their numbers, without blank ones; of one that is too long only its beginning is held."""
    from process_manager.interfaces.lines import LONGEST

    number = 0
    while line := source.readline(LONGEST + 2):
        number += 1
        rest = line
        while len(rest) > LONGEST and not rest.endswith(b"\n"):
            rest = source.readline(LONGEST + 2) or b"\n"
        if number == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")
        if line.strip():
            yield number, line.rstrip(b"\r\n")
