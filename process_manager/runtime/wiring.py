"""Builds a worker: the roles of an app on adapters that the caller has chosen."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Literal, get_args
from uuid import uuid4

from process_manager.core.retry import Retry
from process_manager.ports import Clock, Consumer, DeadlineIndex, EventStore, GroupSettings
from process_manager.runtime.app import App
from process_manager.runtime.call_runner import CallRunner
from process_manager.runtime.counters import Counters
from process_manager.runtime.deadlines import DeadlineRunner
from process_manager.runtime.groups import Share, ensure_group
from process_manager.runtime.handler_runner import HandlerRunner
from process_manager.runtime.handlers import THREADS, Handler, bind_handlers, call_settings, command_types, quick_settings
from process_manager.runtime.inbox import RETRY
from process_manager.runtime.instances import Instances
from process_manager.runtime.missed_commands import CommandPass
from process_manager.runtime.owners import own
from process_manager.runtime.reconcile import Pass, Sweep
from process_manager.runtime.router import Router, input_types
from process_manager.runtime.turns import TurnRunner
from process_manager.runtime.worker import Role, Worker

RoleName = Literal["processes", "handlers", "deadlines"]
ROLES: tuple[RoleName, ...] = get_args(RoleName)


def shares(app: App, only: Collection[RoleName] = ROLES) -> list[Share]:
    """What an app takes from the log: inputs of its processes, commands of quick handlers, and of those that are run beside them."""
    found: list[Share] = []
    if "processes" in only and app.definitions:
        found.append(process_share(app))
    if "handlers" in only:
        quick, calls = _handlers(app)
        if quick:
            found.append(Share(app.name, "handlers", command_types(quick), quick_settings()))
        if calls:
            found.append(Share(app.name, "calls", command_types(calls), call_settings(calls)))
    return found


def process_share(app: App) -> Share:
    """What the processes of an app take."""
    return Share(app.name, "processes", input_types(app.definitions), GroupSettings())


def prepare(
    app: App, store: EventStore, only: Collection[RoleName] = ROLES, *, start: int | None = None, take_over: bool = False,
    change: Callable[[GroupSettings], GroupSettings] | None = None,
) -> Mapping[str, Sequence[str]]:  # fmt: skip
    """Let an app own its commands and create its consumer groups on a store, where that is not done yet, before a worker runs.

    Returns the groups by role: that of today's types first, then older ones that are still to be drained. A first group begins after
    the position `start`; with `take_over` the app owns commands that another one handles; `change` alters the settings of new groups.
    Raises StartNotNamed, CommandOwned.
    """
    if "handlers" in only:
        own(store, app.name, app.handled_commands, take_over=take_over)
    chosen = [replace(share, settings=change(share.settings)) if change else share for share in shares(app, only)]
    return {share.role: [share.group, *ensure_group(store, share, start)] for share in chosen}


def build_worker(
    app: App,
    store: EventStore,
    clock: Clock,
    index: DeadlineIndex,
    *,
    member: str = "worker",
    only: Collection[RoleName] = ROLES,
    progress: Callable[[Counters], None] | None = None,
    start: int | None = None,
    take_over: bool = False,
    threads: int = THREADS,
    retry: Retry = RETRY,
) -> Worker:
    """A worker for all that an app does, or only for some roles; `start` and `take_over` as for `prepare`, which raises, `threads` and
    `retry` as for `CallRunner`."""
    counters = Counters()
    groups = prepare(app, store, only, start=start, take_over=take_over)
    roles: dict[str, Role] = {}
    sweeps: list[Sweep] = []
    if "processes" in groups:
        router, instances = Router(app.definitions, store), Instances(store)
        for group in groups["processes"]:
            join = partial(store.join, group, member)
            roles[group] = TurnRunner(store, join(), router, clock, counters, rejoin=join, instances=instances)
        if not store.features.single_active:
            share, runners = process_share(app), list(roles.values())
            offer_again = partial(Pass, store, app.definitions, share, clock, instances=instances)
            sweeps.append(Sweep(store, share.group, offer_again, renewals=lambda: _renewals(runners)))
    quick, calls = _handlers(app)
    handling: dict[str, HandlerRunner | CallRunner] = {}
    for group in groups.get("handlers", ()):
        join = partial(store.join, group, member)
        handling[group] = HandlerRunner(store, join(), quick, clock, counters, rejoin=join, retry=retry)
    for group in groups.get("calls", ()):
        join = partial(store.join, group, member)
        handling[group] = CallRunner(store, join(), calls, clock, counters, rejoin=join, retry=retry, threads=threads)
    if not store.features.single_active:
        found = [(share, handling[share.group]) for share in shares(app, only) if share.group in handling]
        sweeps += [_command_sweep(store, share, quick if share.role == "handlers" else calls, runner) for share, runner in found]
    roles |= handling
    deadlines = None
    if "deadlines" in only and app.definitions:
        deadlines = DeadlineRunner(store, app.definitions, index, clock, counters)
    older = [group for names in groups.values() for group in names[1:]]
    return Worker(store, roles, deadlines, counters, progress, older, sweeps)


def _command_sweep(store: EventStore, share: Share, handlers: Sequence[Handler], runner: HandlerRunner | CallRunner) -> Sweep:
    """What a quick handler has done it recognises by itself; a call may be under way for as long as its delivery may take."""
    age = share.settings.message_timeout if share.role == "calls" else timedelta(0)
    look_again = partial(CommandPass, store, share, handlers, runner.left_out, age=age, worker=str(uuid4()))
    return Sweep(store, share.group, look_again, renewals=lambda: _renewals([runner]))


def _renewals(runners: Sequence[Role]) -> Sequence[tuple[Consumer, int]]:
    """A value that changes when a member of the runners' groups was renewed, by itself or by another consumer in its place."""
    return [(runner.consumer, runner.consumer.renewals) for runner in runners]


def _handlers(app: App) -> tuple[list[Handler], list[Handler]]:
    """Quick handlers run inline, all others beside them, each kind in a group of its own."""
    handlers = bind_handlers(app.handlers, app.resources)
    return [each for each in handlers if each.inline], [each for each in handlers if not each.inline]
