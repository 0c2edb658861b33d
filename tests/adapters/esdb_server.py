"""The server that the tests of the EventStoreDB adapter ask: the one that ESDB_URI names, or a development server in this process."""

import atexit
import os
from functools import cache

from process_manager.adapters.memory import MemoryStore
from process_manager.interfaces.devserver import serve


@cache
def server_url() -> str:
    """One server for all tests of a process."""
    if named := os.environ.get("ESDB_URI"):
        return named
    server = serve(MemoryStore(single_active=False))
    atexit.register(server.close)
    return server.url
