"""Views in PostgreSQL hold and report what those in SQLite do. VIEWS_URI names a database for it, as SQLAlchemy writes it."""

import os
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path

import pytest
from sqlalchemy import func, make_url, select, text

from process_manager.adapters.memory import MemoryStore
from process_manager.interfaces.reading.instance_list import Listing, from_views, views_at
from process_manager.ports import BEFORE_ALL
from projections import views as database
from projections.follower import Follower
from projections.reports import REPORTS, Scope
from projections.rows import Rows
from projections.runner import Runner
from projections.shipped import SHIPPED, Commands, Decisions, Events, Failures
from projections.shipped.decisions import DECISIONS
from projections.shipped.events import EVENTS
from projections.shipped.failures import FAILURES
from projections.views import Views
from tests.projections.support import append, contents
from tests.projections.test_rebuild import Killed, killed_at, lives, rebuilt

URI = os.environ.get("VIEWS_URI", "")

pytestmark = pytest.mark.skipif(not URI, reason="VIEWS_URI names no database")

MOVES = [(0, 1), (6, 2), (1, 0), (7, 3), (2, 2), (6, 4), (3, 1), (7, 5), (5, 0)]


@pytest.fixture
def there(request: pytest.FixtureRequest) -> Iterator[Views]:
    """A schema of its own."""
    schema = f"test_{os.getpid()}_{abs(hash(request.node.nodeid))}"
    with closing(Views(URI)) as whole:
        with whole.begin() as connection:
            connection.execute(text(f"CREATE SCHEMA {schema}"))
        url = make_url(URI).update_query_dict({"options": f"-csearch_path={schema}"})
        with closing(Views(url.render_as_string(hide_password=False))) as views:
            yield views
        with whole.begin() as connection:
            connection.execute(text(f"DROP SCHEMA {schema} CASCADE"))


@pytest.fixture
def log(orders: MemoryStore) -> MemoryStore:
    """Orders, and lives that were attended to by hand."""
    made = MemoryStore()
    append(made, [*orders.read_all(), *(record for life in lives(MOVES) for record in life)])
    return made


def test_rows_and_reports_are_those_of_sqlite(log: MemoryStore, there: Views, tmp_path: Path) -> None:
    with closing(Views(f"sqlite:///{tmp_path}/here.db")) as here:
        for views in (here, there):
            Runner(log, views, SHIPPED, batch=300).run(until_idle=True)
        assert contents(there, SHIPPED) == contents(here, SHIPPED)
        with here.read() as one, there.read() as other:
            (middle,) = one.execute(text("SELECT started FROM instances ORDER BY started LIMIT 1 OFFSET 20")).one()
            for scope in (Scope(), Scope("order_fulfilment", 1, "compensated"), Scope(since=middle), Scope(until=middle)):
                for name, report in REPORTS.items():
                    assert report.query(other, scope) == report.query(one, scope), (name, scope)
        listed, expected = (_listed(log, views) for views in (there, here))
        assert expected.total > len(expected.rows) == 50
        assert listed == expected


def _listed(log: MemoryStore, views: Views) -> Listing:
    with views_at(views.engine.url.render_as_string(hide_password=False)) as execute:
        assert execute is not None
        found = from_views(log, execute, "", "", 50)
    assert found is not None
    return found


def test_what_is_killed_and_rebuilt_there_is_row_for_row_the_same(log: MemoryStore, there: Views, tmp_path: Path) -> None:
    for statement in (5, 40, 90, 150, 400):
        with suppress(Killed), killed_at(there.engine, statement):
            Runner(log, there, SHIPPED, batch=200).run(until_idle=True)
            Runner(log, there, SHIPPED, batch=200).rebuild(SHIPPED)
    Runner(log, there, SHIPPED).run(until_idle=True)
    assert contents(there, SHIPPED) == rebuilt(log, tmp_path / "rebuilt.db")
    Runner(log, there, SHIPPED).rebuild(SHIPPED)
    assert contents(there, SHIPPED) == rebuilt(log, tmp_path / "again.db")


def test_several_may_build_at_once(log: MemoryStore, there: Views, tmp_path: Path) -> None:
    def run(_: int) -> None:
        with closing(Views(there.engine.url.render_as_string(hide_password=False))) as own:
            Runner(log, own, SHIPPED, batch=200).run(until_idle=True)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(run, range(3)))
    assert contents(there, SHIPPED) == rebuilt(log, tmp_path / "rebuilt.db")


def test_all_queries_of_a_report_see_the_same_state(log: MemoryStore, there: Views) -> None:
    both = [Events(), Commands()]
    with there.begin() as connection:
        for each in both:
            database.create(connection, each, "", BEFORE_ALL)
    with closing(Follower(log, there, both, BEFORE_ALL)) as follower:
        follower.step(500)
        with there.read() as connection:
            count = select(func.count()).select_from(EVENTS)
            before = connection.execute(count).scalar_one()
            follower.step(500)
            assert connection.execute(count).scalar_one() == before
        with there.read() as connection:
            assert connection.execute(count).scalar_one() > before


def test_a_reason_may_be_longer_than_an_index_bears(there: Views) -> None:
    reason = random.Random(1).randbytes(20_000).hex()  # nothing that could be compressed
    with there.begin() as connection:
        for each in (Failures(), Decisions()):
            database.create(connection, each, "", BEFORE_ALL)
        rows = Rows(connection, {table: table for table in (FAILURES, DECISIONS)})
        rows.insert(FAILURES, position=1, instance="order-1", process="order", kind="refused", reason=reason, failed=0)
        rows.insert(
            DECISIONS, position=1, instance="order-1", process="order", question="why", answer=reason, because=reason, version=1, decided=0
        )
        rows.flush()
        assert connection.scalar(select(FAILURES.c.reason)) == connection.scalar(select(DECISIONS.c.because)) == reason
