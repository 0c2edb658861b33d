"""Servers as processes, which tests kill."""

import random
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def free_port() -> int:
    """A port for a server that is started again on it; from below those that systems give to connections and to who asks for any."""
    while True:
        port = random.randrange(10_000, 30_000)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


@contextmanager
def serving(port: int, path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`pm store serve` as a process."""
    command = ["-m", "process_manager.interfaces.cli.main", "store", "serve", "--port", str(port), "--store", f"sqlite:///{path}"]
    with running(*command) as process:
        yield process


@contextmanager
def node(port: int, path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """One of several servers over a file, which `pm store serve` refuses."""
    code = (
        "import signal, sys\n"
        "from process_manager.adapters.sqlite import SqliteStore\n"
        "from process_manager.interfaces.devserver import serve\n"
        "with serve(SqliteStore(sys.argv[1]), port=int(sys.argv[2])): signal.pause()\n"
    )
    with running("-c", code, str(path), str(port)) as process:
        yield process


@contextmanager
def running(*command: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def reachable(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
