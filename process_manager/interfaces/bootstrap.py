"""The one place that picks adapters: opens the store at an address, and builds workers for an app."""

import gc
import os
from collections.abc import Callable, Collection
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from process_manager.errors import NotAStore, StoreReadOnly
from process_manager.interfaces.address import Address, read_address, shown
from process_manager.interfaces.file_locks import lock_until_exit

if TYPE_CHECKING:
    from process_manager.adapters.clock import DrivenClock, RealClock
    from process_manager.ports import DeadlineIndex, EventStore, GroupSettings
    from process_manager.runtime.app import App
    from process_manager.runtime.counters import Counters
    from process_manager.runtime.reconcile import Pass
    from process_manager.runtime.wiring import RoleName
    from process_manager.runtime.worker import Worker

ClockName = Literal["real", "driven"]


def open_store(url: str, *, create: bool = True) -> "EventStore":
    """The store at an address. A file that is not there is created, unless `create` is False.

    Raises BadAddress, NotAStore, and what opening a file or connecting raises: StoreTooNew, StoreReadOnly, StoreUnavailable, AccessDenied.
    """
    address = read_address(url)
    if address.server is not None:
        return _server_store(url)
    path = address.path
    if path is None:
        from process_manager.adapters.memory import MemoryStore

        return MemoryStore()
    from process_manager.adapters.sqlite import SqliteStore

    if create and not path.exists():
        _forget_index(path)
    return SqliteStore(path, create=create)


def _server_store(url: str) -> "EventStore":
    try:
        from process_manager.adapters.esdb.store import EsdbStore
    except ModuleNotFoundError as error:
        if error.name not in {"esdbclient", "grpc"}:
            raise
        raise NotAStore("EventStoreDB needs its client: pip install 'process-manager[esdb]'") from error
    return EsdbStore(url)


def open_log(url: str) -> "EventStore":
    """The store at an address, for commands that only look: a file is opened so that nothing can be written to it."""
    path = read_address(url).path
    if path is None:
        return open_store(url)
    from process_manager.adapters.memory import MemoryStore
    from process_manager.adapters.sqlite import SqliteStore

    empty = path.exists() and not path.stat().st_size  # as `touch` leaves it: no store yet, and not made one by looking
    return MemoryStore() if empty else SqliteStore(path, create=False, read_only=True)


def refuse_imported(store: "EventStore", url: str) -> None:
    """Raise StoreReadOnly for a log of imported histories: a worker there would act on the past once more."""
    from process_manager.interfaces.reading.histories import imported

    if imported(store) is not None:
        raise StoreReadOnly(f"{shown(url)} holds imported histories, on which nothing may run: look at them, or name another store")


def open_index(url: str) -> "DeadlineIndex":
    """The deadline index that belongs to a store: in a file beside it, in the user's cache for a server, or in memory where there is none.

    One worker at a time has the file; the others, who stand by, build theirs in memory from the log.
    """
    from process_manager.adapters.deadline_index import SqliteDeadlineIndex

    path = _index_of(read_address(url))
    mine = path is not None and lock_until_exit(path.with_name(f"{path.name}.lock"))
    return SqliteDeadlineIndex(path if mine else None)


def _index_of(address: Address) -> Path | None:
    if address.path is not None:
        return _beside(address.path)
    if address.server is None:
        return None
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "process-manager"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        return None
    return folder / f"{address.server.digest}.deadlines"


def _beside(path: Path, more: str = "") -> Path:
    return path.with_name(f"{path.name}.deadlines{more}")


def _forget_index(path: Path) -> None:
    """Delete the index beside a store that is not there yet: it belonged to an earlier file of that name."""
    for more in ("", "-wal", "-shm"):
        _beside(path, more).unlink(missing_ok=True)


def _clock(name: ClockName) -> "RealClock | DrivenClock":
    """The clock of this name."""
    from process_manager.adapters.clock import DrivenClock, RealClock

    return DrivenClock() if name == "driven" else RealClock()


def build(
    app: "App",
    url: str,
    store: "EventStore",
    *,
    clock: ClockName = "real",
    only: "Collection[RoleName] | None" = None,
    progress: "Callable[[Counters], None] | None" = None,
    start: str | None = None,
    take_over: bool = False,
) -> "Worker":
    """A worker for an app on the open store at an address.

    `start` is where the groups of an app that is new begin: `start`, `now`, or a position as text; None leaves it to the store.
    Raises StoreReadOnly for imported histories, StartNotNamed, CommandOwned, StoreError.
    """
    from process_manager.runtime.wiring import ROLES, build_worker

    refuse_imported(store, url)
    collect_less()
    with ExitStack() as unused:
        index = unused.enter_context(closing(open_index(url)))
        worker = build_worker(
            app, store, _clock(clock), index, member=_member(), only=only or ROLES, progress=progress,
            start=_start_after(store, start), take_over=take_over,
        )  # fmt: skip
        if worker.deadlines is not None:
            unused.pop_all()  # the worker closes it
    return worker


def reconcile(app: "App", store: "EventStore", clock: ClockName, since: str | None, types: "Collection[str]") -> "Pass":
    """A pass that offers the log to the app's processes once more; `since` as `start` of `build`. Raises GroupNotFound."""
    from process_manager.runtime.reconcile import Pass
    from process_manager.runtime.wiring import process_share

    collect_less()
    after = _start_after(store, since)
    return Pass(store, app.definitions, process_share(app), _clock(clock), since=after, types=types or None)


def prepare(
    app: "App", store: "EventStore", only: "Collection[RoleName] | None", *, start: str | None, take_over: bool = False,
    change: "Callable[[GroupSettings], GroupSettings] | None" = None,
) -> None:  # fmt: skip
    """Create what an app's workers need on a store, or refuse, as `build` does, before any of them is started."""
    from process_manager.runtime import wiring

    wiring.prepare(app, store, only or wiring.ROLES, start=_start_after(store, start), take_over=take_over, change=change)


def _start_after(store: "EventStore", start: str | None) -> int | None:
    """The position behind which `start`, `now` or a number begins."""
    from process_manager.ports import BEFORE_ALL

    if start is None:
        return None
    return {"start": BEFORE_ALL, "now": store.last_position()}[start] if start in {"start", "now"} else int(start)


def collect_less() -> None:
    """Let Python collect garbage less often: with thousands of cached instances a collection is slow, and a worker makes few cycles."""
    gc.set_threshold(100_000, 50, 100)


def _member() -> str:
    import platform

    return f"{platform.node() or 'worker'}:{os.getpid()}"


def driven_worker(app: "App", store: "EventStore") -> "Worker":
    """A worker for all roles of an app, whose time moves only by TimePassed messages in the log. Its deadline index is in memory."""
    from process_manager.adapters.deadline_index import SqliteDeadlineIndex
    from process_manager.runtime.wiring import build_worker

    collect_less()
    return build_worker(app, store, _clock("driven"), SqliteDeadlineIndex(), member=_member())
