"""The consumer groups of an app: one for each role, named by what it delivers."""

from contextlib import suppress
from hashlib import sha1

from process_manager.errors import GroupExists, GroupNotFound
from process_manager.ports import BEFORE_ALL, EventStore, Filter, GroupSettings


def group_name(app: str, role: str, types: frozenset[str]) -> str:
    """`<app>.<role>.<hash of the types>`: a store does not tell a group's filter, so the name does."""
    digest = sha1("\n".join(sorted(types)).encode(), usedforsecurity=False).hexdigest()
    return f"{app}.{role}.{digest[:10]}"


def ensure_groups(store: EventStore, app: str, role: str, where: Filter, settings: GroupSettings | None = None) -> tuple[str, list[str]]:
    """The name of a role's group, created if need be, and of older groups of the role that still hold what was parked.

    When the handled types have changed there are groups of the old ones: the new one goes on from the lowest of their checkpoints,
    since receipts make a redelivery harmless and nothing a skipped record. A group that holds nothing parked and has no consumers goes;
    one that does, and whose types are all handled still, is worked on beside the new one, so that what is replayed there is taken.
    """
    name = group_name(app, role, where.types)
    groups = store.groups()
    others = [group for group in groups if group.name.startswith(f"{app}.{role}.") and group.name != name]
    if name not in {group.name for group in groups}:
        after = min((group.checkpoint for group in others), default=BEFORE_ALL)
        with suppress(GroupExists):  # another worker was quicker
            store.create_group(name, where=where, after=after, settings=settings)
    for group in others:
        if not group.parked and not group.consumers:
            with suppress(GroupNotFound):
                store.delete_group(group.name)
    return name, [group.name for group in others if group.parked and group.where.types <= where.types]
