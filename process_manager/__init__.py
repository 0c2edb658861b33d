"""Event-sourced process managers on an event store.

What a definition needs comes from here; stores, workers and the test kit have modules of their own.
"""

from process_manager.core.effects import (
    Abort,
    Compensate,
    Complete,
    Deadline,
    Decision,
    Effects,
    days,
    hours,
    minutes,
    seconds,
)
from process_manager.core.evolve import State, applies
from process_manager.core.messages import Command, Event
from process_manager.core.process import ProcessManager
from process_manager.core.reactions import FAIL, IGNORE, due, on, overdue, starts, undo, wait
from process_manager.core.retry import Retry
from process_manager.core.routing import by, by_correlation_id
from process_manager.core.steps import CONTINUE, FOREVER, Step, all_of, any_of, n_of

__all__ = [
    "CONTINUE",
    "FAIL",
    "FOREVER",
    "IGNORE",
    "Abort",
    "Command",
    "Compensate",
    "Complete",
    "Deadline",
    "Decision",
    "Effects",
    "Event",
    "ProcessManager",
    "Retry",
    "State",
    "Step",
    "all_of",
    "any_of",
    "applies",
    "by",
    "by_correlation_id",
    "days",
    "due",
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
