"""A thread that does one thing after the other, and ticks."""

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TypeVar

from process_manager.interfaces.devserver.statuses import shutting_down

logger = logging.getLogger(__name__)

T = TypeVar("T")
Job = Callable[[], None]

TICK = 1.0  # seconds


class Actor:
    """What it does needs no lock, as long as only it touches what is touched."""

    def __init__(self, tick: Job) -> None:
        self._tick = tick
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._closed = False
        self._thread = Thread(target=self._run, name="devserver-groups", daemon=True)
        self._thread.start()

    def post(self, job: Job) -> None:
        """Have something done."""
        self._jobs.put(job)

    def ask(self, job: Callable[[], T]) -> T:
        """Have something done and wait for it; what it raises is raised here."""
        if self._closed:
            raise shutting_down()
        answer: Future[T] = Future()

        def run() -> None:
            try:
                answer.set_result(job())
            except Exception as error:  # noqa: BLE001  it belongs to who asked
                answer.set_exception(error)

        self._jobs.put(run)
        return answer.result()

    def close(self) -> None:
        """Do what waits, then end."""
        self._closed = True
        self._jobs.put(None)
        self._thread.join()
        while not self._jobs.empty():  # somebody asked while it ended
            if job := self._jobs.get():
                self._do(job)

    def _run(self) -> None:
        next_tick = time.monotonic() + TICK
        while True:
            try:
                job = self._jobs.get(timeout=max(0.0, next_tick - time.monotonic()))
            except Empty:
                job = self._tick
            if job is None:
                return
            self._do(job)
            if time.monotonic() >= next_tick:
                next_tick = time.monotonic() + TICK
                if job is not self._tick:
                    self._do(self._tick)

    @staticmethod
    def _do(job: Job) -> None:
        try:
            job()
        except Exception:
            logger.exception("a group failed")
