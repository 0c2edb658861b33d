"""`python -m process_manager.examples.fine_collection FILE`: replay a recorded log and compare with it."""

import sys
import tempfile
import time
from contextlib import ExitStack, closing
from datetime import date
from pathlib import Path
from typing import Any

import click
import orjson

from process_manager.errors import ProcessManagerError
from process_manager.examples.fine_collection import POLICIES, Policy, fine_collection
from process_manager.examples.fine_collection.recording import BadRecording, Recording
from process_manager.examples.fine_collection.replay import OtherReplay, Replay, compare
from process_manager.interfaces import bootstrap


class Progress:
    """A line on stderr: rewritten on a terminal, elsewhere a new one now and then."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._start = self._shown = time.monotonic()
        self._terminal = sys.stderr.isatty()

    def __call__(self, day: date, done: int) -> None:
        now = time.monotonic()
        if now - self._shown > (0.5 if self._terminal else 10) or done == self._total:
            self._shown = now
            line = f"{day}  {done:,} of {self._total:,} events  {done / (now - self._start + 1e-9):,.0f}/s"
            click.echo(f"\r{line}\x1b[K" if self._terminal else line, err=True, nl=not self._terminal or done == self._total)


@click.command(epilog="Example: python -m process_manager.examples.fine_collection road_traffic_fines.csv.gz --cases 1000 -o json")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--cases", type=click.IntRange(min=1), help="Only the first N cases in file order.")
@click.option("--store", metavar="URL", help="Where the events are: sqlite:///file.db or memory:. Default: a temporary SQLite file.")
@click.option("--policy", type=click.Choice(list(POLICIES)), default="charge-always", show_default=True)
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
def main(file: Path, cases: int | None, store: str | None, policy: Policy, output: str) -> None:
    """Replay the fines recorded in FILE (csv or csv.gz) and compare the penalties with the log."""
    start = time.monotonic()
    with ExitStack() as stack:
        if store is None:
            store = f"sqlite:///{stack.enter_context(tempfile.TemporaryDirectory(prefix='fines-'))}/fines.db"
            click.echo(f"the store is temporary, {store}; keep one with --store", err=True)
        try:
            opened = stack.enter_context(closing(bootstrap.open_store(store)))
            worker = stack.enter_context(closing(bootstrap.build(fine_collection(policy), store, opened, clock="driven", start="now")))
            recording = Recording.read(file, cases)
            replay = Replay(worker, opened, recording, Progress(len(recording.rows)))
            replay.run()
        except (BadRecording, OtherReplay, ProcessManagerError, OSError, ValueError) as error:
            raise click.ClickException(str(error)) from error
    report = compare(recording, replay.desk)
    seconds = time.monotonic() - start
    click.echo(
        f"{replay.desk.uncaused} recorded results had no cause yet; {len(replay.desk.open):,} commands stay open; {seconds:.1f} s", err=True
    )
    click.echo(orjson.dumps(report, option=orjson.OPT_INDENT_2).decode() if output == "json" else _table(report))


def _table(report: dict[str, Any]) -> str:
    rows = [(name.replace("_", " "), value) for name, value in report.items() if isinstance(value, int)]
    rows += [(f"  {name.replace('_', ' ')}", value) for name, value in report["outcomes"].items()]
    return "\n".join(f"{name:<22}{value:>10,}" for name, value in rows)


if __name__ == "__main__":
    main()
