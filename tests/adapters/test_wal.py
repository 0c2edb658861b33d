"""Whatever opens a new SQLite file at the same moment as others gets it, and none is told that it is locked."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from process_manager.adapters.deadline_index import SqliteDeadlineIndex
from process_manager.adapters.sqlite import SqliteStore
from projections.views import Views

AT_ONCE = 4


def open_store(path: Path) -> None:
    SqliteStore(path).close()


def open_index(path: Path) -> None:
    SqliteDeadlineIndex(path).close()


def open_views(path: Path) -> None:
    views = Views(f"sqlite:///{path}")
    views.places()
    views.close()


@pytest.mark.parametrize("opened", [open_store, open_index, open_views])
def test_a_new_file_is_opened_by_several_at_once(opened: Callable[[Path], None], tmp_path: Path) -> None:
    ready = Barrier(AT_ONCE)

    def at_once(path: Path) -> None:
        ready.wait(60)
        opened(path)

    with ThreadPoolExecutor(AT_ONCE) as threads:
        for attempt in range(30):
            list(threads.map(at_once, [tmp_path / str(attempt)] * AT_ONCE))
