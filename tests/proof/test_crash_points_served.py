"""The same walk through the EventStoreDB adapter and the development server, each run with a server of its own."""

from typing import Any

import pytest

pytest.importorskip("esdbclient")

from process_manager.adapters.esdb.store import EsdbStore
from process_manager.adapters.memory import MemoryStore
from process_manager.examples.order_fulfilment import app
from process_manager.interfaces.devserver import serve
from process_manager.testing.crash_points import survives
from tests.proof.orders import order


class ServedStore(EsdbStore):
    """A store behind a server that goes with it."""

    def __init__(self) -> None:
        self._behind = MemoryStore()
        self._server: Any = serve(self._behind, port=0)
        super().__init__(self._server.url)

    def close(self) -> None:
        super().close()
        self._server.close()
        self._behind.close()


def test_an_order_survives_everything_through_a_server() -> None:
    walked = survives(app, [order(skus="", card="declined-")], store=ServedStore)

    assert walked.crashes >= 15
    assert walked.redeliveries >= 9
