"""The consumer groups of an app: one for each role, named by what it delivers."""

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha1

import orjson

from process_manager.core.signals import ADDRESSED
from process_manager.errors import GroupExists, GroupNotFound, StartNotNamed, WrongExpectedVersion
from process_manager.ports import BEFORE_ALL, EventStore, Filter, GroupInfo, GroupSettings
from process_manager.runtime.notes import note, read_notes
from process_manager.runtime.swept import note_swept, swept

log = logging.getLogger(__name__)

FOLLOWED = "pm.types-followed"
"""The record that says after which position a role of an app takes records of which types."""


@dataclass(frozen=True, slots=True)
class Share:
    """What one role of an app takes from the log, and how it is delivered."""

    app: str
    role: str
    types: frozenset[str]
    settings: GroupSettings

    @property
    def where(self) -> Filter:
        return Filter(types=self.types)

    @property
    def group(self) -> str:
        return group_name(self.app, self.role, self.types)

    @property
    def prefix(self) -> str:
        """What the names of all groups of the role begin with."""
        return f"{self.app}.{self.role}."


def group_name(app: str, role: str, types: frozenset[str]) -> str:
    """`<app>.<role>.<hash of the types>`: a store does not tell a group's filter, so the name does."""
    digest = sha1("\n".join(sorted(types)).encode(), usedforsecurity=False).hexdigest()
    return f"{app}.{role}.{digest[:10]}"


def ensure_group(store: EventStore, share: Share, start: int | None = None) -> list[str]:
    """Create a role's group if need be; the older groups of the role that are to be worked on beside it.

    A first group starts after the position `start`; where others append to the log too and it holds matching records, that has to be
    named. When the handled types have changed there are groups of the old ones: the new one goes on from the lowest of their
    checkpoints, since receipts make a redelivery harmless and nothing a skipped record. An older group is worked on, if all its types are
    handled still, until it is `drained`; one with other types goes when nobody is in it and nothing is parked there. Raises StartNotNamed.
    """
    groups = _existing(store, [name for name in store.group_names() if name.startswith(share.prefix)])
    older = [group for group in groups if group.name != share.group]
    found = next((group for group in groups if group.name == share.group), None)
    if found is None:
        after = _start(store, share, older, start)
        _follow(store, share, after, anew=not older)
        if not store.features.single_active:
            note_swept(store, share.group, min([after, *(until for group in older if (until := swept(store, group.name)) is not None)]))
        with suppress(GroupExists):  # another worker was quicker
            store.create_group(share.group, where=share.where, after=after, settings=share.settings)
    elif found.settings.message_timeout < share.settings.message_timeout:
        log.warning(
            "%s delivers again after %s, its handlers may take longer: pm subscriptions update %s --message-timeout %d",
            share.group, found.settings.message_timeout, share.group, share.settings.message_timeout.total_seconds(),
            extra={"action": "message_timeout_short"},
        )  # fmt: skip
    return [group.name for group in older if _kept(store, group, share)]


def _existing(store: EventStore, names: Sequence[str]) -> list[GroupInfo]:
    found: list[GroupInfo] = []
    for name in names:
        with suppress(GroupNotFound):  # deleted meanwhile
            found.append(store.group(name))
    return found


def drained(group: GroupInfo) -> bool:
    """Whether nothing is left in a group."""
    return not (group.lag or group.in_flight or group.parked)


def followed(store: EventStore, share: Share) -> Mapping[str, int]:
    """After which position the role takes records of each type, as far as that was ever noted."""
    return {
        type_: value["after"]
        for record in read_notes(store, _notes(share))
        for value in [orjson.loads(record.data)]
        for type_ in value["types"]
    }


def _start(store: EventStore, share: Share, older: Sequence[GroupInfo], start: int | None) -> int:
    noted = followed(store, share)
    first = min(noted.values(), default=BEFORE_ALL)
    if older:  # a group that has acknowledged nothing yet may stand at the beginning
        return max(first, min(group.checkpoint for group in older))
    if start is not None:
        return start
    if noted:  # the group was deleted, or never came to be
        return first
    if store.features.common_log and _has_history(store, share):
        raise StartNotNamed(share.app, share.role)
    return BEFORE_ALL


def _has_history(store: EventStore, share: Share) -> bool:
    """Signals alone are of instances of other apps: without an event of its own this one has none."""
    types = share.types - ADDRESSED.keys()
    return bool(types) and any(True for _ in store.read_all(where=Filter(types=types), limit=1))


def _follow(store: EventStore, share: Share, after: int, *, anew: bool) -> None:
    """Note the types that are new, or all, when the role starts anew."""
    while True:
        types = share.types if anew else share.types - followed(store, share).keys()
        if not types:
            return
        last = read_notes(store, _notes(share), newest=True)
        value = {"types": sorted(types), "after": after}
        if last and orjson.loads(last[0].data) == value:
            return
        with suppress(WrongExpectedVersion):
            store.append(note(_notes(share), last[0].revision if last else -1, FOLLOWED, value))
            return


def _notes(share: Share) -> str:
    return f"pm.follows-{share.app}.{share.role}"


def _kept(store: EventStore, group: GroupInfo, share: Share) -> bool:
    if group.where.types <= share.types:
        return True
    if not group.parked and not group.consumers:
        with suppress(GroupNotFound):
            store.delete_group(group.name)
    return False
