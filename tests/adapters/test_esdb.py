"""The EventStoreDB store keeps the contract, on a development server in this process or on the server that ESDB_URI names."""

from pathlib import Path

import pytest

pytest.importorskip("esdbclient", reason="the esdb extra is not installed")

from process_manager.adapters.esdb.store import EsdbStore
from process_manager.ports import EventStore
from process_manager.testing.contract.appending import AppendContract, AppendManyContract
from process_manager.testing.contract.reading import ReadAllContract, ReadStreamContract, SubscriptionContract
from tests.adapters.esdb_server import server_url


class TestEsdb(AppendContract, AppendManyContract, ReadStreamContract, ReadAllContract, SubscriptionContract):
    def open_store(self, place: Path) -> EventStore:
        return EsdbStore(server_url())
