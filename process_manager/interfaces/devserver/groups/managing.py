"""PersistentSubscriptions, all but Read: groups are created, updated, deleted, inspected, and parked messages replayed."""

from typing import Any

from esdbclient.protos.Grpc import persistent_pb2, shared_pb2

from process_manager.interfaces.devserver import wire
from process_manager.interfaces.devserver.filters import matcher
from process_manager.interfaces.devserver.groups.definition import ALL_STREAM, Definition, Key
from process_manager.interfaces.devserver.groups.info import Info, info_of
from process_manager.interfaces.devserver.groups.manager import Manager
from process_manager.interfaces.devserver.groups.settings import FROM_END, Settings, start_of_all, start_of_stream


class Managing:
    """The calls, over the manager."""

    def __init__(self, manager: Manager) -> None:
        self._manager = manager
        self._ask = manager.actor.ask

    def create(self, request: persistent_pb2.CreateReq, _: Any) -> persistent_pb2.CreateResp:
        key, start = _place(request.options)
        filtered = key.is_all and request.options.all.WhichOneof("filter_option") == "filter"
        definition = Definition(key, Settings.from_wire(request.options.settings, start), request.options.all.filter if filtered else None)
        matcher(definition.filter)
        self._ask(lambda: self._manager.create(definition))
        return persistent_pb2.CreateResp()

    def update(self, request: persistent_pb2.UpdateReq, _: Any) -> persistent_pb2.UpdateResp:
        key, start = _place(request.options)
        settings = Settings.from_wire(request.options.settings, start)
        self._ask(lambda: self._manager.update(key, settings))
        return persistent_pb2.UpdateResp()

    def delete(self, request: persistent_pb2.DeleteReq, _: Any) -> persistent_pb2.DeleteResp:
        key = key_of(request.options)
        self._ask(lambda: self._manager.delete(key))
        return persistent_pb2.DeleteResp()

    def get_info(self, request: persistent_pb2.GetInfoReq, _: Any) -> persistent_pb2.GetInfoResp:
        key = key_of(request.options)
        return persistent_pb2.GetInfoResp(subscription_info=self._ask(lambda: info_of(self._manager.find(key))))

    def list_(self, request: persistent_pb2.ListReq, _: Any) -> persistent_pb2.ListResp:
        stream = None
        if request.options.WhichOneof("list_option") == "list_for_stream":
            option = request.options.list_for_stream
            stream = wire.stream_name(option.stream) if option.WhichOneof("stream_option") == "stream" else ALL_STREAM

        def infos() -> list[Info]:
            return [info_of(running) for running in self._manager.on(stream)]

        return persistent_pb2.ListResp(subscriptions=self._ask(infos))

    def replay_parked(self, request: persistent_pb2.ReplayParkedReq, _: Any) -> persistent_pb2.ReplayParkedResp:
        key = key_of(request.options)
        stop_at = int(request.options.stop_at) if request.options.WhichOneof("stop_at_option") == "stop_at" else None
        self._ask(lambda: self._manager.replay(key, stop_at))
        return persistent_pb2.ReplayParkedResp()

    def restart_subsystem(self, _request: shared_pb2.Empty, _: Any) -> shared_pb2.Empty:
        self._ask(self._manager.restart)
        return shared_pb2.Empty()


def key_of(options: Any) -> Key:
    """The group that the options of most calls name."""
    if options.WhichOneof("stream_option") == "all":
        return Key(ALL_STREAM, options.group_name)
    return Key(wire.stream_name(options.stream_identifier), options.group_name)


def _place(options: Any) -> tuple[Key, int]:
    """The group to create or update, and its start; old clients name a stream's outside `stream_option`."""
    match options.WhichOneof("stream_option"):
        case "all":
            return Key(ALL_STREAM, options.group_name), start_of_all(options.all)
        case "stream":
            return Key(wire.stream_name(options.stream.stream_identifier), options.group_name), start_of_stream(options.stream)
        case _:
            revision = options.settings.revision
            key = Key(wire.stream_name(options.stream_identifier), options.group_name)
            return key, FROM_END if revision == wire.END else int(revision)
