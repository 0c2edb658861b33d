"""Histories as the first version that could wrote them, kept for ever.

`python -m tests.core.histories` writes those that are not there yet, and changes none.
"""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import orjson

from process_manager import days, hours, minutes
from process_manager.core.instance import Instance
from process_manager.core.messages import Json
from process_manager.core.records import Record
from process_manager.examples.order_fulfilment.messages import (
    CardCharged,
    CardDeclined,
    Line,
    OrderPlaced,
    OrderShipped,
    ReviewApproved,
    StockReleased,
    StockReserved,
    StockUnavailable,
)
from process_manager.examples.order_fulfilment.process import OrderFulfilment
from process_manager.testing.scenario import START, Scenario, scenario, unsolicited
from tests.core.processes import Closing, Flow, Purchase, Waiting
from tests.core.samples import CLOSED, DECLINED, NOTICED, Noticed, Stuck, began, taken

GOLDEN = Path(__file__).with_name("golden")


def _order(*skus: str, total: int = 50) -> Scenario:
    lines = tuple(Line(sku=sku, quantity=1) for sku in skus)
    return scenario(OrderFulfilment).given(OrderPlaced(order_id="1", lines=lines, total=Decimal(total), card="4"))


def _reserved(sku: str) -> StockReserved:
    return StockReserved(order_id="1", sku=sku, quantity=1)


def _shipped() -> Scenario:
    case = _order("a", "b", total=900).given(_reserved("b"), _reserved("a"), unsolicited(ReviewApproved(order_id="1", reviewer="r")))
    return case.after(hours(1)).given(CardCharged(order_id="1", amount=Decimal(900)), OrderShipped(order_id="1", parcel="p"))


def _undone() -> Scenario:
    case = _order("a", "b").after(minutes(10)).given(_reserved("a"), _reserved("b"), CardDeclined(order_id="1", reason="broke"))
    return case.given(*(StockReleased(order_id="1", sku=sku, quantity=1) for sku in ("a", "b")))


HISTORIES: dict[str, Callable[[], Scenario]] = {
    "order-shipped": _shipped,
    "order-undone": _undone,
    "order-being-undone": lambda: (
        _order("a", "b").given(StockUnavailable(order_id="1", sku="b", wanted=1, available=0)).given(_reserved("a"))
    ),
    "undo-failed": lambda: scenario(Purchase).given(began("a", "b"), taken("a"), taken("b"), DECLINED, Stuck(id="1", item="a")),
    "undo-retried": lambda: scenario(Purchase).given(began("a"), taken("a"), DECLINED).after(hours(1)),
    "early": lambda: scenario(Flow).given(NOTICED, began("a")),
    "expired": lambda: scenario(Flow).given(began("a"), NOTICED).after(days(3)),
    "suspended": lambda: scenario(Flow).given(began(), Noticed(id="1", text="boom"), NOTICED),
    "deadline-moved": lambda: scenario(Waiting).given(began(), Noticed(id="1", text="both")),
    "deadlines-by-hand": lambda: (
        scenario(Waiting)
        .given(began())
        .operator("move-deadline", deadline="first", due=START + days(8))
        .operator("cancel-deadline", deadline="second")
    ),
    "step-by-hand": lambda: _order("a").operator("move-deadline", deadline="reserve_stock", due=START + days(8)).after(hours(1)),
    "retried-by-hand": lambda: (
        scenario(Flow).given(began(), Noticed(id="1", text="boom"), NOTICED).operator("retry").operator("skip", "only a test")
    ),
    "undo-retried-by-hand": lambda: (
        scenario(Purchase).given(began("a", "b"), taken("a"), taken("b"), DECLINED, Stuck(id="1", item="a")).operator("retry")
    ),
    "undo-skipped": lambda: (
        scenario(Purchase).given(began("a"), taken("a"), DECLINED, Stuck(id="1", item="a")).operator("skip", "given back by hand")
    ),
    "stopped-and-cancelled": lambda: (
        scenario(Purchase).given(began("a")).operator("suspend").given(taken("a")).operator("cancel", "closed")
    ),
    "two-lives": lambda: scenario(Closing).given(began("a"), taken("a"), CLOSED).given(began("b")),
}


def state_of(instance: Instance) -> Json:
    """What an instance comes to, in words that no later version has a reason to change."""
    runs = [
        {"step": run.step, "run": run.key, "life": run.life, "attempt": run.attempt, "status": run.status, "undo": run.undo,
         "operation": run.operation, "undoes": run.undoes, "command": run.command.type}
        for run in instance.runs.values()
    ]  # fmt: skip
    return {
        "status": instance.status, "life": instance.life, "definition_version": instance.definition_version, "outcome": instance.outcome,
        "suspended": instance.suspended, "correlation": instance.correlation, "revision": instance.revision, "runs": runs,
        "started_position": instance.started_position, "ended_position": instance.ended_position,
        "started_at": instance.started_at, "ended_at": instance.ended_at, "seen": instance.seen, "joins": instance.joins,
        "events": {type_: payload.revision for type_, payload in instance.events.items()},
        "timers": {name: [timer.generation, timer.due] for name, timer in instance.timers.items()},
        "kept": {id_: [kept.reason, kept.until] for id_, kept in instance.kept.items()},
        "state": None if instance.data is None else instance.data.model_dump(mode="json"),
    }  # fmt: skip


def lines_of(case: Scenario) -> list[bytes]:
    """The records as they were stored, one a line."""
    return [orjson.dumps(each._asdict() | {"data": each.data.decode(), "metadata": each.metadata.decode()}) for each in case.records]


def read(path: Path) -> list[Record]:
    """The records of a history."""
    raw = [orjson.loads(line) for line in path.read_bytes().splitlines()]
    return [Record(**each | {"data": each["data"].encode(), "metadata": each["metadata"].encode()}) for each in raw]


def _write() -> None:
    for name, play in HISTORIES.items():
        path = GOLDEN / f"{name}.jsonl"
        if path.exists():
            continue
        case = play()
        path.write_bytes(b"\n".join(lines_of(case)) + b"\n")
        path.with_suffix(".json").write_bytes(orjson.dumps(state_of(case.instance), option=orjson.OPT_INDENT_2) + b"\n")


if __name__ == "__main__":
    _write()
