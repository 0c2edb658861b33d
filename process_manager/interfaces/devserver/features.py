"""ServerFeatures and Gossip: what clients ask before they begin.

The Node client asks for the server's features, esdbclient does not, so its protobuf modules lack that service: it is described here.
"""

import time
import uuid
from typing import Any

from esdbclient.protos.Grpc import gossip_pb2, shared_pb2
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

VERSION = "23.10.8"  # whose behaviour this is

_STREAMS = "event_store.client.streams.streams"
_GROUPS = "event_store.client.persistent_subscriptions.persistentsubscriptions"
_GROUP_METHODS = ("create", "delete", "getinfo", "list", "read", "replayparked", "restartsubsystem", "update")
_METHODS: dict[str, dict[str, list[str]]] = {
    _STREAMS: {"append": [], "batchappend": ["deadline_duration"], "delete": [], "read": ["position", "events"], "tombstone": []},
    _GROUPS: {method: ["stream", "all"] for method in _GROUP_METHODS},
}


def _described() -> Any:
    """The message class SupportedMethods."""
    file = descriptor_pb2.FileDescriptorProto(
        name="process_manager/serverfeatures.proto", package="process_manager.devserver", syntax="proto3"
    )
    text, message = descriptor_pb2.FieldDescriptorProto.TYPE_STRING, descriptor_pb2.FieldDescriptorProto.TYPE_MESSAGE
    one, many = descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL, descriptor_pb2.FieldDescriptorProto.LABEL_REPEATED
    method = file.message_type.add(name="SupportedMethod")
    method.field.add(name="method_name", number=1, type=text, label=one)
    method.field.add(name="service_name", number=2, type=text, label=one)
    method.field.add(name="features", number=3, type=text, label=many)
    methods = file.message_type.add(name="SupportedMethods")
    methods.field.add(name="methods", number=1, type=message, type_name=".process_manager.devserver.SupportedMethod", label=many)
    methods.field.add(name="event_store_server_version", number=2, type=text, label=one)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("process_manager.devserver.SupportedMethods"))


def supported_methods(_request: Any, _context: Any) -> Any:
    answer = _described()(event_store_server_version=VERSION)
    for service, methods in _METHODS.items():
        for method, features in methods.items():
            answer.methods.add(method_name=method, service_name=service, features=features)
    return answer


class Gossip:
    """One member, alive and leading, at the address that clients reached it by."""

    def __init__(self) -> None:
        self._id = str(uuid.uuid4())
        self.host = ""
        self.port = 0

    def read(self, _request: Any, _context: Any) -> gossip_pb2.ClusterInfo:
        member = gossip_pb2.MemberInfo(
            instance_id=shared_pb2.UUID(string=self._id),
            time_stamp=time.time_ns() // 100,
            state=gossip_pb2.MemberInfo.Leader,
            is_alive=True,
            http_end_point=gossip_pb2.EndPoint(address=self.host, port=self.port),
        )
        return gossip_pb2.ClusterInfo(members=[member])
