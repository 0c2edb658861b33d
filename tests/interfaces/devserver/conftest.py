"""Development servers in this process."""

from collections.abc import Iterator

import pytest

pytest.importorskip("esdbclient", reason="the esdb extra is not installed")

from process_manager.adapters.memory import MemoryStore
from process_manager.interfaces.devserver import DevServer, serve


@pytest.fixture
def server() -> Iterator[DevServer]:
    """A server over an empty store in memory."""
    with serve(MemoryStore()) as running:
        yield running
