"""How fast the read side is: views built from the whole log, views that follow it, `pm list` and every `pm report`.

rebuild   records a second through all shipped projections, into tables without indexes, 20,000 in one transaction
follow    the same for the end of the log, into live tables with their indexes, 500 in one transaction
list, report   milliseconds of the command, start of Python and output included, the best of several

For the recorded fines keep a run: python -m process_manager.examples.fine_collection FILE --store sqlite:///fines.db
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

import orjson

from process_manager.examples.order_fulfilment import app
from process_manager.examples.order_fulfilment.demo import Demo
from process_manager.examples.order_fulfilment.orders import Plan
from process_manager.interfaces import bootstrap
from process_manager.interfaces.cli.report import NAMES
from process_manager.interfaces.reading.views import default_path
from process_manager.ports import BEFORE_ALL, EventStore
from projections.follower import Follower
from projections.reports import Scope
from projections.reports.overview import overview
from projections.runner import BATCH, Runner
from projections.shipped import SHIPPED
from projections.views import Views, create

FOLLOWED = 50_000
"""Records at the end of the log that are taken once more, one small batch after the other."""

Figures = dict[str, float]


def demo(url: str, orders: int) -> None:
    with closing(bootstrap.open_store(url)) as store, closing(bootstrap.driven_worker(app, store)) as worker:
        Demo(Plan(orders=orders, seed=1), store, worker).run()


def rebuild(store: EventStore, views: Views) -> Figures:
    records = store.last_position() + 1
    start = time.perf_counter()
    Runner(store, views, SHIPPED).rebuild(SHIPPED)
    seconds = time.perf_counter() - start
    return {
        "records": records,
        "rebuild_s": round(seconds, 1),
        "rebuild_per_s": round(records / seconds),
        "rebuild_s_per_million": round(seconds / records * 1e6, 1),
    }


def follow(store: EventStore, folder: Path) -> Figures:
    """From a place near the end, on live tables that hold what comes before it."""
    last = store.last_position()
    place = max(last - FOLLOWED, last // 2)
    with closing(Views(f"sqlite:///{folder}/follow.db")) as views:
        with views.begin() as connection:
            for each in SHIPPED:
                create(connection, each, "", BEFORE_ALL)
        with closing(Follower(store, views, SHIPPED, BEFORE_ALL)) as first:
            while first.position < place:
                first.step(BATCH, until=place)
        with closing(Follower(store, views, SHIPPED, place)) as follower:
            start = time.perf_counter()
            count = 0
            while taken := follower.step(500):
                count += taken
            return {"follow_per_s": round(count / (time.perf_counter() - start))}


def command(*arguments: str) -> float:
    """Milliseconds, the best of five."""
    times = []
    for _ in range(5):
        start = time.perf_counter()
        subprocess.run(
            [str(Path(sys.executable).parent / "pm"), *arguments], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        times.append(time.perf_counter() - start)
    return round(min(times) * 1000)


def commands(url: str, views_url: str) -> Figures:
    found = {"list_ms": command("list", "--store", url)}
    return found | {f"report_{name}_ms": command("report", name, "--store", url, "--views", views_url) for name in NAMES}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", metavar="URL", help="a store in a file; its views are built beside it (default: the demo's orders)")
    parser.add_argument("--orders", type=int, default=2_000, help="how many, without --store (default 2000)")
    parser.add_argument("-o", "--output", choices=["text", "json"], default="text")
    arguments = parser.parse_args()
    bootstrap.collect_less()
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        url = arguments.store or f"sqlite:///{folder}/orders.db"
        if arguments.store is None:
            demo(url, arguments.orders)
        path = default_path(url)
        with closing(bootstrap.open_store(url, create=False)) as store, closing(Views(f"sqlite:///{path}")) as views:
            figures = rebuild(store, views)
            with views.read() as connection:
                figures["instances"] = sum(each.number for each in overview(connection, Scope()) if each.what == "status")
            figures |= follow(store, folder)
        figures |= commands(url, f"sqlite:///{path}")
    finally:
        shutil.rmtree(folder)
    if arguments.output == "json":
        sys.stdout.write(orjson.dumps(figures).decode() + "\n")
    else:
        for name, value in figures.items():
            print(f"{name:24} {value:>12,}")


if __name__ == "__main__":
    main()
