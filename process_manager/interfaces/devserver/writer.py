"""The one thread that writes: whatever waits goes into one transaction, so that many appends share one fsync."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from queue import Empty, Queue
from threading import Thread

from process_manager.core.records import NewRecord
from process_manager.errors import StoreError, StoreUnavailable
from process_manager.interfaces.devserver.log import Log
from process_manager.interfaces.devserver.metadata import PREFIX
from process_manager.interfaces.devserver.recent_ids import RecentIds
from process_manager.interfaces.devserver.write_rules import Outcome, Plan, Rules, Write, Written
from process_manager.ports import Appended, Block, ExpectedVersion

MOST = 512  # writes in one transaction
WAITING = 4_096  # writes that wait; who brings more waits too


class Writer:
    """Takes writes from any thread and answers each when it is durable."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._recent = RecentIds()
        self._rules = Rules(log, self._recent)
        self._waiting: Queue[Write | None] = Queue(WAITING)
        self._closed = False
        self._thread = Thread(target=self._run, name="devserver-writer", daemon=True)
        self._thread.start()

    def submit(self, write: Write) -> None:
        """Have it written; `write.done` is called in the writer's thread, or here when it was closed."""
        if self._closed:
            write.done(StoreUnavailable("the server is shutting down"))
        else:
            self._waiting.put(write)

    def append(self, stream: str, records: Sequence[NewRecord], expected: ExpectedVersion) -> Outcome:
        """Append and wait."""
        return self.wait(stream, lambda rules: rules.append(stream, records, expected))

    def wait(self, stream: str, plan: Callable[[Rules], Plan]) -> Outcome:
        """Have what is planned written, and wait for the outcome."""
        answer: Future[Outcome] = Future()
        self.submit(Write(stream, plan, answer.set_result))
        return answer.result()

    def close(self) -> None:
        """Write what waits, then end."""
        self._closed = True
        self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        open_ = True
        while open_:
            batch, open_ = self._take()
            while batch:
                now, batch = _first_of_each_stream(batch)
                self._write(now)

    def _take(self) -> tuple[list[Write], bool]:
        """What waits, and whether more may come."""
        found: list[Write] = []
        write = self._waiting.get()
        try:
            while write is not None:
                found.append(write)
                if len(found) == MOST:
                    return found, True
                write = self._waiting.get_nowait()
        except Empty:
            return found, True
        return found, False

    def _write(self, writes: Sequence[Write]) -> None:
        plans = [(write, self._plan(write)) for write in writes]
        blocks = [block for _, plan in plans if not isinstance(plan, Written | StoreError) for block in plan]
        answers = iter(self._append(blocks))
        for write, plan in plans:
            if isinstance(plan, Written | StoreError):
                write.done(plan)
            else:
                first, *_ = [self._settle(block, next(answers)) for block in plan]
                write.done(first)

    def _plan(self, write: Write) -> Plan:
        try:
            return write.plan(self._rules)
        except Exception as error:  # noqa: BLE001  the writer must live on; the caller learns of it
            return _failure(error)

    def _append(self, blocks: Sequence[Block]) -> Sequence[Appended | StoreError]:
        """A failure is the answer for every block: its client repeats the append."""
        try:
            return self._log.store.append_many(blocks) if blocks else []
        except Exception as error:  # noqa: BLE001  the same
            return [_failure(error)] * len(blocks)

    def _settle(self, block: Block, answer: Appended | StoreError) -> Outcome:
        if isinstance(answer, StoreError):
            return answer
        self._recent.remember(block.stream, block.records, answer)
        for record in block.records:
            self._log.index.take(block.stream, record.type, record.data)
        return Written(answer.revision, answer.position)


def _failure(error: Exception) -> StoreError:
    return error if isinstance(error, StoreError) else StoreUnavailable(f"the write failed: {error}")


def _first_of_each_stream(writes: Sequence[Write]) -> tuple[list[Write], list[Write]]:
    """Those that may go together, one for a stream and its metadata, and those that wait for them, both in order."""
    now: dict[str, Write] = {}
    later = [write for write in writes if now.setdefault(write.stream.removeprefix(PREFIX), write) is not write]
    return list(now.values()), later
