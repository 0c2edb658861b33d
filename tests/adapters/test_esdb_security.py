"""A server with TLS and users."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

pytest.importorskip("esdbclient", reason="the esdb extra is not installed")

from process_manager.adapters.esdb.store import EsdbStore
from process_manager.adapters.memory import MemoryStore
from process_manager.errors import AccessDenied, NotAStore, StoreError, StoreUnavailable
from process_manager.interfaces.devserver import serve
from process_manager.interfaces.devserver.security import Security
from process_manager.testing.contract.support import PATIENCE, only, put, some, take, unique
from tests.adapters.esdb_server import server_url

PASSWORD = "p@ss/w%rd"
WRITTEN = "p%40ss%2Fw%25rd"

pytestmark = pytest.mark.skipif(not shutil.which("openssl"), reason="openssl makes the certificate")


@pytest.fixture(scope="module")
def security(tmp_path_factory: pytest.TempPathFactory) -> Security:
    place = tmp_path_factory.mktemp("tls")
    names = ("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1")
    new = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2")
    subprocess.run([*new, *names, "-keyout", place / "key.pem", "-out", place / "cert.pem"], check=True, capture_output=True)
    return Security(place / "cert.pem", place / "key.pem", PASSWORD)


@pytest.fixture(scope="module")
def port(security: Security) -> Iterator[int]:
    with serve(MemoryStore(single_active=False), security=security) as server:
        yield server.port


def test_everything_works_with_the_right_user(port: int, security: Security) -> None:
    with closing(EsdbStore(f"esdb://admin:{WRITTEN}@localhost:{port}?tlsCaFile={security.certificate}")) as store:
        type_, name = unique("test.Happened"), unique("group")
        store.create_group(name, where=only(type_))
        records = put(store, unique("order"), some(2, type_))
        consumer = store.join(name, "one")
        assert [it.record for it in take(consumer, 2)] == records
        subscription = store.subscribe(where=only(type_))
        assert [*subscription.next_batch(1, timeout=PATIENCE), *subscription.next_batch(1, timeout=PATIENCE)] == records
        consumer.leave()


@pytest.mark.parametrize(
    ("url", "kind", "text"),
    [
        ("esdb://admin:hunter2@localhost:{port}?tlsCaFile={ca}", AccessDenied, "user and password"),
        ("esdb://nobody:hunter2@localhost:{port}?tlsCaFile={ca}", AccessDenied, "user and password"),
        ("esdb://admin:hunter2@localhost:{port}", NotAStore, "tlsCaFile"),
        ("esdb://admin:hunter2@localhost:{port}?tlsCaFile=/nowhere.pem", NotAStore, "/nowhere.pem"),
        ("esdb://localhost:{port}?tls=false", StoreUnavailable, "no answer"),
        ("esdb://admin:hunter2@localhost:{port},127.0.0.1:{port}?tlsCaFile={ca}", AccessDenied, "user and password"),
        ("esdb://admin:hunter2@localhost:{port},127.0.0.1:{port}", NotAStore, "tlsCaFile"),
        ("esdb+discover://admin:hunter2@localhost:{port}?tlsCaFile={ca}", AccessDenied, "user and password"),
        ("esdb://admin:hunter2@localhost:{port},localhost:1,127.0.0.1:{port}?tlsCaFile={ca}", AccessDenied, "user and password"),
        ("esdb://admin:hunter2@localhost:{port},localhost:1?tlsCaFile={ca}", AccessDenied, "user and password"),
    ],
    ids=[
        "password",
        "user",
        "authority",
        "file",
        "clear text",
        "by nodes",
        "authority by nodes",
        "discovered",
        "by nodes, one away",
        "last one away",
    ],
)
def test_what_is_wrong_is_told(
    port: int, security: Security, url: str, kind: type[StoreError], text: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(kind, match=text) as caught:
        EsdbStore(url.format(port=port, ca=Path(security.certificate)), patience=1.0)
    assert "hunter2" not in str(caught.value) + "".join(capfd.readouterr())


def test_tls_to_a_server_without_is_told() -> None:
    clear = server_url().replace("esdb://", "esdb://admin:hunter2@").partition("?")[0]
    if "tls=false" not in server_url():
        pytest.skip("this server speaks TLS")
    with pytest.raises(StoreError, match="TLS"):
        EsdbStore(clear, patience=1.0)
