"""The event store in memory: the reference that the others are compared with. It is gone when the process ends.

One lock guards everything, and nearly everything is recomputed rather than remembered, so that it is easy to see that it is right.
"""

from process_manager.adapters.memory.store import MemoryStore

__all__ = ["MemoryStore"]
