"""A store of each kind, new for each run."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from process_manager.adapters.memory import MemoryStore
from process_manager.adapters.sqlite import SqliteStore
from process_manager.ports import EventStore
from tests.interfaces.conftest import place, pm

__all__ = ["place", "pm"]

NewStore = Callable[[], EventStore]


@pytest.fixture(params=["memory", "memory, competing members", "sqlite"])
def new_store(request: pytest.FixtureRequest, tmp_path: Path) -> NewStore:
    numbers = count()
    if request.param == "sqlite":
        return lambda: SqliteStore(tmp_path / f"{next(numbers)}.db")
    return lambda: MemoryStore(single_active=request.param == "memory")
