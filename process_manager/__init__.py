"""Event-sourced process managers on an event store.

What a definition, a handler, an app and the code around it need comes from here; stores, workers and the test kit have modules of
their own. Names are looked up when they are first used, so that `pm --help` imports nothing heavy.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from process_manager.core.aggregate import Aggregate, Refused
    from process_manager.core.effects import Abort, Compensate, Complete, Deadline, Decision, Effects, days, hours, minutes, seconds
    from process_manager.core.evolve import State, applies
    from process_manager.core.messages import Command, Event
    from process_manager.core.process import ProcessManager
    from process_manager.core.reactions import FAIL, IGNORE, due, on, overdue, starts, undo, wait
    from process_manager.core.retry import Retry
    from process_manager.core.routing import by, by_correlation_id
    from process_manager.core.saga import Saga, SagaStep
    from process_manager.core.steps import CONTINUE, FOREVER, Step, all_of, any_of, n_of
    from process_manager.interfaces.client import Client
    from process_manager.runtime.app import App
    from process_manager.runtime.handlers import Call, handles
    from process_manager.runtime.repository import Repository

_MODULES = {
    "core.aggregate": ("Aggregate", "Refused"),
    "core.effects": (
        "Abort", "Compensate", "Complete", "Deadline", "Decision", "Effects", "days", "hours", "minutes", "seconds",
    ),
    "core.evolve": ("State", "applies"),
    "core.messages": ("Command", "Event"),
    "core.process": ("ProcessManager",),
    "core.reactions": ("FAIL", "IGNORE", "due", "on", "overdue", "starts", "undo", "wait"),
    "core.retry": ("Retry",),
    "core.routing": ("by", "by_correlation_id"),
    "core.saga": ("Saga", "SagaStep"),
    "core.steps": ("CONTINUE", "FOREVER", "Step", "all_of", "any_of", "n_of"),
    "interfaces.client": ("Client",),
    "runtime.app": ("App",),
    "runtime.handlers": ("Call", "handles"),
    "runtime.repository": ("Repository",),
}  # fmt: skip

_WHERE = {name: f"process_manager.{module}" for module, names in _MODULES.items() for name in names}

__all__ = [
    "CONTINUE",
    "FAIL",
    "FOREVER",
    "IGNORE",
    "Abort",
    "Aggregate",
    "App",
    "Call",
    "Client",
    "Command",
    "Compensate",
    "Complete",
    "Deadline",
    "Decision",
    "Effects",
    "Event",
    "ProcessManager",
    "Refused",
    "Repository",
    "Retry",
    "Saga",
    "SagaStep",
    "State",
    "Step",
    "all_of",
    "any_of",
    "applies",
    "by",
    "by_correlation_id",
    "days",
    "due",
    "handles",
    "hours",
    "minutes",
    "n_of",
    "on",
    "overdue",
    "seconds",
    "starts",
    "undo",
    "wait",
]


def __getattr__(name: str) -> object:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_WHERE[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
