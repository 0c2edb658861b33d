"""A worker's log on stderr: text on a terminal, JSON Lines otherwise."""

import logging
import sys
from typing import Any


def set_up_logging() -> None:
    """Let everything from INFO on be written, in place of what was set up before."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Text("%(asctime)s %(levelname)s %(message)s") if sys.stderr.isatty() else _Json())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)


_ALWAYS_THERE = {*vars(logging.makeLogRecord({})), "message", "asctime"}


def _extras(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name, value in vars(record).items() if name not in _ALWAYS_THERE}


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        extras = " ".join(f"{name}={value}" for name, value in _extras(record).items())
        return f"{super().format(record)}  {extras}".rstrip()


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
