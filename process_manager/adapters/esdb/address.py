"""The address of a server: read once, and shown without its secrets."""

import hashlib
import re
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from process_manager.errors import BadAddress

SCHEMES = {"esdb": "esdb", "kurrentdb": "esdb", "kdb": "esdb"}
SCHEMES |= {f"{name}+discover": "esdb+discover" for name in SCHEMES}

_DEFAULTS = {
    "NodePreference": "leader",
    "DefaultDeadline": "10",  # seconds
    "GossipTimeout": "3",  # seconds
    "MaxDiscoverAttempts": "1",  # for each node of the URL; what needs a connection tries again
    "KeepAliveInterval": "10000",  # milliseconds
    "KeepAliveTimeout": "10000",
}
"""What a URL leaves out."""


def is_server(url: str) -> bool:
    """Whether a URL names an EventStoreDB server."""
    return url.partition("://")[0] in SCHEMES


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """`shown` is for people and logs; the URL with its secrets never leaves but through `uri`."""

    shown: str
    _url: str = field(repr=False)

    def uri(self, connection_name: str) -> str:
        """The URL for esdbclient, which shows `connection_name` to the server's operators."""
        parts = urlsplit(self._url)
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        named = {key.lower() for key in options}
        options |= {key: value for key, value in _DEFAULTS.items() if key.lower() not in named}
        if "connectionname" not in named:
            options["ConnectionName"] = connection_name
        return urlunsplit((SCHEMES[parts.scheme], parts.netloc, "", urlencode(options, quote_via=quote), ""))

    @property
    def digest(self) -> str:
        """A name for a file that belongs to this server."""
        return hashlib.sha256(self.shown.encode()).hexdigest()[:32]


def read_server(url: str) -> ServerAddress:
    """Raises BadAddress for a URL of another form."""
    parts = urlsplit(url)
    hosts = parts.netloc.rpartition("@")[2]
    if parts.scheme not in SCHEMES or not all(map(_names_node, hosts.split(","))):
        raise BadAddress(
            f"{parts.scheme}://{hosts} names no EventStoreDB server: write esdb://HOST:2113?tls=false, or esdb+discover://NAME"
        )
    options = {key.lower(): value.lower() for key, value in parse_qsl(parts.query)}
    if options.get("nodepreference", "leader") != "leader":
        raise BadAddress(f"{hosts}: leave nodePreference out: a worker must read what it has written, and only the leader has all")
    return ServerAddress(f"{SCHEMES[parts.scheme]}://{hosts}", url)


def _names_node(host: str) -> bool:
    """Whether it is HOST or HOST:PORT."""
    found = re.fullmatch(r"(?:\[[^\[\]]+\]|[^:\[\]]+)(?::(\d{1,5}))?", host)
    return found is not None and int(found[1] or 1) in range(1, 65_536)
