"""The development server: the EventStoreDB protocol over an embedded store."""

from process_manager.interfaces.devserver.security import Security, is_loopback
from process_manager.interfaces.devserver.server import DevServer, PortTaken, check_free, serve

__all__ = ["DevServer", "PortTaken", "Security", "check_free", "is_loopback", "serve"]
