"""A wrapper around a real store that fails, delivers twice or holds back, as a test wants it to."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from typing_extensions import TypeVar

from process_manager.ports import Appended, Block, Consumer, Delivery, EventStore, Filter, GroupInfo, GroupSettings, Nack, Subscription

if TYPE_CHECKING:
    from process_manager.errors import StoreError

T = TypeVar("T")


class Crash(BaseException):
    """The process ends here. It is no Exception, so that no `except Exception` catches it, as none would catch a SIGKILL."""


class Faults:
    """What may go wrong between a worker and its store. This one lets everything pass; others override what they harm."""

    def write(self, what: str, parts: int, do: Callable[[int], T]) -> T:  # noqa: ARG002  for those who harm
        """A write or acknowledgement of so many parts, which a store may do one by one; `do(n)` does the first n of them."""
        return do(parts)

    def deliver(self, group: str, found: Sequence[Delivery]) -> Sequence[Delivery]:  # noqa: ARG002  the same
        """What the worker gets of what its group delivers."""
        return found

    def hidden(self, group: str) -> int:  # noqa: ARG002  the same
        """How many deliveries of a group are held back, as if they were not there."""
        return 0

    def let_go(self, *, publishing: bool) -> bool:  # noqa: ARG002  the same
        """Called when nothing else is left to do before a later input is published, or else a deadline passes or the run ends: whether
        anything was held back that now will come."""
        return False

    def another(self) -> "Faults | None":
        """What another worker meets on the same store when this one has come to its end; None: there is no other."""
        return None


class FailAt(Faults):
    """Fails at the n-th point, by a crash or by another error. A write of two parts has three: before it, between the two, after it."""

    def __init__(self, number: int, error: type[BaseException] = Crash) -> None:
        self.where = ""
        self._left = number
        self._error = error

    def write(self, what: str, parts: int, do: Callable[[int], T]) -> T:
        if self.where:
            if self._error is Crash:
                raise Crash(self.where)  # the process is gone: whatever of it still runs writes nothing more
            return do(parts)
        if self._left > parts:
            self._left -= parts + 1
            return do(parts)
        place = "before" if self._left == 0 else "after" if self._left == parts else f"after {self._left} of {parts} parts of"
        self.where = f"{place} the {what}"
        if self._left:
            do(self._left)
        raise self._error(self.where)


class Seen(Faults):
    """Lets everything pass and notes what is delivered, and by which group."""

    def __init__(self) -> None:
        self.deliveries: list[tuple[str, Delivery]] = []

    def deliver(self, group: str, found: Sequence[Delivery]) -> Sequence[Delivery]:
        self.deliveries += [(group, each) for each in found]
        return found


class Twice(Faults):
    """Hands the n-th delivery out once more: with it, or with the next batch of its group."""

    def __init__(self, number: int, *, later: bool) -> None:
        self._left = number
        self._later = later
        self._again: list[tuple[str, Delivery]] = []

    def deliver(self, group: str, found: Sequence[Delivery]) -> Sequence[Delivery]:
        again = [each for its_group, each in self._again if its_group == group]
        self._again = [each for each in self._again if each[0] != group]
        if 0 <= self._left < len(found):
            twice = found[self._left]._replace(retries=1)
            if self._later:
                self._again.append((group, twice))
            else:
                again.append(twice)
        self._left -= len(found)
        return [*again, *found]


class Again(Seen):
    """Hands the n-th delivery out once more to another worker, when this one has come to its end."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self._number = number

    def another(self) -> Faults:
        return _First(*self.deliveries[self._number])


class _First(Faults):
    """Hands out, with the first batch of its group, what another worker has had already."""

    def __init__(self, group: str, delivery: Delivery) -> None:
        self._group = group
        self._deliveries = [delivery._replace(retries=1)]

    def deliver(self, group: str, found: Sequence[Delivery]) -> Sequence[Delivery]:
        if group != self._group:
            return found
        again, self._deliveries = self._deliveries, []
        return [*again, *found]


class HeldBack(Faults):
    """Keeps an input of the processes back, by its group and id, until another was taken (then they are `swapped`) or, where that one
    follows from it, nothing else is left to do; `over_time`, a deadline would pass."""

    def __init__(self, held: tuple[str, str], until: tuple[str, str], *, over_time: bool) -> None:
        self._over_time = over_time
        self._back = held
        self._until = until
        self.swapped = False
        self._held: list[Delivery] = []
        self._free = False

    def deliver(self, group: str, found: Sequence[Delivery]) -> Sequence[Delivery]:
        if ".processes." not in group:
            return found
        out: list[Delivery] = []
        if self._free:
            out, self._held = self._held, []
        for delivery in found:
            which = (group, delivery.record.id)
            (self._held if which == self._back and not self._free else out).append(delivery)
            self.swapped = self.swapped or (which == self._until and bool(self._held))
            self._free = self._free or self.swapped
        return out

    def hidden(self, group: str) -> int:
        return 0 if self._free or ".processes." not in group else len(self._held)

    def let_go(self, *, publishing: bool) -> bool:
        self._free = self._free or (bool(self._held) and not (publishing and self._over_time))
        return bool(self._held) and self._free


class FaultyStore:
    """The store of one process. Only what changes something is wrapped; the rest goes straight through."""

    def __init__(self, store: EventStore, faults: Faults) -> None:
        self._store = store
        self._faults = faults
        self._opened: list[Consumer | Subscription] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    @property
    def as_store(self) -> EventStore:
        """Itself, as the type checker cannot see through `__getattr__`."""
        return cast("EventStore", self)

    def append(self, block: Block) -> Appended:
        return self._faults.write(f"append to {_named(block)}", 1, lambda _: self._store.append(block))

    def append_many(self, blocks: Sequence[Block], lease: Consumer | None = None) -> "Sequence[Appended | StoreError]":
        inner = lease.inner if isinstance(lease, _FaultyConsumer) else lease
        what = f"append to {', '.join(map(_named, blocks))}"
        return self._faults.write(what, len(blocks), lambda parts: self._store.append_many(blocks[:parts], inner))

    def create_group(self, name: str, *, where: Filter, after: int = -1, settings: GroupSettings | None = None) -> None:
        self._faults.write(
            f"creation of the group {name}", 1, lambda _: self._store.create_group(name, where=where, after=after, settings=settings)
        )

    def delete_group(self, name: str) -> None:
        self._faults.write(f"deletion of the group {name}", 1, lambda _: self._store.delete_group(name))

    def groups(self) -> Sequence[GroupInfo]:
        return [self._seen(each) for each in self._store.groups()]

    def group(self, name: str) -> GroupInfo:
        return self._seen(self._store.group(name))

    def _seen(self, group: GroupInfo) -> GroupInfo:
        return replace(group, lag=group.lag - self._faults.hidden(group.name))

    def join(self, group: str, member: str) -> Consumer:
        inner = self._store.join(group, member)
        self._opened.append(inner)
        return _FaultyConsumer(group, inner, self._faults)

    def subscribe(self, *, after: int = -1, where: Filter = Filter()) -> Subscription:  # noqa: B008  frozen
        subscription = self._store.subscribe(after=after, where=where)
        self._opened.append(subscription)
        return subscription

    def abandon(self) -> None:
        """The process is gone: the store notices that its connections are."""
        for each in self._opened:
            each.leave() if hasattr(each, "leave") else each.close()


class _FaultyConsumer:
    """A member of a group, behind faults."""

    def __init__(self, group: str, inner: Consumer, faults: Faults) -> None:
        self.inner = inner
        self._group = group
        self._faults = faults

    @property
    def active(self) -> bool:
        return self.inner.active

    @property
    def renewals(self) -> int:
        return self.inner.renewals

    def fetch(self, limit: int, timeout: float = 0.0) -> Sequence[Delivery]:
        return self._faults.deliver(self._group, self.inner.fetch(limit, timeout))

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        self._faults.write(f"ack of {_types(deliveries)}", len(deliveries), lambda parts: self.inner.ack(deliveries[:parts]))

    def nack(self, deliveries: Sequence[Delivery], action: Nack, reason: str = "") -> None:
        what = f"nack ({action.value}) of {_types(deliveries)}"
        self._faults.write(what, len(deliveries), lambda parts: self.inner.nack(deliveries[:parts], action, reason))

    def leave(self) -> None:
        self.inner.leave()


def _named(block: Block) -> str:
    return f"{block.stream} [{', '.join(record.type for record in block.records)}]"


def _types(deliveries: Sequence[Delivery]) -> str:
    return ", ".join(delivery.record.type for delivery in deliveries) or "nothing"
