"""`pm run`."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

import click

from process_manager.interfaces import bootstrap
from process_manager.interfaces.address import read_address, shown
from process_manager.interfaces.cli.errors import ERROR, INTERRUPTED, OK, REFUSED, CliError, say
from process_manager.interfaces.cli.events import Events, opened
from process_manager.interfaces.cli.logs import set_up_logging
from process_manager.interfaces.cli.options import app_option, command, roles_option, start_option, store_option
from process_manager.interfaces.cli.progress import CLEAR, Progress
from process_manager.interfaces.cli.team import FINISHING, Team, stop_with_parent
from process_manager.interfaces.cli.words import counted
from process_manager.interfaces.file_locks import is_served
from process_manager.interfaces.loading import load_app

if TYPE_CHECKING:
    from process_manager.ports import EventStore
    from process_manager.runtime.app import App
    from process_manager.runtime.counters import Counters
    from process_manager.runtime.wiring import RoleName
    from process_manager.runtime.worker import Worker

LAST_PORT = 65535


@command("run", example="pm run --app shop.orders:app --store sqlite:///shop.db\npm run --app shop.orders:app --until-idle")
@app_option
@store_option
@roles_option
@start_option
@click.option("--take-over", is_flag=True, help="Handle the commands that another app has handled so far; stop that app first.")
@click.option("--until-idle", is_flag=True, help="Stop when every input in the log is taken.")
@click.option(
    "--workers", type=click.IntRange(1, 64), default=1, show_default=True, metavar="N",
    help="Run N processes; one that dies is started again. On a file one works and the others stand by.",
)  # fmt: skip
@click.option("--worker", "number", hidden=True, help="This is one of --workers; it ends with its stdin.")
@click.option(
    "--clock", type=click.Choice(["real", "driven"]), default="real", show_default=True,
    help="real: the time on the wall. driven: the time that the log says; with --until-idle everything in the log is taken first, and only "
    "then time jumps from deadline to deadline, so use --feed for recorded events with deadlines between them.",
)  # fmt: skip
@click.option(
    "--feed", metavar="FILE", type=click.Path(),
    help="With --clock driven: publish the events of FILE, lines as for pm publish and sorted by time, each when the deadlines up to its "
    "time have passed; then let the other deadlines pass, and stop. Repeated it changes nothing; after a kill it goes on where it was.",
)  # fmt: skip
@click.option(
    "--metrics", "metrics_port", type=click.IntRange(0, LAST_PORT), metavar="PORT",
    help="Answer /metrics (for Prometheus) and /healthz on 127.0.0.1:PORT; 0 takes a free port and says which. "
    "Of --workers the first has PORT, the next one PORT + 1, and so on.",
)  # fmt: skip
def run_command(**given: Any) -> int:
    """Run the processes, handlers and deadlines of an app.

    Ctrl-C and SIGTERM finish the batch and the calls under way, each for as long as it may take, and leave; a second Ctrl-C leaves
    at once. What is left behind is named, and called again. Start it again at any time, after a kill too: it goes on where it was.
    Any number of workers may run on one store: where several can be active they compete, on a file the others stand by.
    """
    asked = Asked(**given)
    asked.check()
    set_up_logging()
    _check_metrics(asked.metrics_port)
    app = load_app(asked.app_name)
    return _run_team(app, asked) if asked.workers > 1 else _run_worker(app, asked)


@dataclass(frozen=True)
class Asked:
    """The options of the command line."""

    app_name: str
    url: str
    only: "tuple[RoleName, ...] | None"
    start: str | None
    take_over: bool
    until_idle: bool
    workers: int
    number: str | None  # of one of several workers
    clock: bootstrap.ClockName
    feed: str | None
    metrics_port: int | None

    def check(self) -> None:
        """Raises UsageError for options that do not go together."""
        if self.feed is not None and self.clock != "driven":
            raise click.UsageError("--feed needs --clock driven")
        if self.feed is not None and self.only:
            raise click.UsageError("--feed needs --clock driven and every role: leave --only out")
        if self.workers > 1 and self.clock == "driven":
            raise click.UsageError("--workers goes with the real clock: start several pm run instead")
        if self.workers > 1 and (self.metrics_port or 0) + self.workers > LAST_PORT + 1:
            raise click.UsageError(f"--metrics {self.metrics_port}: {self.workers} workers need ports up to {LAST_PORT}")

    def of_member(self, number: int) -> list[str]:
        """The command line of one of several workers; the store's address goes through the environment."""
        roles = ["--only", ",".join(self.only)] if self.only else []
        idle = ["--until-idle"] if self.until_idle else []
        return ["run", "--app", self.app_name, *roles, *idle, *metrics_of(self.metrics_port, number)]


def _run_team(app: "App", asked: Asked) -> int:
    with closing(_shared(asked)) as store:
        bootstrap.refuse_imported(store, asked.url)
        bootstrap.prepare(app, store, asked.only, start=asked.start, take_over=asked.take_over)
        _say_start(app, asked)
        if store.features.single_active:
            say("one worker is active on this store, the others stand by")
    return Team(asked.of_member, asked.workers, {"PM_STORE": asked.url}).run()


def _run_worker(app: "App", asked: Asked) -> int:
    progress = Progress(alone=not asked.number)
    name = f"worker {asked.number}: " if asked.number else ""
    with ExitStack() as stack:
        events = None if asked.feed is None else _ordered(stack.enter_context(opened(asked.feed)), asked.feed, progress, app)
        store = stack.enter_context(closing(_opened(asked)))
        worker = bootstrap.build(
            app, asked.url, store, clock=asked.clock, only=asked.only, start=asked.start, take_over=asked.take_over,
            progress=lambda counters: progress.show(f"{name}so far {summary(counters)}"),
        )  # fmt: skip
        with stopped_by_signals(worker) as got, _observed(worker, store, app, asked.metrics_port, name):
            if asked.number:
                stop_with_parent(worker.stop)
            else:
                _say_start(app, asked)
            try:
                _work(worker, store, asked, events)
                worker.finish()
            finally:
                worker.close()
                progress.clear()
    _sum_up(worker.counters, name)
    if signal.SIGINT in got:
        return INTERRUPTED
    return ERROR if events is not None and events.bad else OK


def _opened(asked: Asked) -> "EventStore":
    """The store, and a word where it is made with nothing to do in it, since its name may be mistyped."""
    path = read_address(asked.url).path
    if asked.feed is None and path is not None and not path.exists():
        say(f"{path} is a new store, which holds no event yet")
    return bootstrap.open_store(asked.url)


def _shared(asked: Asked) -> "EventStore":
    store = _opened(asked)
    if store.features.shared:
        return store
    store.close()
    raise CliError(f"{asked.url} is in the memory of one process: several workers need a store that they share", REFUSED)


def metrics_of(port: int | None, number: int) -> list[str]:
    """The `--metrics` option of the worker with this number: each has a port of its own."""
    return [] if port is None else ["--metrics", str(port + number - 1 if port else 0)]


def _say_start(app: "App", asked: Asked) -> None:
    """Say that the worker runs, so that one that waits for events does not look as if it hung."""
    if is_served(asked.url):
        say(f"{shown(asked.url)} is served by pm store serve just now: give workers the server's URL, or stop it first")
    if asked.until_idle or asked.feed is not None:
        return
    parts = {
        "processes": counted(len(app.definitions), "process", "processes"),
        "handlers": counted(len(app.handlers), "handler"),
        "deadlines": "deadlines",
    }
    runs = ", ".join(parts[role] for role in asked.only or parts)
    workers = f" in {asked.workers} workers" if asked.workers > 1 else ""
    say(f"running {asked.app_name} on {shown(asked.url)}{workers}: {runs}; Ctrl-C to stop")


def _sum_up(counters: "Counters", name: str) -> None:
    """Say what a worker has done, and what is left for somebody to look at."""
    say(name + summary(counters))
    if counters.suspended:
        say("suspended instances wait for somebody: pm list --status suspended shows them")
    if counters.parked:
        say("what was parked waits for a mend and a replay: pm parked list shows it and why; or pm parked drop lets go of it")
    if counters.left:
        say("what was left waits for a worker of a newer version: the log names it, pm subscriptions show GROUP the oldest that waits")


def _check_metrics(port: int | None) -> None:
    """Refuse `--metrics` where it cannot work, before anything is created."""
    if port is None:
        return
    try:
        import process_manager.interfaces.monitoring.metrics  # noqa: F401  only to see that it can be
    except ModuleNotFoundError as error:
        raise CliError("--metrics needs prometheus_client: pip install 'process-manager[metrics]'") from error


@contextmanager
def _observed(worker: "Worker", store: "EventStore", app: "App", port: int | None, name: str) -> Iterator[None]:
    if port is None:
        yield
        return
    from process_manager.interfaces.monitoring.metrics import serve_metrics

    try:
        server = serve_metrics(worker, store, app.definitions, port)
    except OSError as error:
        raise CliError(f"--metrics: port {port} cannot be listened on: {error.strerror or error}", REFUSED) from error
    with server as taken:
        say(f"{name}metrics: http://127.0.0.1:{taken}/metrics")
        yield


def _ordered(source: IO[bytes], file: str, progress: Progress, app: "App") -> Events:
    """The events of a file, which is read twice: the first time only to refuse one that is out of order before anything is published."""
    from process_manager.interfaces.publishing.feeder import NotInOrder, in_order

    if not source.seekable():
        raise CliError(f"{file} cannot be read twice, once to check the order: feed a file", REFUSED)
    events = Events(source, progress, app.messages)
    try:
        for _ in in_order(events.read()):
            pass
    except NotInOrder as error:
        raise CliError(f"{file}, {error}", REFUSED) from error
    source.seek(0)
    return events


def _feed(worker: "Worker", store: "EventStore", events: Events) -> None:
    from process_manager.interfaces.publishing.feeder import Feeder, in_order

    feeder = Feeder(store, worker)
    feeder.feed(in_order(events.read(report=False)))
    say(events.count(feeder.publisher))
    if feeder.late:
        say(f"{feeder.late:,} of them came late: the time in the store had passed theirs, and deadlines with it")


def _work(worker: "Worker", store: "EventStore", asked: Asked, events: Events | None) -> None:
    if events is not None:
        _feed(worker, store, events)
    elif asked.clock == "driven" and asked.until_idle:
        from process_manager.runtime.time_driver import TimeDriver, run_through

        run_through(worker, TimeDriver(store))
    else:
        worker.run(until_idle=asked.until_idle)


def summary(counters: "Counters") -> str:
    """What a worker has done, in one line."""
    done = [(name, count) for name, count in counters.as_dict().items() if count or name in {"turns", "commands"}]
    return ", ".join(f"{count:,} {name.removesuffix('s') if count == 1 else name}" for name, count in done)


@contextmanager
def stopped_by_signals(worker: "Worker") -> Iterator[list[int]]:
    """SIGINT and SIGTERM stop the worker after its batch; a second SIGINT does not wait. Says which signals came."""
    got: list[int] = []

    def stop(number: int, _frame: object) -> None:
        if number == signal.SIGINT and signal.SIGINT in got:
            raise KeyboardInterrupt
        got.append(number)
        worker.stop()
        if number == signal.SIGINT and worker.busy:
            os.write(2, f"{CLEAR if sys.stderr.isatty() else ''}{FINISHING}\n".encode())  # stderr's own buffer may be in use just now

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield got
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
