"""A TCP proxy in front of a server, that can cut its connections or let them fall silent."""

import socket
from contextlib import suppress
from threading import Event, Lock, Thread


class Proxy:
    """Listens on a port of its own; a context manager."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._lock = Lock()
        self._pairs: list[tuple[socket.socket, socket.socket, Event]] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.accepted = 0
        self.cuts = 0  # of those that `cut_after` asked for
        self._left: int | None = None  # how many bytes go through before the next cut, if one is to come
        Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                self._pass_on(self._listener.accept()[0])

    def _pass_on(self, near: socket.socket) -> None:
        try:
            far = socket.create_connection(self._target)
        except OSError:  # the server is away just now
            near.close()
            return
        silent = Event()
        with self._lock:
            self.accepted += 1
            self._pairs.append((near, far, silent))
        for pair in ((near, far), (far, near)):
            Thread(target=self._pump, args=(*pair, silent), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, silent: Event) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if not silent.is_set():
                    target.sendall(self._passing(data))
        _shut(source, target)

    def _passing(self, data: bytes) -> bytes:
        """What of it goes through; where that is not all, every connection is broken, this one by the error that the caller gets."""
        with self._lock:
            if self._left is None:
                return data
            passing, self._left = data[: self._left], self._left - len(data)
            if self._left >= 0:
                return passing
            self._left = None
            self.cuts += 1
        self.cut()
        return passing

    def cut(self) -> None:
        """Break every connection there is; new ones work."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for near, far, _ in pairs:
            _shut(near, far)

    def cut_after(self, size: int) -> None:
        """Break every connection when so many more bytes have gone through, in either direction."""
        with self._lock:
            self._left = size

    def stall(self) -> None:
        """Let nothing more through on any connection there is, and do not say so; new ones work."""
        with self._lock:
            for *_, silent in self._pairs:
                silent.set()

    def close(self) -> None:
        _shut(self._listener)  # which wakes who waits in it
        self.cut()

    def __enter__(self) -> "Proxy":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _shut(*sockets: socket.socket) -> None:
    for one in sockets:
        with suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
        one.close()
