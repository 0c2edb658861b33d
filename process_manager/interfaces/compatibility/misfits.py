"""Whether the instances in a store can go on with the process classes of an app. `core.misfits` judges one of them."""

from collections.abc import Iterator, Mapping
from typing import Any

from process_manager.core.definition import Definition
from process_manager.core.misfits import Misfit, misfits
from process_manager.errors import MessageError
from process_manager.interfaces.reading.histories import instances
from process_manager.ports import EventStore
from process_manager.runtime.instances import load

COLUMNS = ("instance", "version", "status", "kind", "name", "problem")


class InstanceCheck:
    """Checks the instances of an app's processes; `instances` and `misfits` are counted while `rows` is read."""

    def __init__(self, store: EventStore, definitions: Mapping[str, Definition]) -> None:
        self.instances = 0
        self.misfits = 0  # instances that have at least one
        self._store = store
        self._definitions = definitions

    def rows(self) -> Iterator[dict[str, Any]]:
        """A row of COLUMNS for each thing that an instance needs and the app does not have. Raises StoreError."""
        for stream in instances(self._store):
            process, _, key = stream.partition("-")
            if process in self._definitions:
                self.instances += 1
                found = list(self._of(self._definitions[process], key))
                self.misfits += bool(found)
                yield from found

    def _of(self, definition: Definition, key: str) -> Iterator[dict[str, Any]]:
        try:
            instance = load(self._store, definition, key)
        except MessageError as error:
            yield _row(f"{definition.name}-{key}", 0, "", Misfit("state", definition.name, f"it cannot be rebuilt: {error}"))
            return
        status = "suspended" if instance.suspended else instance.status
        for each in misfits(definition, instance):
            yield _row(instance.stream, instance.definition_version, status, each)


def _row(stream: str, version: int, status: str, misfit: Misfit) -> dict[str, Any]:
    return {"instance": stream, "version": version, "status": status} | misfit._asdict()
