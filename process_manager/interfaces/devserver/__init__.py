"""The development server: the EventStoreDB protocol over an embedded store."""

from process_manager.interfaces.devserver.server import DevServer, PortTaken, serve

__all__ = ["DevServer", "PortTaken", "serve"]
