"""A call that streams both ways, asked of gRPC's own server."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Event, Thread
from typing import Any

import pytest

pytest.importorskip("esdbclient", reason="the esdb extra is not installed")

import grpc

from process_manager.adapters.esdb.duplex import Duplex
from process_manager.testing.contract.support import PATIENCE, eventually


def echo(requests: Iterator[bytes], context: Any) -> Iterator[bytes]:
    """Answers what it is sent; `end`, `fail` and `who` do as they say, and `silence` waits until the call is over."""
    over = Event()
    context.add_callback(over.set)
    for request in requests:
        match request:
            case b"end":
                return
            case b"fail":
                context.set_trailing_metadata((("leader", "db2"),))
                context.abort(grpc.StatusCode.NOT_FOUND, "no such thing")
            case b"silence":
                over.wait(PATIENCE)
            case b"who":
                yield dict(context.invocation_metadata())["user"].encode()
            case _:
                yield request


@pytest.fixture(scope="module")
def method() -> Iterator[Any]:
    handlers = {"Echo": grpc.stream_stream_rpc_method_handler(echo)}
    server = grpc.server(ThreadPoolExecutor(8), handlers=[grpc.method_handlers_generic_handler("test", handlers)])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with closing(grpc.insecure_channel(f"127.0.0.1:{port}")) as channel:
        yield channel.stream_stream("/test/Echo", request_serializer=bytes, response_deserializer=bytes)
    server.stop(None)


@pytest.fixture
def call(method: Any) -> Iterator[Duplex]:
    call = Duplex(method, (("user", "one"),), None)
    yield call
    call.cancel()


def test_answers_come_in_the_order_of_what_was_sent(call: Duplex) -> None:
    sent = [b"%d" % number for number in range(500)]
    for each in sent:
        call.send(each)
    assert [next(call) for _ in sent] == sent


def test_large_messages_wait_for_one_another(call: Duplex) -> None:
    sent = [bytes([number]) * 300_000 for number in range(20)]
    for each in sent:
        call.send(each)
    assert [next(call) for _ in sent] == sent


def test_who_is_interrupted_while_it_waits_does_not_wait_for_the_server(call: Duplex, monkeypatch: pytest.MonkeyPatch) -> None:
    """The call is over then; on its own it would last as long as the server keeps silent."""
    call.send(b"silence")

    def interrupted() -> Any:
        monkeypatch.undo()
        raise KeyboardInterrupt

    monkeypatch.setattr(call, "_call", _Interrupted(call._call, interrupted))
    with pytest.raises(KeyboardInterrupt):
        next(call)
    assert not call.is_active()


class _Interrupted:
    """gRPC's call, whose next event is an interruption."""

    def __init__(self, call: Any, next_event: Any) -> None:
        self._call = call
        self.next_event = next_event

    def __getattr__(self, name: str) -> Any:
        return getattr(self._call, name)


def test_many_threads_may_send_while_one_iterates(call: Duplex) -> None:
    def send(first: int) -> None:
        for number in range(first, first + 200):
            call.send(b"%d" % number)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(send, range(0, 800, 200)))
        assert sorted(int(next(call)) for _ in range(800)) == list(range(800))


def test_what_goes_with_the_call_goes_with_it(call: Duplex) -> None:
    call.send(b"who")
    assert next(call) == b"one"


def test_all_is_sent_when_somebody_iterates(call: Duplex) -> None:
    for _ in range(10):
        call.send(b"again")
    assert not call.sent(0.0)
    iterating = Thread(target=lambda: [next(call) for _ in range(10)])
    iterating.start()
    assert call.sent(PATIENCE)
    iterating.join(PATIENCE)
    assert not iterating.is_alive()


def test_an_end_ends_it(call: Duplex) -> None:
    call.send(b"one")
    call.send(b"end")
    assert list(call) == [b"one"]
    assert not call.is_active()


def test_an_error_says_what_the_server_said(call: Duplex) -> None:
    call.send(b"fail")
    with pytest.raises(grpc.RpcError) as caught:
        next(call)
    error: Any = caught.value
    assert (error.code(), error.details()) == (grpc.StatusCode.NOT_FOUND, "no such thing")
    assert dict(error.trailing_metadata())["leader"] == "db2"


def test_who_waits_is_told_of_a_cancellation_and_nothing_is_sent_after_it(call: Duplex) -> None:
    ended: list[Any] = []

    def iterate() -> None:
        try:
            list(call)
        except grpc.RpcError as error:
            ended.append(error.code())

    call.send(b"silence")
    iterating = Thread(target=iterate)
    iterating.start()
    assert call.sent(PATIENCE)
    call.cancel()
    eventually(lambda: ended == [grpc.StatusCode.CANCELLED])
    iterating.join(PATIENCE)
    call.send(b"late")
    assert not call.is_active()


def test_grpc_has_no_more_to_tell_of_a_call_that_was_cancelled(call: Duplex) -> None:
    """It would keep the call otherwise, for as long as the connection."""
    call.send(b"one")
    assert next(call) == b"one"
    call.send(b"silence")
    call.cancel()
    with pytest.raises(grpc.RpcError):
        next(call)
    assert not call._state.due
