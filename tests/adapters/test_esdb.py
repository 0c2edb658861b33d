"""The EventStoreDB store keeps the contract, on a development server in this process or on the server that ESDB_URI names."""

from pathlib import Path

import pytest

pytest.importorskip("esdbclient", reason="the esdb extra is not installed")

from process_manager.adapters.esdb.store import EsdbStore
from process_manager.ports import EventStore
from process_manager.testing.store_contract import StoreContract
from tests.adapters.esdb_server import server_url


class TestEsdb(StoreContract):
    def open_store(self, place: Path) -> EventStore:
        return EsdbStore(server_url())
