"""Who may call: everybody on this machine, or whoever has the password, over TLS."""

import base64
import hmac
import ipaddress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

from process_manager.interfaces.devserver.statuses import unauthenticated

USER = "admin"

OPEN = ("/event_store.client.server_features.ServerFeatures/", "/event_store.client.gossip.Gossip/")
"""What a node tells whoever does not say who calls: clients of other languages ask it before they log in."""


@dataclass(frozen=True, slots=True)
class Security:
    """TLS with this certificate and key (PEM), and the password of the user `admin`."""

    certificate: Path
    key: Path
    password: str = field(repr=False)

    def credentials(self) -> Any:
        """What the port is opened with. Raises OSError where a file cannot be read."""
        return grpc.ssl_server_credentials([(self.key.read_bytes(), self.certificate.read_bytes())])


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Guard:
    """Looks at the credentials of every call, as a gRPC server interceptor."""

    def __init__(self, password: str) -> None:
        self._wanted = b"Basic " + base64.b64encode(f"{USER}:{password}".encode())

    def intercept_service(self, continuation: Any, details: Any) -> Any:
        shown = str(dict(details.invocation_metadata).get("authorization", ""))
        if not shown and details.method.startswith(OPEN):
            return continuation(details)
        if hmac.compare_digest(shown.encode(), self._wanted):
            return continuation(details)
        return grpc.stream_stream_rpc_method_handler(_refuse)


def _refuse(_requests: Any, context: Any) -> None:
    refused = unauthenticated()
    context.abort(refused.code, refused.details)
