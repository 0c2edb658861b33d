"""`pm store serve`, started as a user would."""

import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
from esdbclient import EventStoreDBClient, NewEvent, StreamState
from esdbclient.exceptions import GrpcError, ServiceUnavailable

from process_manager.adapters.memory import MemoryStore
from process_manager.adapters.sqlite import SqliteStore
from process_manager.core.records import NewRecord
from process_manager.interfaces.devserver import DevServer, Security, serve
from process_manager.ports import Block, StreamState as Expected
from tests.interfaces.conftest import Pm

Start = Callable[..., subprocess.Popen[str]]

EVENT = NewEvent(type="OrderPlaced", data=b'{"n":1}', metadata=b'{"$correlationId":"c-1"}')


@contextmanager
def serving(start: Start, *options: str) -> Iterator[str]:
    """A served store; the URL that it prints."""
    process = start("store", "serve", "--port", "0", *options)
    assert process.stderr
    try:
        said = process.stderr.readline()
        found = re.search(r"esdb://\S+", said)
        assert found, said + process.stderr.read()
        yield found[0]
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(100) == 0
        process.stderr.close()
        assert process.stdout
        process.stdout.close()


@contextmanager
def connected(url: str) -> Iterator[EventStoreDBClient]:
    client = EventStoreDBClient(url)
    try:
        yield client
    finally:
        client.close()


def test_what_was_served_is_in_the_file_and_a_repeat_after_a_restart_is_recognised(start: Start, place: Path) -> None:
    for _ in range(2):
        with serving(start, "--store", "sqlite:///shop.db") as url, connected(url) as client:
            client.append_to_stream("order-1", current_version=StreamState.NO_STREAM, events=[EVENT])

    store = SqliteStore(place / "shop.db")
    (record,) = store.read_stream("order-1")
    assert (record.id, record.type, record.data, record.metadata) == (str(EVENT.id), EVENT.type, EVENT.data, EVENT.metadata)
    store.close()


def test_what_is_in_the_file_is_served(start: Start, place: Path) -> None:
    store = SqliteStore(place / "shop.db")
    store.append(Block("order-1", [NewRecord(str(EVENT.id), EVENT.type, EVENT.data, EVENT.metadata)], Expected.NO_STREAM))
    store.close()

    with serving(start, "--store", "sqlite:///shop.db") as url, connected(url) as client:
        (event,) = client.get_stream("order-1")

    assert (event.id, event.type, event.data, event.metadata) == (EVENT.id, EVENT.type, EVENT.data, EVENT.metadata)
    assert event.content_type == "application/json"


def test_stopping_ends_a_subscription_with_unavailable(start: Start) -> None:
    with serving(start, "--store", "memory:") as url:
        client = EventStoreDBClient(url)
        subscription = client.subscribe_to_all(timeout=100)

    with pytest.raises(ServiceUnavailable):
        next(subscription)
    client.close()


def test_a_port_that_is_taken_is_named(server: DevServer, pm: Pm, place: Path) -> None:
    """And no file is made in vain."""
    answer = pm("store", "serve", "--store", "sqlite:///other.db", "--port", str(server.port))

    assert answer.code == 1
    assert f"127.0.0.1:{server.port} cannot be bound" in answer.err
    assert list(place.iterdir()) == []


def test_a_worker_on_a_file_that_is_served_says_so(start: Start, place: Path) -> None:
    """It works all the same."""
    app = ("run", "--app", "process_manager.examples.order_fulfilment:app", "--store", "sqlite:///shop.db")
    with serving(start, "--store", "sqlite:///shop.db"):
        assert "shop.db is served by pm store serve just now" in _first_line(start(*app))
    assert _first_line(start(*app)).startswith("running ")


def _first_line(process: subprocess.Popen[str]) -> str:
    assert process.stderr
    try:
        return process.stderr.readline()
    finally:
        process.kill()
        process.communicate(timeout=100)


def test_a_file_is_served_once(start: Start, pm: Pm, place: Path) -> None:
    """By whatever name; when its server has ended another one may."""
    Path("folder").mkdir()
    with serving(start, "--store", "sqlite:///shop.db"):
        second = pm("store", "serve", "--store", "sqlite:///folder/../shop.db", "--port", "0")
    assert (second.code, "is served already" in second.err) == (3, True)
    with serving(start, "--store", "sqlite:///shop.db"):
        pass


@pytest.mark.parametrize("options", [(), ("--allow-remote",)])
def test_other_machines_are_let_in_only_with_tls_and_a_password(pm: Pm, options: tuple[str, ...]) -> None:
    answer = pm("store", "serve", "--store", "memory:", "--host", "0.0.0.0", *options)  # noqa: S104  it is refused

    assert answer.code == 3
    assert "--allow-remote" in answer.err


def test_a_password_alone_is_not_silently_ignored(pm: Pm) -> None:
    answer = pm("store", "serve", "--store", "memory:", PM_DEVSERVER_PASSWORD="secret")

    assert answer.code == 3
    assert "all three" in answer.err


def test_without_the_extra_it_says_what_to_install() -> None:
    code = "import sys; sys.modules['grpc'] = None; from process_manager.interfaces.cli.main import main; main()"
    done = subprocess.run([sys.executable, "-c", code, "store", "serve", "--store", "memory:"], capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert "pip install 'process-manager[esdb]'" in done.stderr


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Security:
    """A certificate for this machine."""
    if not shutil.which("openssl"):
        pytest.skip("openssl makes the certificate, and is not installed")
    place = tmp_path_factory.mktemp("tls")
    certificate, key = place / "cert.pem", place / "key.pem"
    new = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost")
    names = ("-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1")
    subprocess.run([*new, *names, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return Security(certificate, key, "secret")


@pytest.mark.parametrize(("user", "password"), [("admin", "wrong"), ("other", "secret")])
def test_a_secure_server_wants_the_right_user_and_password(secure: Security, tmp_path: Path, user: str, password: str) -> None:
    store = SqliteStore(tmp_path / "shop.db")
    with serve(store, security=secure) as server:
        with connected(server.url.replace("PASSWORD", "secret")) as client:
            client.append_to_stream("order-1", current_version=StreamState.ANY, events=[EVENT])
            assert len(client.get_stream("order-1")) == 1
        with connected(server.url.replace("admin:PASSWORD", f"{user}:{password}")) as stranger, pytest.raises(GrpcError) as refused:
            stranger.get_stream("order-1")
    store.close()

    assert refused.value.args[0].code().name == "UNAUTHENTICATED"
    assert "secret" not in repr(secure)


def test_who_does_not_say_who_calls_learns_of_nodes_and_features_only(secure: Security) -> None:
    """As from a real node; the client for Node asks so before its first append."""
    with (
        serve(MemoryStore(), security=secure) as server,
        grpc.secure_channel(f"localhost:{server.port}", grpc.ssl_channel_credentials(secure.certificate.read_bytes())) as channel,
    ):
        for allowed in ("gossip.Gossip/Read", "server_features.ServerFeatures/GetSupportedMethods"):
            assert channel.unary_unary(f"/event_store.client.{allowed}")(b"", timeout=100)
        with pytest.raises(grpc.RpcError) as refused:
            channel.unary_unary("/event_store.client.streams.Streams/Delete")(b"", timeout=100)
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_what_was_answered_outlives_a_kill(start: Start, place: Path) -> None:
    process = start("store", "serve", "--port", "0", "--store", "sqlite:///shop.db")
    assert process.stderr
    assert process.stdout
    found = re.search(r"esdb://\S+", process.stderr.readline())
    assert found
    with connected(found[0]) as client:
        for number in range(20):
            client.append_to_stream(f"order-{number}", current_version=StreamState.NO_STREAM, events=[EVENT])
    process.kill()
    process.wait(100)
    process.stderr.close()
    process.stdout.close()

    store = SqliteStore(place / "shop.db")
    assert [len(list(store.read_stream(f"order-{number}"))) for number in range(20)] == [1] * 20
    store.close()
