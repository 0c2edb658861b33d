"""The reports over the whole recorded fines, compared with the figures that are published of the log. Exit code 1 where one differs."""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from process_manager.examples.fine_collection import fine_collection
from process_manager.examples.fine_collection.process import midnight
from process_manager.examples.fine_collection.recording import Recording
from process_manager.examples.fine_collection.replay import Replay
from process_manager.examples.fine_collection.views import fines, outcomes, total_paid
from process_manager.interfaces import bootstrap
from process_manager.ports import EventStore
from projections.as_of import as_of
from projections.reports import Scope
from projections.reports.history import throughput, variants
from projections.reports.overview import overview
from projections.runner import Runner
from projections.shipped import SHIPPED, Commands, Deadlines, Events, Instances
from projections.times import micros
from projections.views import Views

Figures = dict[str, Any]

PUBLISHED: Figures = {
    "fines.fine-created": 150_370,
    "fines.fine-sent": 103_987,
    "fines.fine-notified": 79_860,
    "fines.penalty-added": 79_860,
    "fines.payment-received": 77_601,
    "fines.sent-to-collection": 59_013,
    "fines.appeal-lodged": 4_188,
    "fines.appeal-forwarded": 4_141,
    "fines.appeal-result-received": 999,
    "fines.offender-notified": 896,
    "fines.appealed-to-judge": 555,
    "outstanding send_fine": 46_383,
    "outstanding send_to_collection": 20_847,
    "outstanding notify_result": 105,
    "outstanding forward_appeal": 51,
    "outcome credit_collection": 59_013,
    "outcome dismissed": 2_073,
    "outcome fully_paid": 60_286,
    "outcome partly_paid": 7_300,
    "outcome appeal_open": 1_308,
    "outcome unpaid_open": 20_390,
    "throughput median, days": 198.042,
    "throughput p90, days": 787.0,
    "variants": 231,
    "commonest variants": [56_482, 46_371, 20_385, 9_520, 3_736],
}
AT_THE_END_OF: dict[date, Figures] = {
    date(2003, 12, 31): {"cases": 47_779, "events": 181_755, "deadlines pending": 2_372, "paid": Decimal("872673.45")},
    date(2008, 12, 31): {"cases": 113_487, "events": 409_320, "deadlines pending": 1_149, "paid": Decimal("2466161.52")},
    date(2012, 12, 31): {"cases": 148_830, "events": 552_007, "deadlines pending": 296, "paid": Decimal("3539749.35")},
}


def figures(views: Views) -> Figures:
    """What the reports say of the whole log."""
    with views.read() as connection:
        counts = overview(connection, Scope())
        found: Figures = {each.name: each.number for each in counts if each.what == "event"}
        found |= {f"outstanding {each.name}": each.number for each in counts if each.what == "outstanding"}
        found |= {f"outcome {name}": number for name, number in outcomes(connection).items()}
        (span,) = throughput(connection, Scope())
        ways = variants(connection, Scope())
    found["throughput median, days"] = _days(span.median)
    found["throughput p90, days"] = _days(span.p90)
    return found | {"variants": len(ways), "commonest variants": [each.instances for each in ways[:5]]}


def figures_of(views: Views) -> Figures:
    """What they say of a day in the past."""
    with views.read() as connection:
        counts = overview(connection, Scope())
        paid = total_paid(connection)
    number = {what: sum(each.number for each in counts if each.what == what) for what in ("status", "event", "pending")}
    return {"cases": number["status"], "events": number["event"], "deadlines pending": number["pending"], "paid": paid}


def _days(span: timedelta) -> float:
    return round(span / timedelta(days=1), 3)


def compare(published: Figures, found: Figures, where: str) -> int:
    """Print both beside each other. Returns how many differ."""
    differing = 0
    for name in sorted({*published, *found}):
        expected, got = published.get(name), found.get(name)
        differing += expected != got
        print(
            f"{'ok    ' if expected == got else 'DIFFERS'} {where}{name}: {got}" + ("" if expected == got else f", published: {expected}")
        )
    return differing


@contextmanager
def recorded(url: str | None, path: Path) -> Iterator[EventStore]:
    """The store of a run; without an address, a run now."""
    with ExitStack() as stack:
        if url is None:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="fines-"))
            url = f"sqlite:///{folder}/fines.db"
        store = stack.enter_context(closing(bootstrap.open_store(url)))
        if store.last_position() < 0:
            worker = stack.enter_context(closing(bootstrap.build(fine_collection("charge-always"), url, store, clock="driven")))
            Replay(worker, store, Recording.read(path), lambda _day, _done: None).run()
        yield store


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    default = os.environ.get("PM_FINES", Path(__file__).parents[2] / "shared/data/road_traffic_fines.csv.gz")
    parser.add_argument(
        "--fines", type=Path, default=Path(default), help="the recorded log (default: PM_FINES, or shared/data/ beside the checkout)"
    )
    parser.add_argument(
        "--store", metavar="URL", help="the store of a whole run, kept from before (default: run it now, two to three minutes)"
    )
    arguments = parser.parse_args()
    bootstrap.collect_less()
    differing = 0
    with (
        recorded(arguments.store, arguments.fines) as store,
        tempfile.TemporaryDirectory(prefix="fines-") as folder,
        closing(Views(f"sqlite:///{folder}/views.db")) as views,
    ):
        start = time.monotonic()
        projections = [*SHIPPED, fines]
        Runner(store, views, projections).rebuild(projections)
        print(f"{len(projections)} projections over {store.last_position() + 1:,} records built in {time.monotonic() - start:.1f} s")
        differing += compare(PUBLISHED, figures(views), "")
        for day, published in AT_THE_END_OF.items():
            before = micros(midnight(day + timedelta(days=1)))
            with as_of(store, before, [Instances(), Events(), Commands(), Deadlines(), fines]) as then:
                differing += compare(published, figures_of(then), f"{day} ")
    print(f"{differing} differ" if differing else "every figure is as published")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
