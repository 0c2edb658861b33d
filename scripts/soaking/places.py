"""Where a soak's store is, and the trouble that can be made there."""

import os
import random
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Protocol
from urllib.parse import urlsplit, urlunsplit

from process_manager.adapters.esdb.address import SCHEMES
from process_manager.testing.proxy import Proxy

TMPFS = 256 * 1024 * 1024
"""Bytes of the little disk that is filled."""

ANSWERS_WITHIN = 100.0
"""Seconds that a server gets to start."""


@dataclass(frozen=True)
class Trouble:
    """Something that happens to a store; `name` is its figure. It lasts as long as it lasts, but ends when the event is set."""

    name: str
    happen: Callable[[Event], None]


class Place(Protocol):
    """A store for one round."""

    @property
    def url(self) -> str:
        """For workers."""

    @property
    def direct(self) -> str:
        """For whoever looks on."""

    @property
    def troubles(self) -> Sequence[Trouble]: ...

    def close(self) -> None: ...


class SqlitePlace:
    """A file, on a little disk of its own where one may be mounted."""

    def __init__(self, directory: Path) -> None:
        self._disk = directory / "disk"
        self._disk.mkdir()
        self._mounted = _mounted(self._disk)
        self.url = self.direct = f"sqlite:///{self._disk / 'soak.db'}"
        self.troubles = [Trouble("disk_filled", self._fill)] if self._mounted else []

    def _fill(self, end: Event) -> None:
        """Somebody else's file takes all the room for a second."""
        ballast = self._disk / "ballast"
        with suppress(OSError), ballast.open("wb") as file:
            while not end.is_set():
                file.write(bytes(64 * 1024))
                file.flush()
        end.wait(1.0)
        ballast.unlink()

    def close(self) -> None:
        if self._mounted:
            subprocess.run(["umount", "--lazy", self._disk], check=True)  # noqa: S607  where it is differs
        shutil.rmtree(self._disk, ignore_errors=True)


def _mounted(directory: Path) -> bool:
    if sys.platform != "linux" or os.geteuid() != 0:
        return False
    command = ["mount", "-t", "tmpfs", "-o", f"size={TMPFS}", "tmpfs", str(directory)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


class UrlPlace:
    """Any server: the connections to a single node are cut and stalled, and nothing else is done to it."""

    def __init__(self, url: str) -> None:
        self.direct = url
        parts = urlsplit(url)
        single = parts.scheme in SCHEMES and not parts.scheme.endswith("+discover") and "," not in parts.netloc
        self._proxy = Proxy(parts.hostname or "127.0.0.1", parts.port or 2113) if single else None
        if self._proxy is None:
            self.url, self.troubles = url, list[Trouble]()
            return
        host = "localhost" if parts.hostname == "localhost" else "127.0.0.1"  # one that its certificate may name
        user = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
        self.url = urlunsplit(parts._replace(netloc=f"{user}{host}:{self._proxy.port}"))
        self.troubles = [Trouble("connections_cut", self._cut), Trouble("stalls", self._stall)]

    def _cut(self, _: Event) -> None:
        assert self._proxy is not None
        self._proxy.cut()

    def _stall(self, end: Event) -> None:
        assert self._proxy is not None
        self._proxy.stall()
        end.wait(1.5)
        self._proxy.flow()

    def close(self) -> None:
        if self._proxy is not None:
            self._proxy.close()


class DevPlace(UrlPlace):
    """A development server of our own, which is killed too."""

    def __init__(self, directory: Path) -> None:
        self._file = directory / "server.db"
        self._log = directory / "server.log"
        self._port = _free_port()
        self._start()
        super().__init__(f"esdb://127.0.0.1:{self._port}?tls=false")
        self.troubles.append(Trouble("server_killed", self._kill))

    def _start(self) -> None:
        command = [sys.executable, "-m", "process_manager.interfaces.cli.main", "store", "serve", "--port", str(self._port)]
        with self._log.open("ab") as log:
            self._server = subprocess.Popen(
                [*command, "--store", f"sqlite:///{self._file}"], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        _await_port(self._port, self._server)

    def _kill(self, _: Event) -> None:
        self._server.kill()
        self._server.wait()
        self._start()

    def close(self) -> None:
        super().close()
        self._server.kill()
        self._server.wait()


def _free_port() -> int:
    """From below those that systems give to connections: one of these might have it when the server comes back."""
    while True:
        port = random.randrange(10_000, 30_000)  # noqa: S311  no secret
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def _await_port(port: int, server: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + ANSWERS_WITHIN
    while time.monotonic() < until and server.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.02)
    raise SystemExit("the development server does not answer: see server.log")


def place_for(store: str, directory: Path) -> Place:
    """A new place for a round: `sqlite`, `dev`, or the address of a server."""
    if store == "sqlite":
        return SqlitePlace(directory)
    return DevPlace(directory) if store == "dev" else UrlPlace(store)
