"""PersistentSubscriptions.Read: a consumer of a group."""

from collections.abc import Iterator
from threading import Thread
from typing import Any

import grpc
from esdbclient.protos.Grpc import persistent_pb2

from process_manager.interfaces.devserver import wire
from process_manager.interfaces.devserver.calls import Calls
from process_manager.interfaces.devserver.groups.definition import Key
from process_manager.interfaces.devserver.groups.engine import Nack
from process_manager.interfaces.devserver.groups.manager import Manager
from process_manager.interfaces.devserver.groups.managing import key_of
from process_manager.interfaces.devserver.groups.message import Consumer
from process_manager.interfaces.devserver.groups.running import Member
from process_manager.interfaces.devserver.wire import Resolved

Answer = persistent_pb2.ReadResp
_Nack = persistent_pb2.ReadReq.Nack

_ACTIONS = {_Nack.Unknown: Nack.RETRY, _Nack.Retry: Nack.RETRY, _Nack.Park: Nack.PARK, _Nack.Skip: Nack.SKIP, _Nack.Stop: Nack.SKIP}
"""`Stop` stops nothing on the real server: the message is dropped."""


class Consuming:
    """The call, over the manager."""

    def __init__(self, manager: Manager, calls: Calls) -> None:
        self._manager = manager
        self._calls = calls

    def read(self, requests: Iterator[Any], context: Any) -> Iterator[Answer]:
        """Half-closing the requests does not end the call: deliveries go on."""
        first = next(requests, None)
        if first is None or first.WhichOneof("content") != "options":
            raise ValueError("consuming begins with the options")
        key = key_of(first.options)
        member = Member(_consumer(first.options, context), self._calls.open(context))
        self._manager.actor.ask(lambda: self._manager.join(key, member))
        leave = _leaving(self._manager, key, member)
        if not context.add_callback(leave):
            leave()
        yield Answer(subscription_confirmation=Answer.SubscriptionConfirmation(subscription_id=key.id))
        Thread(target=self._take, args=(requests, key), name="devserver-acks", daemon=True).start()
        structured = first.options.uuid_option.WhichOneof("content") == "structured"
        for resolved, retries in member.mailbox:
            yield _event(resolved, retries, structured=structured)

    def _take(self, requests: Iterator[Any], key: Key) -> None:
        """Acknowledgements, until the client has no more, or sends one that is none."""
        try:
            for request in requests:
                self._settle(key, request)
        except (grpc.RpcError, ValueError):
            return

    def _settle(self, key: Key, request: Any) -> None:
        match request.WhichOneof("content"):
            case "ack":
                ids = [wire.uuid_text(id_) for id_ in request.ack.ids]
                self._manager.actor.post(lambda: self._manager.ack(key, ids))
            case "nack":
                nack, ids = request.nack, [wire.uuid_text(id_) for id_ in request.nack.ids]
                self._manager.actor.post(lambda: self._manager.nack(key, ids, _ACTIONS[nack.action], nack.reason))
            case _:
                raise ValueError("neither an ack nor a nack")


def _leaving(manager: Manager, key: Key, member: Member) -> Any:
    return lambda: manager.actor.post(lambda: manager.leave(key, member))


def _consumer(options: Any, context: Any) -> Consumer:
    headers = dict(context.invocation_metadata())
    return Consumer(headers.get("connection-name", ""), max(options.buffer_size, 1), context.peer())


def _event(resolved: Resolved, retries: int, *, structured: bool) -> Answer:
    """Event and link both say where the link stands, as the real server has it."""
    answer = Answer()
    at = resolved.original.position
    for name, record in (("event", resolved.event), ("link", resolved.link)):
        if record:
            wire.fill(getattr(answer.event, name), record, at, structured=structured)
    answer.event.commit_position = wire.position_on_wire(at)
    answer.event.retry_count = retries
    return answer
