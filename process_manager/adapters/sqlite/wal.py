"""The switch to a write-ahead log. It is the one thing for which SQLite does not wait where another connection does the same."""

import sqlite3
import time

from process_manager.adapters.sqlite.errors import PRIMARY

PAUSE = 0.01  # seconds


def switch_to_wal(connection: sqlite3.Connection, patience: float) -> None:
    """Keep a write-ahead log for the file from now on. For `patience` seconds others may be in the way; then raises OperationalError.

    Whoever switches has read the file already and wants to write it. Of two who do so one has to give way: the busy timeout does
    not apply (https://sqlite.org/c3ref/busy_handler.html).
    """
    until = time.monotonic() + patience
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & PRIMARY != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(PAUSE)
