"""The rows that a batch of records leads to, written together at its end."""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, Table, bindparam, delete, insert, select, update
from sqlalchemy.sql import Executable

Row = dict[str, Any]
Key = Any
"""The value of a primary key, or a tuple of its values in the order of the columns."""


class _Pending:
    """What is to be done to one table, at most one thing for each key. It is written in the order deletions, rows, changes."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.columns = [column.name for column in table.primary_key.columns]
        self.blank: Row = {column.name: getattr(column.default, "arg", None) for column in table.columns}
        self.gone: dict[Key, None] = {}
        self.rows: dict[Key, Row] = {}
        self.changes: dict[Key, Row] = {}
        self.conditions = [table.c[column] == bindparam(f"key_{column}") for column in self.columns]
        self.find = select(table).where(*self.conditions)

    def key(self, row: Row) -> Key:
        return row[self.columns[0]] if len(self.columns) == 1 else tuple(row[column] for column in self.columns)

    def parameters(self, key: Key) -> Row:
        """Of a statement that finds a row."""
        values = (key,) if len(self.columns) == 1 else key
        return {f"key_{column}": value for column, value in zip(self.columns, values, strict=True)}

    def full(self, row: Row) -> Row:
        full = self.blank | row
        if len(full) != len(self.blank):
            raise ValueError(f"{self.table.name} has no column {', '.join(sorted(row.keys() - self.blank.keys()))}")
        return full


class Rows:
    """Tables as a projection writes them. Nothing is written before `flush`; later calls see what earlier ones did."""

    def __init__(self, connection: Connection, tables: Mapping[Table, Table]) -> None:
        """`tables` says which table of the database stands for each table of the projections."""
        self._connection = connection
        self._pending = {table: _Pending(actual) for table, actual in tables.items()}

    def insert(self, table: Table, **row: Any) -> None:
        """Add a row whose key is new; columns that are left out have their default, or are null."""
        pending = self._pending[table]
        full = pending.full(row)
        key = pending.key(full)
        if key in pending.rows:
            raise ValueError(f"{table.name} has a row {key!r} already")
        pending.changes.pop(key, None)  # they found no row
        pending.rows[key] = full

    def put(self, table: Table, **row: Any) -> None:
        """Add a row, in place of one with the same key."""
        pending = self._pending[table]
        full = pending.full(row)
        key = pending.key(full)
        pending.changes.pop(key, None)
        pending.gone[key] = None
        pending.rows[key] = full

    def update(self, table: Table, key: Key, **changes: Any) -> None:
        """Change columns of a row; nothing happens where there is none."""
        pending = self._pending[table]
        row = pending.rows.get(key)
        if row is not None:
            row.update(changes)
        elif key in pending.changes:
            pending.changes[key].update(changes)
        elif key not in pending.gone:
            pending.changes[key] = changes

    def delete(self, table: Table, key: Key) -> None:
        """Take a row away, if it is there."""
        pending = self._pending[table]
        pending.changes.pop(key, None)
        if pending.rows.pop(key, None) is None or key in pending.gone:
            pending.gone[key] = None

    def get(self, table: Table, key: Key) -> Row | None:
        """The row as it stands now. One query, unless this batch has written it: for the few records that need it."""
        pending = self._pending[table]
        if key in pending.rows:
            return dict(pending.rows[key])
        if key in pending.gone:
            return None
        found = self._connection.execute(pending.find, pending.parameters(key)).mappings().first()
        return None if found is None else dict(found) | pending.changes.get(key, {})

    def flush(self) -> None:
        """Write everything that is pending."""
        for pending in self._pending.values():
            table, conditions = pending.table, pending.conditions
            self._execute(delete(table).where(*conditions), [pending.parameters(key) for key in pending.gone])
            self._execute(insert(table), list(pending.rows.values()))
            for columns, changes in _by_columns(pending.changes.items()).items():
                change = update(table).where(*conditions).values({column: bindparam(column) for column in columns})
                self._execute(change, [pending.parameters(key) | values for key, values in changes])
            pending.gone, pending.rows, pending.changes = {}, {}, {}

    def _execute(self, statement: Executable, parameters: list[Row]) -> None:
        if parameters:
            self._connection.execute(statement, parameters)


def _by_columns(changes: Iterable[tuple[Key, Row]]) -> dict[tuple[str, ...], list[tuple[Key, Row]]]:
    """Changes of the same columns go into one statement."""
    found: dict[tuple[str, ...], list[tuple[Key, Row]]] = {}
    for key, change in changes:
        found.setdefault(tuple(sorted(change)), []).append((key, change))
    return found
