"""`pm demo`."""

import signal
import tempfile
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import click

from process_manager.interfaces import bootstrap
from process_manager.interfaces.address import shown
from process_manager.interfaces.cli import output
from process_manager.interfaces.cli.errors import INTERRUPTED, OK, REFUSED, CliError, say
from process_manager.interfaces.cli.options import check_url, command, format_option
from process_manager.interfaces.cli.progress import Progress

if TYPE_CHECKING:
    from process_manager.examples.order_fulfilment.demo import Totals
    from process_manager.ports import EventStore

KEYS = ("orders", "completed", "compensated", "aborted", "running", "events", "commands")


@command("demo", example="pm demo --orders 1000\npm demo --orders 1000 --seed 7 --store sqlite:///demo.db -o json")
@click.option("--orders", type=click.IntRange(1, 10_000_000), default=200, show_default=True, help="How many orders are placed.")
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed makes the same orders.")
@click.option("--store", "url", callback=check_url, metavar="URL", help="Where the events go. Default: a file that is thrown away.")
@format_option("table", "json")
def demo_command(orders: int, seed: int, url: str | None, format_: str) -> int:
    """Run orders through the shipped example: placed, reserved, reviewed, charged, shipped, or undone.

    Days pass in seconds. With --store, a demo that was interrupted goes on where it was when it is started again with the same
    orders and seed, and ends with the same totals; afterwards pm list and pm show tell more.
    """
    with ExitStack() as stack:
        kept = url is not None
        if url is None:
            place = stack.enter_context(tempfile.TemporaryDirectory(prefix="pm-demo-", ignore_cleanup_errors=True))
            url = f"sqlite:///{place}/demo.db"
        start = time.monotonic()
        store = bootstrap.open_store(url)
        stack.callback(store.close)
        interrupted = _run(orders, seed, url, store)
        if interrupted is not None:
            say("stopped; start it again with the same orders and seed, and it goes on" if kept else "stopped")
            return interrupted
        _report(store, url if kept else "", start, format_)
    return OK


def _run(orders: int, seed: int, url: str, store: "EventStore") -> int | None:
    """The exit code, where a signal ended it."""
    from process_manager.examples.order_fulfilment import app
    from process_manager.examples.order_fulfilment.demo import Demo, OtherDemo
    from process_manager.examples.order_fulfilment.orders import Plan
    from process_manager.interfaces.cli.logs import set_up_logging
    from process_manager.interfaces.cli.run import stopped_by_signals

    set_up_logging()
    progress, placed = Progress(), 0

    def show(number: int | None = None) -> None:
        nonlocal placed
        placed = max(placed, number or 0)
        progress.show(f"{placed:,} of {orders:,} orders placed, {worker.counters.turns:,} turns so far")

    worker = bootstrap.build(app, url, store, clock="driven", progress=lambda _: show())
    try:
        with stopped_by_signals(worker) as got:
            Demo(Plan(orders, seed), store, worker, show).run()
            worker.finish()
    except OtherDemo as error:
        raise CliError(str(error), REFUSED) from error
    finally:
        worker.close()
        progress.clear()
    if not got:
        return None
    return INTERRUPTED if signal.SIGINT in got else OK


def _report(store: "EventStore", kept: str, start: float, format_: str) -> None:
    from process_manager.core.story import story
    from process_manager.examples.order_fulfilment.demo import totals

    found = totals(store)
    seconds = round(time.monotonic() - start, 3)
    if format_ == "json":
        output.write_json({key: getattr(found, key) for key in KEYS} | {"seconds": seconds})
        return
    _summary(found, seconds)
    if found.longest:
        click.echo(f"\nThe longest story of an order that was undone, {found.longest}:\n")
        for line in story(store.read_stream(found.longest)):
            click.echo(f"  {line}")
    say(f"\nTry: pm list --store {shown(kept)}" if kept else "\nThe events are thrown away; keep them with --store sqlite:///demo.db")


def _summary(found: "Totals", seconds: float) -> None:
    for key in KEYS:
        click.echo(f"{key:<12} {getattr(found, key):>9,}")
    click.echo(f"{'seconds':<12} {seconds:>9,.1f}   {found.orders / max(seconds, 0.001):,.0f} orders/s")
