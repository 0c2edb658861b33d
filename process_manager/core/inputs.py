"""A message as an instance takes it in, and as a receipt keeps it."""

from dataclasses import dataclass, field
from datetime import datetime

import orjson

from process_manager.core.codec import dumps
from process_manager.core.messages import Json


@dataclass(frozen=True)
class Input:
    """A message that an instance takes in, as it stands in the log."""

    id: str
    type: str
    version: int
    data: bytes  # a JSON object
    metadata: bytes  # a JSON object, or null
    stream: str
    revision: int
    position: int
    time: datetime  # the publisher's, else the store's
    _meta: Json | None = field(default=None, repr=False, compare=False)  # the metadata decoded, where that was done; not written

    @classmethod
    def from_json(cls, raw: Json) -> "Input":
        return cls(
            raw["id"], raw["type"], raw["version"], dumps(raw["data"]), dumps(raw["metadata"]),
            raw["stream"], raw["revision"], raw["position"], datetime.fromisoformat(raw["time"]),
        )  # fmt: skip

    @property
    def meta(self) -> Json:
        """The metadata, decoded."""
        return orjson.loads(self.metadata) or {} if self._meta is None else self._meta
