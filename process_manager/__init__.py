"""Event-sourced process managers on an event store.

What a definition, a handler and an app need comes from here; stores, workers and the test kit have modules of their own.
Names are looked up when they are first used, so that `pm --help` imports nothing heavy.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from process_manager.core.aggregate import Aggregate as Aggregate
    from process_manager.core.aggregate import Refused as Refused
    from process_manager.core.effects import (
        Abort as Abort,
    )
    from process_manager.core.effects import (
        Compensate as Compensate,
    )
    from process_manager.core.effects import (
        Complete as Complete,
    )
    from process_manager.core.effects import (
        Deadline as Deadline,
    )
    from process_manager.core.effects import (
        Decision as Decision,
    )
    from process_manager.core.effects import (
        Effects as Effects,
    )
    from process_manager.core.effects import (
        days as days,
    )
    from process_manager.core.effects import (
        hours as hours,
    )
    from process_manager.core.effects import (
        minutes as minutes,
    )
    from process_manager.core.effects import (
        seconds as seconds,
    )
    from process_manager.core.evolve import State as State
    from process_manager.core.evolve import applies as applies
    from process_manager.core.messages import Command as Command
    from process_manager.core.messages import Event as Event
    from process_manager.core.process import ProcessManager as ProcessManager
    from process_manager.core.reactions import (
        FAIL as FAIL,
    )
    from process_manager.core.reactions import (
        IGNORE as IGNORE,
    )
    from process_manager.core.reactions import (
        due as due,
    )
    from process_manager.core.reactions import (
        on as on,
    )
    from process_manager.core.reactions import (
        overdue as overdue,
    )
    from process_manager.core.reactions import (
        starts as starts,
    )
    from process_manager.core.reactions import (
        undo as undo,
    )
    from process_manager.core.reactions import (
        wait as wait,
    )
    from process_manager.core.retry import Retry as Retry
    from process_manager.core.routing import by as by
    from process_manager.core.routing import by_correlation_id as by_correlation_id
    from process_manager.core.saga import Saga as Saga
    from process_manager.core.saga import SagaStep as SagaStep
    from process_manager.core.steps import (
        CONTINUE as CONTINUE,
    )
    from process_manager.core.steps import (
        FOREVER as FOREVER,
    )
    from process_manager.core.steps import (
        Step as Step,
    )
    from process_manager.core.steps import (
        all_of as all_of,
    )
    from process_manager.core.steps import (
        any_of as any_of,
    )
    from process_manager.core.steps import (
        n_of as n_of,
    )
    from process_manager.runtime.app import App as App
    from process_manager.runtime.handlers import Call as Call
    from process_manager.runtime.handlers import handles as handles
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
