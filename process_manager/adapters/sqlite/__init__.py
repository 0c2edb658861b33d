"""The event store in one SQLite file: the default, durable, shared by several processes."""

from process_manager.adapters.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]
