"""Event-sourced process managers on an event store.

What a definition, a handler, an app and the code around it need comes from here; stores, workers and the test kit have modules of
their own.
Names are looked up when they are first used, so that `pm --help` imports nothing heavy.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from process_manager.core.aggregate import Aggregate as Aggregate, Refused as Refused
    from process_manager.core.effects import (
        Abort as Abort,
        Compensate as Compensate,
        Complete as Complete,
        Deadline as Deadline,
        Decision as Decision,
        Effects as Effects,
        days as days,
        hours as hours,
        minutes as minutes,
        seconds as seconds,
    )
    from process_manager.core.evolve import State as State, applies as applies
    from process_manager.core.messages import Command as Command, Event as Event
    from process_manager.core.process import ProcessManager as ProcessManager
    from process_manager.core.reactions import (
        FAIL as FAIL,
        IGNORE as IGNORE,
        due as due,
        on as on,
        overdue as overdue,
        starts as starts,
        undo as undo,
        wait as wait,
    )
    from process_manager.core.retry import Retry as Retry
    from process_manager.core.routing import by as by, by_correlation_id as by_correlation_id
    from process_manager.core.saga import Saga as Saga, SagaStep as SagaStep
    from process_manager.core.steps import (
        CONTINUE as CONTINUE,
        FOREVER as FOREVER,
        Step as Step,
        all_of as all_of,
        any_of as any_of,
        n_of as n_of,
    )
    from process_manager.interfaces.client import Client as Client
    from process_manager.runtime.app import App as App
    from process_manager.runtime.handlers import Call as Call, handles as handles
    from process_manager.runtime.repository import Repository as Repository

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

__all__ = sorted(_WHERE)  # noqa: PLE0605  a list of strings, made from the table above


def __getattr__(name: str) -> object:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_WHERE[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
