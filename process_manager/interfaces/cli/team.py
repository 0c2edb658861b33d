"""Several workers of one app under one parent: processes of their own, started again when they die."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Thread

from process_manager.interfaces.cli.errors import ERROR, INTERRUPTED, NOT_FOUND, OK, REFUSED, USAGE, say

PM = (sys.executable, "-m", "process_manager.interfaces.cli.main")

FINAL = {OK, USAGE, REFUSED, NOT_FOUND, INTERRUPTED}
"""Exit codes after which a worker is not started again: it has ended as it was told to, or would only say the same again."""

FINISHING = "finishing what is under way; Ctrl-C once more stops at once"
"""What is said when somebody stops a worker that is not idle."""

STEADY = 60.0
"""Seconds after which a worker's start counts as a success."""

DEATHS = 8
"""Deaths in a row, none of them later than STEADY after the start, with which the whole gives up."""


@dataclass
class Member:
    """One of the workers."""

    number: int
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    deaths: int = 0
    due: float | None = None  # when it is to be started, if it does not run


class Team:
    """Runs `count` workers, each by the command that its number (from 1) has, with `environment` added to this process's own."""

    def __init__(self, command: Callable[[int], Sequence[str]], count: int, environment: dict[str, str]) -> None:
        self._command = command
        self._environment = {**os.environ, **environment}
        self._members = [Member(number, due=0.0) for number in range(1, count + 1)]
        self._happened: SimpleQueue[Member | signal.Signals] = SimpleQueue()  # a worker has ended, or a signal came
        self._interrupted = False
        self._stopping = False
        self._code = OK

    def run(self) -> int:
        """Run until every worker has ended. Returns the exit code."""
        with self._signals_noted():
            while self._start_due():
                happened = self._next()
                if isinstance(happened, Member):
                    self._judge(happened)
                elif happened is not None:
                    self._pass_on(happened)
        return INTERRUPTED if self._interrupted else self._code

    def _start_due(self) -> bool:
        """Start those whose time has come. Returns whether any runs or is about to."""
        now = time.monotonic()
        for member in self._members:
            if member.due is not None and self._stopping:
                member.due = None
            elif member.due is not None and member.due <= now:
                self._start(member)
        return any(member.process is not None or member.due is not None for member in self._members)

    def _start(self, member: Member) -> None:
        """Start a worker in its own session, so that Ctrl-C reaches it through the parent alone. Its stdin ends with the parent."""
        command = [*PM, *self._command(member.number), "--worker", str(member.number)]
        member.process = subprocess.Popen(command, stdin=subprocess.PIPE, env=self._environment, start_new_session=True)  # noqa: S603  pm itself
        member.started, member.due = time.monotonic(), None
        Thread(target=self._wait_for, args=(member, member.process), daemon=True).start()

    def _wait_for(self, member: Member, process: subprocess.Popen[bytes]) -> None:
        process.wait()
        self._happened.put(member)

    def _next(self) -> Member | signal.Signals | None:
        due = [member.due - time.monotonic() for member in self._members if member.due is not None]
        with suppress(Empty):
            return self._happened.get(timeout=max(0.0, min(due, default=1.0)))
        return None

    def _judge(self, member: Member) -> None:
        assert member.process is not None
        assert member.process.stdin is not None
        member.process.stdin.close()
        code, member.process = member.process.returncode, None
        if self._stopping or code in FINAL:
            self._code = self._code or (code if code in {USAGE, REFUSED, NOT_FOUND} else OK)
            if code in {USAGE, REFUSED, NOT_FOUND}:
                self._stop(signal.SIGTERM)
            return
        member.deaths = 1 if time.monotonic() - member.started > STEADY else member.deaths + 1
        if member.deaths >= DEATHS:
            say(f"worker {member.number} {_how(code)} for the {DEATHS}th time in a row: all of them stop")
            self._code = ERROR
            self._stop(signal.SIGTERM)
            return
        wait = min(30.0, 0.25 * 2**member.deaths)
        member.due = time.monotonic() + wait
        say(f"worker {member.number} {_how(code)}: it starts again in {wait:g} s")

    def _stop(self, number: int) -> None:
        self._stopping = True
        for member in self._members:
            if member.process is not None:
                with suppress(ProcessLookupError):
                    member.process.send_signal(number)

    def _pass_on(self, number: signal.Signals) -> None:
        """The first signal is SIGTERM to the workers, whichever it was: at any time it either is handled or ends them, while Python may
        swallow a SIGINT in the middle of an import. A second Ctrl-C does not wait."""
        again, self._interrupted = self._interrupted, self._interrupted or number == signal.SIGINT
        if self._interrupted and not again:
            say(FINISHING)
        self._stop(signal.SIGKILL if again and number == signal.SIGINT else signal.SIGTERM)

    @contextmanager
    def _signals_noted(self) -> Iterator[None]:
        """Note signals, for the loop to pass on between two starts: in the middle of a start there is no process yet to pass them to."""

        def note(number: int, _frame: object) -> None:
            self._happened.put(signal.Signals(number))

        before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _how(code: int) -> str:
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


def stop_with_parent(stop: Callable[[], None]) -> None:
    """Call `stop` when the process that holds the other end of stdin is gone."""

    def watch() -> None:
        while os.read(0, 1):
            pass
        stop()

    Thread(target=watch, name="parent", daemon=True).start()
