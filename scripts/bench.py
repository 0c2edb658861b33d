"""What the whole flow reaches on this machine, beside the raw limit of its disk and its SQLite.

The flow is an order of one line: reserve, review (a fifth of the orders), charge (a tenth is declined and undone), ship. Everything is
durable: fsync at each commit. The raw limit is the same records, inserted by stdlib sqlite3 into the same tables in the same batch sizes.

With --store esdb://... the same flow runs on that server, whose raw limit is as many appends of two records, prepared beforehand, as
messages of one BatchAppend call; and the time from an event to its command is taken while nothing else is to do.
--store dev starts `pm store serve`.
"""

import argparse
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from decimal import Decimal
from pathlib import Path
from threading import Thread
from uuid import uuid4

import orjson

from process_manager import Aggregate, App, Refused, Repository, applies, handles
from process_manager.adapters.clock import RealClock
from process_manager.adapters.deadline_index import SqliteDeadlineIndex
from process_manager.adapters.sqlite import SqliteStore
from process_manager.core.block import read_fact
from process_manager.core.codec import encode
from process_manager.core.fold import fold
from process_manager.core.identity import derive
from process_manager.core.instance import Instance
from process_manager.core.records import NewRecord, Record
from process_manager.examples.order_fulfilment import messages as m
from process_manager.examples.order_fulfilment.process import OrderFulfilment
from process_manager.interfaces.bootstrap import collect_less
from process_manager.interfaces.compatibility.drift import Drift
from process_manager.ports import Block, EventStore, Filter, StreamState
from process_manager.runtime.wiring import build_worker
from process_manager.runtime.worker import Worker
from scripts.raw_limits import BATCH, raw_appends, raw_limit

SAMPLES = 100  # of the time from an event to its command


class Order(Aggregate, category="bench_order"):
    """One aggregate for all that happens to an order: as trivial as handlers get."""

    @applies
    def happened(
        self,
        event: m.StockReserved | m.StockReleased | m.ReviewApproved | m.CardCharged | m.CardDeclined | m.CardRefunded | m.OrderShipped,
    ) -> None:
        """Nothing is remembered."""


@handles(m.ReserveStock)
def reserve(command: m.ReserveStock, orders: Repository[Order]) -> None:
    with orders.edit(f"stock_{command.order_id}") as order:
        order.record(m.StockReserved(order_id=command.order_id, sku=command.sku, quantity=command.quantity))


@handles(m.ReleaseStock)
def release(command: m.ReleaseStock, orders: Repository[Order]) -> None:
    with orders.edit(f"stock_{command.order_id}") as order:
        order.record(m.StockReleased(order_id=command.order_id, sku=command.sku, quantity=1))


@handles(m.RequestReview)
def review(command: m.RequestReview, orders: Repository[Order]) -> None:
    with orders.edit(f"review_{command.order_id}") as order:
        order.record(m.ReviewApproved(order_id=command.order_id, reviewer="bench"))


@handles(m.ChargeCard)
def charge(command: m.ChargeCard, orders: Repository[Order]) -> None:
    with orders.edit(f"payment_{command.order_id}") as order:
        if command.card == "declined":
            raise Refused(m.CardDeclined(order_id=command.order_id, reason="no cover"))
        order.record(m.CardCharged(order_id=command.order_id, amount=command.amount))


@handles(m.RefundCard)
def refund(command: m.RefundCard, orders: Repository[Order]) -> None:
    with orders.edit(f"payment_{command.order_id}") as order:
        order.record(m.CardRefunded(order_id=command.order_id, amount=Decimal(0)))


@handles(m.ShipOrder)
def ship(command: m.ShipOrder, orders: Repository[Order]) -> None:
    with orders.edit(f"parcel_{command.order_id}") as order:
        order.record(m.OrderShipped(order_id=command.order_id, parcel=command.order_id))


HANDLERS = (reserve, release, review, charge, refund, ship)
app = App("bench", processes=[OrderFulfilment], handlers=HANDLERS)


def orders(count: int, run: str = "") -> list[Block]:
    blocks = []
    for number in range(count):
        placed = m.OrderPlaced(
            order_id=f"{run}{number:07}",
            lines=(m.Line(sku="sku", quantity=1),),
            total=Decimal(900 if number % 5 == 0 else 90),
            card="declined" if number % 10 == 3 else "4000",
        )
        record = NewRecord(derive("bench", f"{run}{number}"), placed.message_type, encode(placed), b"{}")
        blocks.append(Block(f"order-{run}{number:07}", [record], StreamState.NO_STREAM))
    return blocks


def whole_flow(folder: Path, count: int) -> tuple[float, dict[str, int]]:
    """Seconds from the first order placed to the last one ended, and the worker's counts."""
    store = SqliteStore(folder / "events.db")
    worker = build_worker(app, store, RealClock(), SqliteDeadlineIndex(folder / "events.db.deadlines"))
    seconds = timed(store, worker, orders(count), -1)
    worker.close()
    store.close()
    return seconds, worker.counters.as_dict()


def timed(store: EventStore, worker: Worker, placed: list[Block], after: int, run: str = "") -> float:
    """Seconds until all orders that are placed have ended; only ends of this run behind a position count."""
    start = time.perf_counter()
    for first in range(0, len(placed), BATCH):
        store.append_many(placed[first : first + BATCH])
        worker.step()
    worker.run(until_idle=True)
    seconds = time.perf_counter() - start
    ended = sum(run in record.stream for record in store.read_all(after=after, where=Filter(types=frozenset({"pm.ended"}))))
    if ended != len(placed):
        raise SystemExit(f"{ended} of {len(placed)} orders ended")
    return seconds


def facts_folded(source: Path) -> float:
    """Facts a second, from stored bytes to state."""
    store = SqliteStore(source)
    streams: dict[str, list[Record]] = {}
    for record in store.read_all(limit=60_000):
        if record.stream.startswith("order_fulfilment-"):
            streams.setdefault(record.stream, []).append(record)
    store.close()
    count = sum(map(len, streams.values()))
    start = time.perf_counter()
    for stream, records in streams.items():
        fold(Instance("order_fulfilment", stream.partition("-")[2]), ((read_fact(each), each.revision) for each in records))
    return count / (time.perf_counter() - start)


def instances_judged(source: Path) -> float:
    """Instances a second that `pm drift` judges, of unchanged code, from the file."""
    store = SqliteStore(source, read_only=True)
    drift = Drift(store, OrderFulfilment.definition)
    start = time.perf_counter()
    differing = list(drift.differences())
    seconds = time.perf_counter() - start
    store.close()
    assert not differing, differing[:3]
    return drift.instances / seconds


def command_line_start() -> tuple[float, float]:
    """Milliseconds of `pm --help` and of importing click, the best of several."""

    def best(*command: str) -> float:
        times = []
        for _ in range(7):
            start = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            times.append(time.perf_counter() - start)
        return min(times) * 1000

    return best(str(Path(sys.executable).parent / "pm"), "--help"), best(sys.executable, "-c", "import click")


def one_round(count: int) -> dict[str, float]:
    """All figures once; a ratio is of one round, since machines are shared and noisy."""
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        seconds, counts = whole_flow(folder, count)
        raw = raw_limit(folder, folder / "events.db", counts["turns"] + counts["handled"] + count)
        folds = facts_folded(folder / "events.db")
        judged = instances_judged(folder / "events.db")
        help_, click_ = command_line_start()
    finally:
        shutil.rmtree(folder)
    return {
        "orders_per_s": round(count / seconds, 1),
        "turns_per_s": round(counts["turns"] / seconds, 1),
        "raw_orders_per_s": round(count / raw, 1),
        "ratio": round(raw / seconds, 3),
        "facts_folded_per_s": round(folds),
        "instances_judged_per_s": round(judged),
        "help_ms": round(help_, 1),
        "import_click_ms": round(click_, 1),
    }


def served_round(url: str, count: int) -> dict[str, float]:
    """The flow on a server, once, beside the server's raw limit."""
    from process_manager.adapters.esdb.store import EsdbStore  # noqa: PLC0415  the esdb extra may be absent

    run = uuid4().hex[:8]
    with closing(EsdbStore(url)) as store:
        ours, start = App(f"bench_{run}", processes=[OrderFulfilment], handlers=HANDLERS), store.last_position()
        worker = build_worker(ours, store, RealClock(), SqliteDeadlineIndex(), start=start, take_over=True)
        try:
            worker.run(until_idle=True)  # its index of deadlines follows what earlier runs have left
            seconds = timed(store, worker, orders(count, run), start, run)
            delays = sorted(event_to_command(store, worker, orders(SAMPLES, f"{run}late")))
            counts = worker.counters.as_dict()
        finally:
            worker.close()
            for group in worker.groups:
                store.delete_group(group)
    raw = raw_appends(url, counts["turns"] + counts["handled"] + count)
    return {
        "orders_per_s": round(count / seconds, 1),
        "turns_per_s": round(counts["turns"] / seconds, 1),
        "appends_per_s": round((counts["turns"] + counts["handled"] + count) / seconds, 1),
        "raw_appends_per_s": round(raw, 1),
        "ratio": round((counts["turns"] + counts["handled"] + count) / seconds / raw, 3),
        "event_to_command_p50_ms": round(delays[len(delays) // 2], 1),
        "event_to_command_p99_ms": round(delays[len(delays) * 99 // 100], 1),
    }


def event_to_command(store: EventStore, worker: Worker, placed: list[Block]) -> Iterator[float]:
    """Milliseconds from before an order is appended until who follows the commands has its first one."""
    commands = store.subscribe(after=store.last_position(), where=Filter(types=frozenset({m.ReserveStock.message_type})))
    working = Thread(target=worker.run)
    working.start()
    for block in placed:
        start = time.perf_counter()
        store.append(block)
        while not commands.next_batch(1, timeout=10.0):
            pass
        yield (time.perf_counter() - start) * 1000
        time.sleep(0.05)  # until the order has ended
    worker.stop()
    working.join()
    commands.close()


@contextmanager
def server_at(store: str) -> Iterator[str]:
    """The address of a server; `dev` starts one as a process of its own, with a file."""
    if store != "dev":
        yield store
        return
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    command = [sys.executable, "-m", "process_manager.interfaces.cli.main", "store", "serve"]
    process = subprocess.Popen([*command, "--port", str(port), "--store", f"sqlite:///{folder}/events.db"], stderr=subprocess.DEVNULL)
    try:
        while process.poll() is None and socket.socket().connect_ex(("127.0.0.1", port)):
            time.sleep(0.05)
        yield f"esdb://127.0.0.1:{port}?tls=false"
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--store", metavar="URL", help="an EventStoreDB server, or 'dev' to start a development server (default: a SQLite file)"
    )
    parser.add_argument("--orders", type=int, help="orders in a run (default 10000, on a server 2000)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds; each figure is the median (default 3)")
    parser.add_argument("-o", "--output", choices=["text", "json"], default="text")
    arguments = parser.parse_args()
    collect_less()
    count = arguments.orders or (2_000 if arguments.store else 10_000)
    if arguments.store:
        with server_at(arguments.store) as url:
            rounds = [served_round(url, count) for _ in range(arguments.rounds)]
    else:
        rounds = [one_round(count) for _ in range(arguments.rounds)]
    figures = {name: sorted(each[name] for each in rounds)[len(rounds) // 2] for name in rounds[0]}
    figures |= {"orders": count, "rounds": arguments.rounds}
    if arguments.output == "json":
        sys.stdout.write(orjson.dumps(figures).decode() + "\n")
    else:
        for name, value in figures.items():
            print(f"{name:24} {value:>12,}")


if __name__ == "__main__":
    main()
