"""The one place that picks adapters: opens the store at an address, and builds workers for an app."""

import atexit
import gc
import os
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal

from process_manager.errors import BadAddress, NotAStore, StoreReadOnly

if TYPE_CHECKING:
    from process_manager.adapters.clock import DrivenClock, RealClock
    from process_manager.adapters.esdb.address import ServerAddress
    from process_manager.ports import DeadlineIndex, EventStore, GroupSettings
    from process_manager.runtime.app import App
    from process_manager.runtime.counters import Counters
    from process_manager.runtime.reconcile import Pass
    from process_manager.runtime.wiring import RoleName
    from process_manager.runtime.worker import Worker

ClockName = Literal["real", "driven"]

ADDRESSES = (
    "write sqlite:///file.db, sqlite:////absolute/file.db, just file.db, memory:, esdb://host:2113?tls=false, "
    "esdb://user:password@host:2113, or esdb+discover://user:password@cluster:2113"
)


@dataclass(frozen=True, slots=True)
class Address:
    """Where a store is: in a file, on a server, or else in memory."""

    path: Path | None = None
    server: "ServerAddress | None" = None


def read_address(url: str) -> Address:
    """The address that a URL names. Raises BadAddress with what could be written instead."""
    if url in {"memory:", "memory://"}:
        return Address()
    if url.startswith("sqlite:///") and url != "sqlite:///":
        return Address(Path(url.removeprefix("sqlite:///")))
    if ":" not in url and url.endswith(".db"):
        return Address(Path(url))
    from process_manager.adapters.esdb.address import is_server, read_server

    if is_server(url):
        return Address(server=read_server(url))
    raise BadAddress(f"{shown(url)!r} is no address of a store: {ADDRESSES}")


def shown(url: str) -> str:
    """A URL for people and logs: without the user and password that it may hold."""
    return re.sub("//.*@", "//", url)


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
    if path is None or (lock := _lock(path.with_name(f"{path.name}.lock"))) is None:
        return SqliteDeadlineIndex()
    _keep(lock)
    return SqliteDeadlineIndex(path)


def hold_to_serve(url: str) -> bool:
    """Lock a store's file against being served by another process, until this one ends. False where another one serves it already."""
    if (file := _served_lock(url)) is None:
        return True
    if (lock := _lock(file)) is None:
        return not file.exists()  # where there can be no lock, nobody is kept out
    _keep(lock)
    return True


def is_served(url: str) -> bool:
    """Whether a process serves a store's file just now. Nothing is created."""
    file = _served_lock(url)
    if file is None or not file.exists():
        return False
    if (lock := _lock(file)) is None:
        return True
    lock.close()
    return False


def _served_lock(url: str) -> Path | None:
    path = read_address(url).path
    return None if path is None else (taken := path.resolve()).with_name(f"{taken.name}.served.lock")


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


def _keep(lock: IO[bytes]) -> None:
    """Hold a lock until the process ends; however it ends, the system releases it."""
    atexit.register(lock.close)


def _lock(path: Path) -> IO[bytes] | None:
    try:
        import fcntl

        path.touch(mode=0o600)
        file = path.open("ab")
    except (ImportError, OSError):
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    return file


def _beside(path: Path, more: str = "") -> Path:
    return path.with_name(f"{path.name}.deadlines{more}")


def _forget_index(path: Path) -> None:
    """Delete the index beside a store that is not there yet: it belonged to an earlier file of that name."""
    for more in ("", "-wal", "-shm"):
        _beside(path, more).unlink(missing_ok=True)


def pick_clock(name: ClockName) -> "RealClock | DrivenClock":
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
    """A worker for an app on the open store of an address; `start` as `start_after` takes it."""
    from process_manager.runtime.wiring import ROLES, build_worker

    refuse_imported(store, url)
    collect_less()
    return build_worker(
        app, store, pick_clock(clock), open_index(url), member=_member(), only=only or ROLES, progress=progress,
        start=start_after(store, start), take_over=take_over,
    )  # fmt: skip


def reconcile(app: "App", store: "EventStore", clock: ClockName, since: str | None, types: "Collection[str]") -> "Pass":
    """A pass that offers the log to the app's processes once more; `since` as `start_after` takes it. Raises GroupNotFound."""
    from process_manager.runtime.reconcile import Pass
    from process_manager.runtime.wiring import process_share

    collect_less()
    after = start_after(store, since)
    return Pass(store, app.definitions, process_share(app), pick_clock(clock), since=after, types=types or None)


def prepare(
    app: "App", store: "EventStore", only: "Collection[RoleName] | None", *, start: str | None, take_over: bool = False,
    change: "Callable[[GroupSettings], GroupSettings] | None" = None,
) -> None:  # fmt: skip
    """Create what an app's workers need on a store, or refuse, as `build` does, before any of them is started."""
    from process_manager.runtime import wiring

    wiring.prepare(app, store, only or wiring.ROLES, start=start_after(store, start), take_over=take_over, change=change)


def start_after(store: "EventStore", start: str | None) -> int | None:
    """The position that `start` or `now` means, or that is written as a number."""
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


def driven_worker(app: "App", store: "EventStore", progress: "Callable[[Counters], None] | None" = None) -> "Worker":
    """A worker for all roles of an app, whose time moves only by TimePassed messages in the log. Its deadline index is in memory."""
    from process_manager.adapters.deadline_index import SqliteDeadlineIndex
    from process_manager.runtime.wiring import build_worker

    collect_less()
    return build_worker(app, store, pick_clock("driven"), SqliteDeadlineIndex(), member=_member(), progress=progress)
