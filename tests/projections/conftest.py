"""Logs to project: a few dozen orders of the shipped demo, with refusals, retries and compensations."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from process_manager.adapters.memory import MemoryStore
from process_manager.examples.order_fulfilment import app
from process_manager.examples.order_fulfilment.demo import Demo
from process_manager.examples.order_fulfilment.orders import Plan
from process_manager.interfaces.bootstrap import driven_worker
from projections.views import Views


@pytest.fixture(scope="session")
def orders() -> MemoryStore:
    """Sixty orders, lived through."""
    store = MemoryStore()
    worker = driven_worker(app, store)
    Demo(Plan(orders=60, seed=11), store, worker).run()
    worker.close()
    return store


@pytest.fixture
def views(tmp_path: Path) -> Iterator[Views]:
    """An empty database."""
    opened = Views(f"sqlite:///{tmp_path}/views.db")
    yield opened
    opened.close()
