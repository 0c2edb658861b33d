"""The diagram shows what the class says, and where an instance went."""

from decimal import Decimal
from pathlib import Path

import pytest

from process_manager import FOREVER, Complete, Deadline, Effects, ProcessManager, Step, due, minutes, starts
from process_manager.core.definition import Definition
from process_manager.core.diagram import dot, html, mermaid, quoted
from process_manager.core.graph import graph, path
from process_manager.examples.order_fulfilment.messages import CardDeclined, Line, OrderPlaced, StockReleased, StockReserved
from process_manager.examples.order_fulfilment.process import OrderFulfilment
from process_manager.testing.scenario import scenario
from tests.core.processes import Flow, Purchase, Quorum, Race, Waiting
from tests.core.samples import Began, Paid, Pay, Take, Taken
from tests.core.trips import BookTrip

GOLDEN = Path(__file__).parent / "golden"
ORDER = OrderPlaced(order_id="1", lines=(Line(sku="a", quantity=1),), total=Decimal(50), card="4")
RESERVED = StockReserved(order_id="1", sku="a", quantity=1)


@pytest.mark.parametrize(("name", "draw"), [("order.mmd", mermaid), ("order.dot", dot)])
def test_the_order_process_is_drawn_as_it_was_approved(name: str, draw: object) -> None:
    """When the process or the drawing changes on purpose, look at the new text and put it there."""
    assert callable(draw)
    assert draw(OrderFulfilment.definition) == (GOLDEN / name).read_text()


@pytest.mark.parametrize("process", [Flow, Purchase, Waiting, Quorum, Race, BookTrip])
def test_every_edge_joins_two_nodes_and_the_text_is_the_same_each_time(process: type[ProcessManager]) -> None:
    drawn = graph(process.definition)
    assert {end for edge in drawn.edges for end in (edge.source, edge.target)} <= drawn.nodes.keys()
    assert mermaid(process.definition) == mermaid(process.definition)
    assert dot(process.definition).count(" -> ") == mermaid(process.definition).count("->")


def went(definition: Definition, records: list) -> set[tuple[str, str]]:  # type: ignore[type-arg]
    return {(edge.source, edge.target) for edge in path(definition, graph(definition), records).edges}


def test_the_path_of_a_compensated_order() -> None:
    case = scenario(OrderFulfilment).given(ORDER, RESERVED, CardDeclined(order_id="1", reason="broke"))
    case.given(StockReleased(order_id="1", sku="a", quantity=1)).then_compensated()
    assert went(OrderFulfilment.definition, case.records) == {
        ("event_OrderPlaced", "step_reserve_stock"),
        ("step_reserve_stock", "join_all_reserved"),
        ("join_all_reserved", "choice_all_reserved"),
        ("choice_all_reserved", "step_charge_card"),
        ("step_charge_card", "end_compensating"),
        ("step_reserve_stock", "step_release_stock"),
        ("end_compensating", "end_compensated"),
    }
    assert "linkStyle" in mermaid(OrderFulfilment.definition, case.records)
    assert "penwidth=3" in dot(OrderFulfilment.definition, case.records)


def test_a_way_to_a_step_that_was_not_taken_is_not_highlighted() -> None:
    case = scenario(OrderFulfilment).given(ORDER.model_copy(update={"total": Decimal(5000)}), RESERVED)
    assert ("choice_all_reserved", "step_request_review") in went(OrderFulfilment.definition, case.records)
    assert ("choice_all_reserved", "step_charge_card") not in went(OrderFulfilment.definition, case.records)


def test_without_an_instance_nothing_is_highlighted() -> None:
    assert "taken" not in mermaid(OrderFulfilment.definition)
    assert "penwidth" not in dot(OrderFulfilment.definition)


def test_deadlines_and_stated_defaults_are_drawn() -> None:
    assert 'deadline_first[/"first"/]' in mermaid(Waiting.definition)
    assert 'deadline_first -->|"due"| end_aborted' in mermaid(Waiting.definition)
    assert 'step_paying -->|"Paid"| end_completed' in mermaid(Flow.definition)
    assert 'step_paying -->|"Declined or overdue"| end_aborted' in mermaid(Flow.definition)


class Odd(ProcessManager, key="id"):
    """Has a span that is no whole number of hours."""

    later = Deadline()
    paying = Step(Pay, done=Paid, within=minutes(90), needs_undo=False, then=Complete("x"), otherwise=Complete("y"))
    taking = Step(Take, done=Taken, within=FOREVER, needs_undo=False, then=Complete("z"))

    @starts
    def begin(self, event: Began) -> Effects[Pay | Take]:
        yield Pay(id=event.id)

    @due(later)
    def late(self) -> Effects[Complete]:
        yield Complete("late")


def test_spans_are_written_in_the_largest_whole_unit() -> None:
    assert "within 90 min" in mermaid(Odd.definition)


def test_labels_are_escaped() -> None:
    assert html('a "b" <c> #1') == "a #quot;b#quot; #lt;c#gt; #35;1"
    assert quoted('a "b"', "c\\d") == '"a \\"b\\"\\nc\\\\d"'


class Billing(ProcessManager, key="id"):
    """Sets its deadline in a helper."""

    pay = Step(Pay, done=Paid, within=FOREVER, needs_undo=False, then=Complete("paid"))
    reminder = Deadline()

    @starts
    def began(self, event: Began) -> Effects[Pay]:
        yield Pay(id=event.id)
        yield from self.remind()

    def remind(self) -> Effects:
        yield self.reminder.after(minutes(5))

    @due(reminder)
    def late(self) -> Effects:
        yield from ()


def test_an_arrow_leads_to_a_deadline_from_the_reaction_that_sets_it() -> None:
    """Also where a helper of the class sets it."""
    edges = {(edge.source, edge.target) for edge in graph(Billing.definition).edges}

    assert ("choice_began", "deadline_reminder") in edges
