"""The SQLite store keeps the contract."""

from pathlib import Path

from process_manager.adapters.sqlite import SqliteStore
from process_manager.ports import EventStore
from process_manager.testing.store_contract import StoreContract


class TestSqlite(StoreContract):
    def open_store(self, place: Path) -> EventStore:
        return SqliteStore(place / "store.db")
