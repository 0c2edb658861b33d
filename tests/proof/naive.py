"""A second fold, written from what the facts say of themselves and from nothing else: JSON in, a few plain values out, the simplest way."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from process_manager.core.instance import Instance
from process_manager.core.records import Record


@dataclass
class View:
    """What can be said of an instance without its definition."""

    status: str = "not_started"
    life: int = 0
    outcome: str = ""
    suspended: bool = False
    open: set[str] = field(default_factory=set)  # operations of this life that wait for an answer
    kept: set[str] = field(default_factory=set)
    deadlines: set[str] = field(default_factory=set)  # of the process, not of its steps
    taken: set[str] = field(default_factory=set)


def view_of(records: Sequence[Record]) -> View:
    """Fold the records of a stream."""
    view = View()

    for record in records:
        _take(view, record.type, json.loads(record.data), json.loads(record.metadata), record.id)
    return view


def _take(view: View, type_: str, raw: dict[str, Any], meta: dict[str, Any], id_: str) -> None:  # noqa: C901, PLR0912  a list of cases
    if "input" in raw:
        view.taken.add(raw["input"]["id"])
        view.kept.discard(raw["input"]["id"])
    match type_.removeprefix("pm."):
        case "started":
            view.status, view.life, view.outcome = "running", raw["life"], ""
            view.open.clear()
        case "step-completed" | "step-failed" | "step-overdue":
            view.open.discard(raw["operation"])
        case "input-kept":
            view.kept.add(raw["input"]["id"])
        case "input-expired":
            view.kept.discard(raw["expired"])
        case "suspended":
            view.suspended = True
            view.kept.add(raw["input"]["id"])
        case "operator-acted" if raw["action"] == "suspend":
            view.suspended = True
        case "operator-acted" if "deadline" not in raw["action"]:
            view.suspended = False
        case "deadline-set" if "/" not in raw["name"]:
            view.deadlines.add(raw["name"])
        case "deadline-cancelled" | "deadline-reached":
            view.deadlines.discard(raw["name"])
        case "compensation-started":
            view.status, view.outcome = "compensating", raw["reason"]
        case "compensation-failed" if view.status in {"compensating", "compensated", "completed"}:
            view.status = "compensation_failed"
        case "ended":
            view.status, view.outcome = raw["status"], raw["outcome"]
        case _ if "step" in meta:
            view.open.add(meta.get("operation", id_))
        case _:
            pass


def view_by_the_fold(instance: Instance) -> View:
    """The same, of an instance that the fold has made; `taken` holds what it remembers."""
    return View(
        instance.status,
        instance.life,
        instance.outcome,
        bool(instance.suspended),
        {run.operation for run in instance.runs.values() if run.status == "open" and run.life == instance.life},
        set(instance.kept),
        {name for name, timer in instance.timers.items() if timer.due is not None and "/" not in name},
        set(instance.seen),
    )
