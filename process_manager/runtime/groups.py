"""The consumer groups of an app: one for each role, named by what it delivers."""

from contextlib import suppress
from hashlib import sha1

from process_manager.errors import GroupExists
from process_manager.ports import BEFORE_ALL, Consumer, EventStore, Filter, GroupSettings


def group_name(app: str, role: str, types: frozenset[str]) -> str:
    """`<app>.<role>.<hash of the types>`: a store does not tell a group's filter, so the name does."""
    digest = sha1("\n".join(sorted(types)).encode(), usedforsecurity=False).hexdigest()
    return f"{app}.{role}.{digest[:10]}"


def join_group(store: EventStore, app: str, role: str, where: Filter, member: str, settings: GroupSettings | None = None) -> Consumer:
    """Become a member of a role's group, creating it if need be.

    When the handled types have changed there is a group of the old ones: the new one goes on from its checkpoint, and the old
    one goes once it holds nothing that was parked.
    """
    name = group_name(app, role, where.types)
    others = [group for group in store.groups() if group.name.startswith(f"{app}.{role}.") and group.name != name]
    if name not in {group.name for group in store.groups()}:
        after = min((group.checkpoint for group in others), default=BEFORE_ALL)
        with suppress(GroupExists):  # another worker was quicker
            store.create_group(name, where=where, after=after, settings=settings)
        for group in others:
            if not group.parked and not group.consumers:
                store.delete_group(group.name)
    return store.join(name, member)
