"""A worker's log on stderr: text on a terminal, JSON Lines otherwise."""

import logging
import sys
from typing import Any

from process_manager.interfaces.cli.progress import CLEAR


def set_up_logging() -> None:
    """Let everything from INFO on be written, in place of what was set up before."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Text(f"{CLEAR}%(asctime)s %(levelname)s %(message)s", "%H:%M:%S") if sys.stderr.isatty() else _Json())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)


_ALWAYS_THERE = {*vars(logging.makeLogRecord({})), "message", "asctime"}


def _extras(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name, value in vars(record).items() if name not in _ALWAYS_THERE}


class _Text(logging.Formatter):
    """A line for people, with what the message does not say itself; a trace stands below it."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  logging's name
        extras = {name: str(value) for name, value in _extras(record).items() if name != "action"}
        more = " ".join(f"{name}={value}" for name, value in extras.items() if value not in record.message)
        return f"{super().formatMessage(record)}  {more}".rstrip()


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        import json
        from datetime import UTC, datetime

        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_extras(record),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)
