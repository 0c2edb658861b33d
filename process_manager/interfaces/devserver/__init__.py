"""The development server: the EventStoreDB protocol over an embedded store.

- Calls, by the name of the protocol: `appending`, `batches`, `deleting`, `reading`, `subscribing`, `features`; `groups/` are persistent
  subscriptions. `rpc` makes gRPC methods of them, `calls` holds the long ones, `statuses` are their errors.
- Writing: `writer` is the one thread, `write_rules` judges an append, `expected_versions` and `recent_ids` help it.
- Reading: `log` is the store as EventStoreDB shows it, with `metadata`, `filters`, `sieves`; `feed` pushes what is new.
- On the wire: `wire` and `messages`. The whole: `server`, `security`.
"""

from process_manager.interfaces.devserver.security import Security, is_loopback
from process_manager.interfaces.devserver.server import DevServer, PortTaken, check_free, serve

__all__ = ["DevServer", "PortTaken", "Security", "check_free", "is_loopback", "serve"]
