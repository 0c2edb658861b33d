"""A worker's counters for Prometheus and its health, over a small HTTP server on the loopback interface.

Needs the extra `metrics` (`prometheus_client`).
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from process_manager.errors import StoreError
from process_manager.interfaces.monitoring.stopped_instances import StoppedInstances

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

    from prometheus_client.metrics_core import Metric

    from process_manager.core.definition import Definition
    from process_manager.ports import EventStore, GroupInfo
    from process_manager.runtime.worker import Worker

SILENCE = 30.0
"""Seconds without a finished step after which a worker counts as stuck."""

Families = Iterable["Metric"]

_GROUP_GAUGES: tuple[tuple[str, str, "Callable[[GroupInfo], float]"], ...] = (
    ("lag_records", "Matching records that wait for their first delivery or an acknowledgement (counted to 10,000)", lambda it: it.lag),
    ("lag_seconds", "Age of the oldest of them", lambda it: _age(it.oldest)),
    ("in_flight", "Deliveries that are not acknowledged yet", lambda it: it.in_flight),
    ("parked_records", "Records set aside, see pm parked", lambda it: it.parked),
    ("consumers", "Active members", lambda it: it.consumers),
)


def _age(created: int | None) -> float:
    return 0.0 if created is None else max(0.0, datetime.now(UTC).timestamp() - created / 1_000_000)


class WorkerCollector(Collector):
    """Collects the worker's counters, its groups and the log when Prometheus asks, and only then."""

    def __init__(self, worker: "Worker", store: "EventStore", definitions: "Mapping[str, Definition]") -> None:
        self._worker = worker
        self._store = store
        self._stopped = StoppedInstances(store, definitions)

    def collect(self) -> "Iterator[Metric]":
        yield from self._counters()
        yield self._latency()
        yield from self._stored()

    def _stored(self) -> "Iterator[Metric]":
        """The figures that need the store. While it does not answer, `pm_store_up` is 0 and they are left out."""
        up, found = 1, []
        try:
            found = [*self._deadlines(), *self._groups(), *self._standing()]
        except StoreError:
            up = 0
        yield GaugeMetricFamily("pm_store_up", "Whether the store answers; without it the figures of groups and instances are left out", up)
        yield from found

    def _counters(self) -> Families:
        for name, count in self._worker.counters.as_dict().items():
            yield CounterMetricFamily(f"pm_{name}", f"{name} since the worker started", value=count)

    def _latency(self) -> "Metric":
        latency = self._worker.counters.event_to_command
        help_ = "Seconds from an event's append to the append of the commands it led to"
        buckets = [(f"{bound:g}" if bound < float("inf") else "+Inf", count) for bound, count in latency.cumulative()]
        return HistogramMetricFamily("pm_event_to_command_seconds", help_, buckets=buckets, sum_value=latency.total)

    def _deadlines(self) -> Families:
        if self._worker.deadlines is not None:
            deadlines = self._worker.deadlines
            next_due = deadlines.next_due()
            late = 0.0 if next_due is None else max(0.0, (datetime.now(UTC) - next_due).total_seconds())
            yield GaugeMetricFamily("pm_deadlines_pending", "Deadlines that are set and have not passed", value=deadlines.pending())
            yield GaugeMetricFamily("pm_deadlines_late_seconds", "For how long the earliest of them has been due", value=late)

    def _groups(self) -> Families:
        groups = [self._store.group(name) for name in self._worker.groups]
        for name, help_, value in _GROUP_GAUGES:
            family = GaugeMetricFamily(f"pm_group_{name}", help_, labels=["group"])
            for group in groups:
                family.add_metric([group.name], value(group))
            yield family

    def _standing(self) -> Families:
        counts = self._stopped.counts()
        if counts is not None:
            family = GaugeMetricFamily("pm_instances_standing_still", "Instances that wait for an operator", labels=["status"])
            for status, count in counts.items():
                family.add_metric([status], count)
            yield family


def health(worker: "Worker") -> str | None:
    """What is wrong with a worker, None when nothing is."""
    silent = worker.silent_for()
    if worker.store_trouble:
        return f"the store is unavailable: {worker.store_trouble}"
    return f"no step has ended for {silent:.0f} seconds" if silent > SILENCE else None


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the name that the base class gives it
        """Do not log requests: there is a scrape every few seconds."""


def serve_metrics(
    worker: "Worker", store: "EventStore", definitions: "Mapping[str, Definition]", port: int
) -> AbstractContextManager[int]:  # fmt: skip
    """Answer `/metrics` and `/healthz` until the block ends. Yields the port, a free one for 0. Raises OSError when it is taken."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(WorkerCollector(worker, store, definitions))
    metrics = make_wsgi_app(registry)

    def answer(environ: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
        match environ["PATH_INFO"]:
            case "/metrics":
                body: Iterable[bytes] = metrics(environ, start)
                return body
            case "/healthz":
                wrong = health(worker)
                return _plain(start, "503 Service Unavailable" if wrong else "200 OK", wrong or "ok")
            case _:
                return _plain(start, "404 Not Found", "there are /metrics and /healthz")

    return _running(make_server("127.0.0.1", port, answer, server_class=_Server, handler_class=_Quiet))


@contextmanager
def _running(server: WSGIServer) -> Iterator[int]:
    with server:
        threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
        try:
            yield server.server_port
        finally:
            server.shutdown()


def _plain(start: "StartResponse", status: str, text: str) -> list[bytes]:
    start(status, [("Content-Type", "text/plain; charset=utf-8")])
    return [f"{text}\n".encode()]
