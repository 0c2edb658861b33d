"""The address of a store, as `--store` and `Client` take it."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from process_manager.errors import BadAddress

if TYPE_CHECKING:
    from process_manager.adapters.esdb.address import ServerAddress

ADDRESSES = (
    "write sqlite:///file.db, sqlite:////absolute/file.db, just file.db, memory:, esdb://host:2113?tls=false, "
    "esdb://user:password@host:2113, or esdb+discover://user:password@cluster:2113"
)


@dataclass(frozen=True, slots=True)
class Address:
    """Where a store is: in a file, on a server, or else in memory."""

    path: Path | None = None
    server: "ServerAddress | None" = None


def read_address(url: str) -> Address:
    """The address that a URL names. Raises BadAddress with what could be written instead."""
    if url in {"memory:", "memory://"}:
        return Address()
    if url.startswith("sqlite:///") and url != "sqlite:///":
        return Address(Path(url.removeprefix("sqlite:///")))
    if ":" not in url and url.endswith(".db"):
        return Address(Path(url))
    from process_manager.adapters.esdb.address import is_server, read_server

    if is_server(url):
        return Address(server=read_server(url))
    raise BadAddress(f"{shown(url)!r} is no address of a store: {ADDRESSES}")


def shown(url: str) -> str:
    """A URL for people and logs: without the user and password that it may hold."""
    return re.sub("//.*@", "//", url)
