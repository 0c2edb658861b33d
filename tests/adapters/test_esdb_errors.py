"""What each error of esdbclient and gRPC means, and that no secret is shown with it."""

import logging
import subprocess
import sys
from typing import Any

import pytest

pytest.importorskip("esdbclient", reason="the esdb extra is not installed")

import grpc
from esdbclient import exceptions as theirs

from process_manager.adapters.esdb.address import read_server
from process_manager.adapters.esdb.client import connect
from process_manager.adapters.esdb.errors import IN_ANSWERS, MEANING, leader, of_answer, translate
from process_manager.adapters.esdb.store import EsdbStore
from process_manager.errors import (
    AccessDenied,
    AppendTooLarge,
    BadAddress,
    GroupExists,
    GroupNotFound,
    NotAStore,
    StoreError,
    StoreUnavailable,
    StreamDeleted,
    StreamNotFound,
)
from process_manager.interfaces import bootstrap
from process_manager.interfaces.address import read_address
from tests.adapters.esdb_status import Status

Code = grpc.StatusCode
SECRET = "hunter2"


ROWS = [
    ("StreamIsDeleted", theirs.StreamIsDeleted(), StreamDeleted, "'order-1'"),
    ("NotFound", Status(Code.NOT_FOUND, "no"), StreamNotFound, "'order-1'"),
    ("AlreadyExists", Status(Code.ALREADY_EXISTS, "exists"), GroupExists, "already"),
    ("MaximumAppendSizeExceededError", theirs.MaximumAppendSizeExceededError("big"), AppendTooLarge, "split"),
    ("AccessDeniedError", theirs.AccessDeniedError(), AccessDenied, "$all"),
    ("SSLError", Status(Code.UNAVAILABLE, "SSL_ERROR_SSL: handshake"), NotAStore, "tls=false"),
    ("SSLError", Status(Code.UNAVAILABLE, "empty address list"), NotAStore, "tlsCaFile"),
    ("NodeIsNotLeader", Status(Code.NOT_FOUND, "Leader info available"), StoreUnavailable, "esdb+discover"),
    ("MaximumSubscriptionsReached", Status(Code.FAILED_PRECONDITION, "Maximum subscriptions reached for x"), StoreError, "no more members"),
    ("ServiceUnavailable", Status(Code.UNAVAILABLE, "Socket closed"), StoreUnavailable, "Socket closed"),
    ("DiscoveryFailed", theirs.DiscoveryFailed("no gossip"), StoreUnavailable, "no gossip"),
    ("DiscoveryFailed", theirs.LeaderNotFound("none"), StoreUnavailable, "no leader"),
    ("GrpcDeadlineExceeded", Status(Code.DEADLINE_EXCEEDED, "late"), StoreUnavailable, "in time"),
    ("AppendDeadlineExceeded", theirs.AppendDeadlineExceeded(), StoreUnavailable, "in time"),
    ("AbortedByServer", Status(Code.ABORTED, "Operation timed out"), StoreUnavailable, "gave up"),
    ("AbortedByServer", Status(Code.ABORTED, "Consumer too slow"), StoreUnavailable, "gave up"),
    ("CancelledByClient", Status(Code.CANCELLED, "Locally cancelled by application!"), StoreUnavailable, "cancelled"),
    ("InternalError", Status(Code.INTERNAL, "RST_STREAM"), StoreUnavailable, "RST_STREAM"),
    ("ExceptionThrownByHandler", Status(Code.UNKNOWN, "Exception was thrown by handler."), StoreUnavailable, "failed"),
    ("UnknownError", Status(Code.UNKNOWN, "No leader info available in response"), StoreUnavailable, "No leader info"),
    ("InvalidTransactionError", theirs.InvalidTransactionError(), StoreError, "refused"),
    ("BadRequestError", theirs.BadRequestError("bad"), StoreError, "bad"),
    ("FailedPrecondition", Status(Code.FAILED_PRECONDITION, "not so"), StoreError, "not so"),
    ("SubscriptionConfirmationError", theirs.SubscriptionConfirmationError(), NotAStore, "EventStoreDB"),
    ("ExceptionIteratingRequests", theirs.ExceptionIteratingRequests(), StoreError, "request"),
    ("PERMISSION_DENIED", Status(Code.PERMISSION_DENIED, "Access Denied"), AccessDenied, '{"$acl":{"$r":["$admins","$ops"]}}'),
    ("UNAUTHENTICATED", Status(Code.UNAUTHENTICATED, "Unauthenticated"), AccessDenied, "user and password"),
    ("UNIMPLEMENTED", Status(Code.UNIMPLEMENTED, "Method not found!"), NotAStore, "no EventStoreDB"),
    ("CANCELLED", Status(Code.CANCELLED, "group dropped"), StoreUnavailable, "group dropped"),
    ("INVALID_ARGUMENT", Status(Code.INVALID_ARGUMENT, "odd"), StoreError, "odd"),
    ("RESOURCE_EXHAUSTED", Status(Code.RESOURCE_EXHAUSTED, "large"), StoreError, "large"),
    ("OUT_OF_RANGE", Status(Code.OUT_OF_RANGE, "far"), StoreError, "far"),
    ("GrpcError", Status(Code.DATA_LOSS, "lost"), StoreUnavailable, "lost"),
    ("EventStoreDBClientException", theirs.EventStoreDBClientException("odd"), StoreError, "odd"),
    ("closed channel", ValueError("Cannot invoke RPC on closed channel!"), StoreUnavailable, "closed"),
    ("no user", ValueError(f"Username and password are required: esdb://a:{SECRET}@b"), BadAddress, "tls=false"),
    ("OSError", FileNotFoundError(2, "No such file", "/ca.pem"), NotAStore, "/ca.pem"),
    ("ValueError", ValueError("'maybe' not one of: true, false"), BadAddress, "maybe"),
]


TRIED = "failed to connect to all addresses; last error:"


class TestTable:
    """Every row."""

    @pytest.mark.parametrize(("role", "error", "kind", "text"), ROWS, ids=[f"{row[0]}-{number}" for number, row in enumerate(ROWS)])
    def test_an_error_has_one_meaning(self, role: str, error: Exception, kind: type[StoreError], text: str) -> None:
        ours = translate(error, stream="order-1")
        assert type(ours) is kind
        assert text in str(ours)
        assert SECRET not in str(ours)

    def test_every_row_is_tested(self) -> None:
        assert {role for role, *_ in ROWS} == set(MEANING)

    @pytest.mark.parametrize("name", sorted(IN_ANSWERS))
    def test_an_error_in_an_answer_has_one_meaning(self, name: str) -> None:
        assert type(of_answer(name, "said", "order-1", 7)) is IN_ANSWERS[name][0]

    def test_the_limit_that_a_server_names_is_told(self) -> None:
        told = of_answer("event_store.client.MaximumAppendSizeExceeded", "said", "order-1", 7_000, 4_000)
        assert isinstance(told, AppendTooLarge)
        assert (told.size, told.limit) == (7_000, 4_000)

    def test_an_unknown_error_in_an_answer_is_an_answer(self) -> None:
        assert type(of_answer("event_store.client.New", "said", "order-1", 7)) is StoreError

    def test_what_was_asked_for_is_named(self) -> None:
        assert isinstance(translate(Status(Code.NOT_FOUND), group="g"), GroupNotFound)
        assert "'g'" in str(translate(Status(Code.ALREADY_EXISTS), group="g"))

    @pytest.mark.parametrize(
        ("said", "told"),
        [
            (
                f"{TRIED} UNKNOWN: ipv4:127.0.0.1:9: Failed to connect to remote host: connect: Connection refused (111)",
                "Connection refused (111) (is the server running?)",
            ),
            (
                f"{TRIED} UNAVAILABLE: ipv4:127.0.0.2:9: Connection refused (111)",
                "127.0.0.2:9: Connection refused (111) (is the server running?)",
            ),
            (
                f"{TRIED} UNAVAILABLE: ipv4:127.0.0.1:9: Socket closed",
                "Socket closed (does the server speak TLS? then leave tls=false out)",
            ),
            (
                'DNS resolution failed for h:9: UNKNOWN: getaddrinfo("h:9"): Name or service not known (-2)',
                "h:9: Name or service not known (-2) (nodes of a cluster are found by names that they advertise: AdvertiseHostToClientAs)",
            ),
            ("Socket closed", "Socket closed"),
        ],
    )
    def test_a_server_that_is_not_there_is_told_in_one_sentence(self, said: str, told: str) -> None:
        assert str(translate(Status(Code.UNAVAILABLE, said), where="esdb://127.0.0.1:9")) == f"esdb://127.0.0.1:9: no answer: {told}"

    def test_our_own_errors_stay(self) -> None:
        error = StreamNotFound("a")
        assert translate(error) is error

    def test_what_is_no_error_of_theirs_is_not_hidden(self) -> None:
        with pytest.raises(KeyError):
            translate(KeyError("a bug"))

    def test_the_leader_is_told(self) -> None:
        class Pair:
            def __init__(self, key: str, value: str) -> None:
                self.key, self.value = key, value

        trailers = (Pair("leader-endpoint-host", "db2"), Pair("leader-endpoint-port", "2113"))
        assert leader(Status(Code.NOT_FOUND, "Leader info available", trailers)) == "db2:2113"
        assert leader(Status(Code.UNAVAILABLE)) is None


def test_without_the_extra_it_is_named() -> None:
    code = (
        "import sys; sys.modules['esdbclient'] = None\n"
        "from process_manager.interfaces import bootstrap\n"
        "bootstrap.read_address('esdb://a:2113?tls=false')\n"
        "try: bootstrap.open_store('esdb://a:2113?tls=false')\n"
        "except bootstrap.NotAStore as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "process-manager[esdb]" in done.stdout


class TestSecrets:
    """A password stands in the URL and nowhere else."""

    URL = f"esdb://admin:{SECRET}@127.0.0.1:9"

    def test_an_address_is_shown_without_it(self) -> None:
        address = read_server(self.URL)
        assert address.shown == "esdb://127.0.0.1:9"
        assert SECRET not in repr(address)
        assert SECRET in address.uri("pm")

    @pytest.mark.parametrize(
        "url",
        [
            f"esdb://admin:{SECRET}@127.0.0.1:9?tls=maybe",
            f"esdb://admin:{SECRET}@127.0.0.1:9?nothing=1",
            f"esdb://admin:{SECRET}@127.0.0.1:9?nodePreference=follower",
            f"esdb+discover://admin:{SECRET}@a,b",
            f"esdb://admin:{SECRET}@127.0.0.1:99999",
            f"esdb://admin:{SECRET}@127.0.0.1:first",
            f"esdb://admin:{SECRET}@",
            f"esdb://:{SECRET}@127.0.0.1:9",
            f"esdb://admin:{SECRET}@127.0.0.1:9?tlsCaFile=/nowhere/ca.pem",
            f"esdb://admin:{SECRET}@127.0.0.1:9?keepAliveInterval=often",
        ],
    )
    def test_a_url_that_cannot_work_is_refused_without_it(self, url: str) -> None:
        with pytest.raises(NotAStore) as caught:
            connect(read_server(url), "pm")
        assert SECRET not in str(caught.value)
        assert caught.value.__suppress_context__ or caught.value.__cause__ is None

    def test_nothing_of_it_is_logged_or_said_when_nobody_answers(
        self, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
    ) -> None:
        with caplog.at_level(logging.DEBUG), pytest.raises(StoreError) as caught:
            EsdbStore(f"{self.URL}?tls=false", patience=0.2)
        out, err = capfd.readouterr()
        assert SECRET not in caplog.text + out + err + str(caught.value) + repr(caught.value)
        assert "esdb://127.0.0.1:9" in str(caught.value)

    def test_a_misspelled_scheme_is_refused_without_it(self) -> None:
        with pytest.raises(NotAStore) as caught:
            read_address(f"esdbx://admin:{SECRET}@a:2113")
        assert SECRET not in str(caught.value)

    def test_an_index_file_is_not_named_by_it(self, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        names = []
        for secret in ("one", "two"):
            index = bootstrap.open_index(f"kurrentdb://admin:{secret}@a:2113")
            names += [it.name for it in (tmp_path / "process-manager").glob("*.deadlines")]
            index.close()
        assert len(set(names)) == 1
