"""The report on compensations."""

from contextlib import closing

from process_manager.adapters.memory import MemoryStore
from process_manager.testing.scenario import scenario
from projections.reports.compensations import compensations
from projections.reports.scope import Scope
from projections.runner import Runner
from projections.shipped import SHIPPED
from projections.views import Views
from tests.core.processes import Purchase
from tests.core.samples import DECLINED, Stuck, began, given_back, taken
from tests.projections.support import append


def test_an_undo_that_was_skipped_is_told_although_the_compensation_is_through() -> None:
    case = scenario(Purchase).given(began("a", "b"), taken("a"), taken("b"), DECLINED, given_back("a"), Stuck(id="1", item="b"))
    case.operator("skip").then_compensated()
    log = MemoryStore()
    append(log, case.records)
    with closing(Views("sqlite://")) as views:
        Runner(log, views, SHIPPED).run(until_idle=True)
        with views.read() as connection:
            (row,) = compensations(connection, Scope())
    assert (row.compensated, row.failed, row.undo_commands, row.undos_skipped) == (1, 0, 2, 1)
