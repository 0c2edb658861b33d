"""The server that the tests of the EventStoreDB adapter ask: the one that ESDB_URI names, or a development server in this process."""

import atexit
import os
from functools import cache
from urllib.parse import urlsplit, urlunsplit

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


def is_cluster(url: str) -> bool:
    """Whether clients ask the nodes that a URL names which other ones there are."""
    parts = urlsplit(url)
    return "," in parts.netloc or parts.scheme.endswith("+discover")


def server_place() -> tuple[str, int]:
    """Host and port of the server, which is a single node."""
    parts = urlsplit(server_url())
    return parts.hostname or "127.0.0.1", parts.port or 2113


def through(port: int, options: str = "") -> str:
    """The server's address with another port of this machine, behind which it is, too; and with more options."""
    parts = urlsplit(server_url())
    host = "localhost" if parts.hostname == "localhost" else "127.0.0.1"  # one that its certificate names
    user, at, _ = parts.netloc.rpartition("@")
    query = "&".join(filter(None, [parts.query, options]))
    return urlunsplit(parts._replace(netloc=f"{user}{at}{host}:{port}", query=query))
