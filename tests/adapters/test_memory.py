"""The memory store keeps the contract, with standbys and with competing members."""

from pathlib import Path

from process_manager.adapters.memory import MemoryStore
from process_manager.ports import EventStore
from process_manager.testing.store_contract import StoreContract


class TestMemory(StoreContract):
    def open_store(self, place: Path) -> EventStore:
        return MemoryStore()


class TestMemoryCompeting(StoreContract):
    def open_store(self, place: Path) -> EventStore:
        return MemoryStore(single_active=False)
