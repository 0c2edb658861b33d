"""A group as it is named and defined, and the streams that it keeps."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from esdbclient.protos.Grpc import persistent_pb2
from google.protobuf import json_format

from process_manager.interfaces.devserver.groups.settings import FROM_END, Settings
from process_manager.interfaces.devserver.wire import SPACING, position_on_wire

ALL_STREAM = "$all"
CONFIG_STREAM = "$persistentSubscriptionConfig"
CONFIG_TYPE = "PersistentConfig1"
CHECKPOINT_TYPE = "SubscriptionCheckpoint"

_Filter = persistent_pb2.CreateReq.AllOptions.FilterOptions


class Key(NamedTuple):
    """What a group is known by."""

    stream: str
    group: str

    @property
    def id(self) -> str:
        return f"{self.stream}::{self.group}"

    @property
    def checkpoint_stream(self) -> str:
        return f"$persistentsubscription-{self.id}-checkpoint"

    @property
    def parked_stream(self) -> str:
        return f"$persistentsubscription-{self.id}-parked"

    @property
    def is_all(self) -> bool:
        return self.stream == ALL_STREAM

    def text(self, at: int) -> str:
        """A place in the group's stream, as checkpoints and infos write it."""
        return place_text(position_on_wire(at)) if self.is_all else str(at)

    def place(self, text: str) -> int:
        """The same, read."""
        return int(text.removeprefix("C:").partition("/")[0]) // SPACING - 1 if self.is_all else int(text)


def place_text(wire: int) -> str:
    return f"C:{wire}/P:{wire}"


@dataclass(frozen=True, slots=True)
class Definition:
    """A group: `filter` is that of a group on $all, in the protocol's own form."""

    key: Key
    settings: Settings
    filter: Any = None

    @property
    def start_text(self) -> str:
        return place_text(self.settings.start) if self.key.is_all else str(self.settings.start)

    @property
    def from_end(self) -> bool:
        return self.settings.start == FROM_END


def to_json(definitions: Sequence[Definition]) -> bytes:
    """All groups, as one record keeps them."""
    entries = [
        {
            "stream": it.key.stream,
            "group": it.key.group,
            "settings": it.settings.to_json(),
            "filter": None if it.filter is None else json_format.MessageToDict(it.filter),
        }
        for it in definitions
    ]
    return json.dumps({"version": 1, "entries": entries}).encode()


def from_json(data: bytes) -> list[Definition]:
    entries = json.loads(data)["entries"]
    return [Definition(Key(it["stream"], it["group"]), Settings.from_json(it["settings"]), _filter(it["filter"])) for it in entries]


def _filter(stored: dict[str, Any] | None) -> Any:
    return None if stored is None else json_format.ParseDict(stored, _Filter())
