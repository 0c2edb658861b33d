"""The proxy passes bytes on, cuts connections, and stalls them."""

from __future__ import annotations

import asyncio
import socket
import socketserver
from collections.abc import Iterator
from threading import Event, Thread
from typing import Any

import pytest

from process_manager.testing.proxy import Proxy


class Echo(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        while data := self.connection.recv(1000):
            self.connection.sendall(data)


@pytest.fixture
def server() -> Iterator[Any]:
    """The address of one that says what it hears."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo) as server:
        server.daemon_threads = True
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_address
        server.shutdown()
        thread.join()


@pytest.fixture
def proxy(server: Any) -> Iterator[Proxy]:
    opened = Proxy(*server)
    yield opened
    opened.close()


@pytest.fixture
def client(proxy: Proxy) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=100) as connected:
        connected.sendall(b"one")
        assert connected.recv(3) == b"one"
        yield connected


def test_a_cut_ends_connections_and_new_ones_are_accepted(proxy: Proxy, client: socket.socket) -> None:
    assert proxy.cut() == 1
    with pytest.raises(ConnectionResetError):
        client.recv(1)
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=100) as again:
        again.sendall(b"two")
        assert again.recv(3) == b"two"


def test_what_stalls_comes_when_it_flows_again(proxy: Proxy, client: socket.socket) -> None:
    proxy.stall()
    client.sendall(b"two")
    client.settimeout(0.1)
    with pytest.raises(TimeoutError):
        client.recv(3)
    proxy.flow()
    client.settimeout(100)
    assert client.recv(3) == b"two"


def test_a_connection_that_is_only_being_opened_ends_with_the_proxy(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy, opening, open_connection = Proxy(*server), Event(), asyncio.open_connection

    async def slowly(host: str, port: int) -> Any:
        opening.set()
        while proxy._server.is_serving():
            await asyncio.sleep(0.001)
        return await open_connection(host, port)

    monkeypatch.setattr(asyncio, "open_connection", slowly)
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=100):
        assert opening.wait(100)
        proxy.close()
    assert not proxy._thread.is_alive()


def test_a_server_that_is_not_there_ends_the_connection() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        proxy = Proxy(*unused.getsockname())
        with socket.create_connection(("127.0.0.1", proxy.port), timeout=100) as client:
            assert client.recv(1) == b""
        proxy.close()
