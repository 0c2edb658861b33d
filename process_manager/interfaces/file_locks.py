"""Locks beside a store's file. A process holds one until it ends; however it ends, the system releases it."""

import atexit
from pathlib import Path
from typing import IO

from process_manager.interfaces.address import read_address


def hold_to_serve(url: str) -> bool:
    """Lock a store's file against being served by another process, until this one ends. False where another one serves it already."""
    file = _served_lock(url)
    return file is None or lock_until_exit(file) or not file.exists()  # where there can be no lock, nobody is kept out


def is_served(url: str) -> bool:
    """Whether a process serves a store's file just now. Nothing is created."""
    file = _served_lock(url)
    if file is None or not file.exists():
        return False
    if (taken := _lock(file)) is None:
        return True
    taken.close()
    return False


def lock_until_exit(path: Path) -> bool:
    """Lock this file, which is created, until the process ends. False where another process holds it, or nothing can be locked."""
    if (taken := _lock(path)) is None:
        return False
    atexit.register(taken.close)
    return True


def _served_lock(url: str) -> Path | None:
    path = read_address(url).path
    return None if path is None else (file := path.resolve()).with_name(f"{file.name}.served.lock")


def _lock(path: Path) -> IO[bytes] | None:
    try:
        import fcntl

        path.touch(mode=0o600)
        file = path.open("ab")
    except (ImportError, OSError):
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    return file
