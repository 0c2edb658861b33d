"""A worker of the soak: as `pm run` has it, with a clock that stands in a file, and its counts written to another.

python -m scripts.soaking.worker STORE CLOCK COUNTS
"""

import json
import logging
import os
import signal
import struct
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from process_manager.examples.order_fulfilment import app
from process_manager.interfaces import bootstrap
from process_manager.runtime.counters import Counters
from process_manager.runtime.wiring import build_worker

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class FileClock:
    """The time that a file holds, for all processes that read it: microseconds since 1970, eight bytes."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT)

    def now(self, message_time: datetime) -> datetime:  # noqa: ARG002  the port's signature
        (micros,) = struct.unpack("q", os.pread(self._file, 8, 0))
        return EPOCH + timedelta(microseconds=micros)

    def set(self, time: datetime) -> None:
        """It is this time now, for everybody; earlier than before is allowed."""
        os.pwrite(self._file, struct.pack("q", (time - EPOCH) // timedelta(microseconds=1)), 0)


def main(url: str, clock: str, counts: str) -> None:
    """Work until SIGTERM or the end of the store's patience."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(process)d %(levelname)s %(message)s")

    def write(counters: Counters) -> None:
        Path(counts).write_text(json.dumps(counters.as_dict()))

    store = bootstrap.open_store(url)
    bootstrap.collect_less()
    worker = build_worker(app, store, FileClock(Path(clock)), bootstrap.open_index(url), member=f"soak:{os.getpid()}", progress=write)
    signal.signal(signal.SIGTERM, lambda *_: worker.stop())
    worker.run()
    worker.finish()
    write(worker.counters)
    worker.close()
    store.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
