"""What the whole flow reaches on this machine, beside the raw limit of its disk and its SQLite.

The flow is an order of one line: reserve, review (a fifth of the orders), charge (a tenth is declined and undone), ship. Everything is
durable: fsync at each commit. The raw limit is the same records, inserted by stdlib sqlite3 into the same tables in the same batch sizes.
"""

import argparse
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from decimal import Decimal
from pathlib import Path

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
from process_manager.ports import Block, Filter, StreamState
from process_manager.runtime.wiring import build_worker

BATCH = 512


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


app = App("bench", processes=[OrderFulfilment], handlers=[reserve, release, review, charge, refund, ship])


def orders(count: int) -> list[Block]:
    blocks = []
    for number in range(count):
        placed = m.OrderPlaced(
            order_id=f"{number:07}",
            lines=(m.Line(sku="sku", quantity=1),),
            total=Decimal(900 if number % 5 == 0 else 90),
            card="declined" if number % 10 == 3 else "4000",
        )
        record = NewRecord(derive("bench", str(number)), placed.message_type, encode(placed), b"{}")
        blocks.append(Block(f"order-{number:07}", [record], StreamState.NO_STREAM))
    return blocks


def whole_flow(folder: Path, count: int) -> tuple[float, dict[str, int]]:
    """Seconds from the first order placed to the last one ended, and the worker's counts."""
    store = SqliteStore(folder / "events.db")
    worker = build_worker(app, store, RealClock(), SqliteDeadlineIndex(folder / "events.db.deadlines"))
    placed = orders(count)
    start = time.perf_counter()
    for first in range(0, count, BATCH):
        store.append_many(placed[first : first + BATCH])
        worker.step()
    worker.run(until_idle=True)
    seconds = time.perf_counter() - start
    ended = sum(1 for _ in store.read_all(where=Filter(types=frozenset({"pm.ended"}))))
    if ended != count:
        raise SystemExit(f"{ended} of {count} orders ended")
    worker.close()
    store.close()
    return seconds, worker.counters.as_dict()


def raw_limit(folder: Path, source: Path, units: int) -> float:
    """Seconds to insert the rows of a finished run, which were `units` appends, into empty tables of the same shape.

    As in the run, `BATCH` appends are one transaction.
    """
    rows_of = sqlite3.connect(source)
    tables = ("streams", "messages")
    schema = [sql for sql, table in rows_of.execute("select sql, tbl_name from sqlite_master where sql is not null") if table in tables]
    prepared = {table: rows_of.execute(f"select * from {table}").fetchall() for table in tables}  # noqa: S608  our own names
    rows_of.close()
    target = sqlite3.connect(folder / "raw.db", isolation_level=None)
    target.execute("pragma journal_mode = wal")
    target.execute("pragma synchronous = full")
    for sql in schema:
        target.execute(sql)
    transactions = -(-units // BATCH)
    start = time.perf_counter()
    for number in range(transactions):
        target.execute("begin immediate")
        for table, rows in prepared.items():
            part = rows[number * len(rows) // transactions : (number + 1) * len(rows) // transactions]
            if part:
                target.executemany(f"insert into {table} values ({', '.join('?' * len(part[0]))})", part)  # noqa: S608  our own names
        target.execute("commit")
    seconds = time.perf_counter() - start
    target.close()
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
        help_, click_ = command_line_start()
    finally:
        shutil.rmtree(folder)
    return {
        "orders_per_s": round(count / seconds, 1),
        "turns_per_s": round(counts["turns"] / seconds, 1),
        "raw_orders_per_s": round(count / raw, 1),
        "ratio": round(raw / seconds, 3),
        "facts_folded_per_s": round(folds),
        "help_ms": round(help_, 1),
        "import_click_ms": round(click_, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=10_000, help="orders in a run (default 10000)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds; each figure is the median (default 3)")
    parser.add_argument("-o", "--output", choices=["text", "json"], default="text")
    arguments = parser.parse_args()
    collect_less()
    rounds = [one_round(arguments.orders) for _ in range(arguments.rounds)]
    figures = {name: sorted(each[name] for each in rounds)[len(rounds) // 2] for name in rounds[0]}
    figures |= {"orders": arguments.orders, "rounds": arguments.rounds}
    if arguments.output == "json":
        sys.stdout.write(orjson.dumps(figures).decode() + "\n")
    else:
        for name, value in figures.items():
            print(f"{name:20} {value:>12,}")


if __name__ == "__main__":
    main()
