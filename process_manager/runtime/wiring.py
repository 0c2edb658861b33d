"""Roles put together to a worker, from an app and the adapters that somebody else has chosen."""

from collections.abc import Callable, Collection
from functools import partial
from typing import Literal, get_args

from process_manager.ports import Clock, DeadlineIndex, EventStore, Filter
from process_manager.runtime.app import App
from process_manager.runtime.call_runner import CallRunner
from process_manager.runtime.counters import Counters
from process_manager.runtime.deadlines import DeadlineRunner
from process_manager.runtime.groups import ensure_groups
from process_manager.runtime.handler_runner import HandlerRunner
from process_manager.runtime.handlers import bind_handlers, command_filter, group_settings
from process_manager.runtime.router import Router
from process_manager.runtime.turns import TurnRunner
from process_manager.runtime.worker import Role, Worker

RoleName = Literal["processes", "handlers", "deadlines"]
ROLES: tuple[RoleName, ...] = get_args(RoleName)


def build_worker(
    app: App,
    store: EventStore,
    clock: Clock,
    index: DeadlineIndex,
    *,
    member: str = "worker",
    only: Collection[RoleName] = ROLES,
    progress: Callable[[Counters], None] | None = None,
) -> Worker:
    """A worker for all that an app does, or only for some roles."""
    counters = Counters()
    roles: dict[str, Role] = {}
    if "processes" in only and app.definitions:
        router = Router(app.definitions, store)
        name, older = ensure_groups(store, app.name, "processes", Filter(types=router.types))
        for group in (name, *older):
            join = partial(store.join, group, member)
            roles[group] = TurnRunner(store, join(), router, clock, counters, rejoin=join)
    if "handlers" in only and app.handlers:
        roles |= _handler_roles(app, store, clock, counters, member)
    deadlines = None
    if "deadlines" in only and app.definitions:
        deadlines = DeadlineRunner(store, app.definitions, index, clock, counters)
    return Worker(store, roles, deadlines, counters, progress)


def _handler_roles(app: App, store: EventStore, clock: Clock, counters: Counters, member: str) -> dict[str, Role]:
    """Quick handlers run inline, all others beside them, each kind in a group of its own."""
    handlers = bind_handlers(app.handlers, app.resources)
    roles: dict[str, Role] = {}
    for role, make, chosen in (
        ("handlers", HandlerRunner, [each for each in handlers if each.inline]),
        ("calls", CallRunner, [each for each in handlers if not each.inline]),
    ):
        if chosen:
            name, older = ensure_groups(store, app.name, role, command_filter(chosen), group_settings(chosen))
            for group in (name, *older):
                join = partial(store.join, group, member)
                roles[group] = make(store, join(), chosen, clock, counters, rejoin=join)
    return roles
