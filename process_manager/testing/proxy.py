"""A TCP proxy in the middle, for tests of what a client does when its connections are cut or stall."""

import asyncio
import socket
import struct
from collections.abc import Coroutine
from contextlib import suppress
from threading import Thread
from typing import Any

from typing_extensions import TypeVar

T = TypeVar("T")
CHUNK = 64 * 1024

AGAIN = 0.05
"""Seconds between two looks for connections that are to end."""

PATIENCE = 60.0
"""Seconds that the thread gets for what it is asked to do."""

RESET = struct.pack("ii", 1, 0)
"""Linger for no time: closing sends a reset."""


class Proxy:
    """Passes connections to its `port` on 127.0.0.1 on to a server. Runs in a thread of its own until it is closed."""

    def __init__(self, host: str, port: int) -> None:
        """Begins to listen; the server need not be there yet."""
        self._to = (host, port)
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._thread.start()
        self._server = self._call(self._listen())
        self.port: int = self._server.sockets[0].getsockname()[1]

    def cut(self) -> int:
        """Reset all connections, and return how many there were. New ones are accepted."""
        return self._call(self._cut())

    def stall(self) -> None:
        """Pass nothing on, in either direction, until `flow`: connections stay open and silent."""
        self._call(self._set_flowing(flowing=False))

    def flow(self) -> None:
        """Pass on what waits, and what comes."""
        self._call(self._set_flowing(flowing=True))

    def close(self) -> None:
        """End everything."""
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE)

    async def _listen(self) -> asyncio.Server:
        self._flowing = asyncio.Event()
        self._flowing.set()
        return await asyncio.start_server(self._connected, "127.0.0.1", 0)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there_reader, there_writer = await asyncio.open_connection(*self._to)
        except OSError:
            writer.transport.abort()
            return
        both = {writer, there_writer}
        self._writers |= both
        await asyncio.gather(self._pump(reader, there_writer), self._pump(there_reader, writer))
        self._writers -= both

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(CHUNK):
                await self._flowing.wait()
                writer.write(data)
                await writer.drain()
        writer.close()

    async def _cut(self) -> int:
        count = len(self._writers) // 2
        for writer in self._writers:
            with suppress(OSError):  # closed by the other side just now
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            writer.transport.abort()
        return count

    async def _set_flowing(self, *, flowing: bool) -> None:
        self._flowing.set() if flowing else self._flowing.clear()

    async def _close(self) -> None:
        self._server.close()
        self._flowing.set()
        while tasks := asyncio.all_tasks() - {asyncio.current_task()}:
            await self._cut()  # those too that were only being opened
            await asyncio.wait(tasks, timeout=AGAIN)
