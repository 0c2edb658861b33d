"""A node that is not the leader, and that gossip still takes for one: everything follows it to the leader that it names."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest

pytest.importorskip("esdbclient", reason="the esdb extra is not installed")

import grpc
from esdbclient.protos.Grpc import gossip_pb2, shared_pb2

from process_manager.adapters.esdb.store import EsdbStore
from process_manager.adapters.memory import MemoryStore
from process_manager.errors import StoreUnavailable
from process_manager.interfaces.devserver import DevServer, serve
from process_manager.testing.contract.support import PATIENCE, ids, only, put, some, take, unique


class Follower(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpc has no types
    """Answers gossip, and every other call with the address of the leader."""

    def __init__(self, leader: DevServer) -> None:
        self._leader = leader
        self.refused: list[str] = []
        self._server = grpc.server(ThreadPoolExecutor(16))
        self._server.add_generic_rpc_handlers((self,))
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()

    def service(self, details: Any) -> Any:
        if details.method.endswith("Gossip/Read"):
            return grpc.unary_unary_rpc_method_handler(
                self._gossip,
                request_deserializer=shared_pb2.Empty.FromString,
                response_serializer=gossip_pb2.ClusterInfo.SerializeToString,
            )
        return grpc.stream_stream_rpc_method_handler(self._refuse)

    def _gossip(self, request: Any, context: Any) -> Any:
        end = gossip_pb2.EndPoint(address="127.0.0.1", port=self.port)
        member = gossip_pb2.MemberInfo(state=gossip_pb2.MemberInfo.VNodeState.Leader, is_alive=True, http_end_point=end)
        return gossip_pb2.ClusterInfo(members=[member])

    def _refuse(self, requests: Any, context: Any) -> Iterator[bytes]:
        self.refused.append("")
        leader = (("leader-endpoint-host", self._leader.host), ("leader-endpoint-port", str(self._leader.port)))
        context.set_trailing_metadata((("exception", "not-leader"), *leader))
        context.abort(grpc.StatusCode.NOT_FOUND, "Leader info available")
        yield b""

    def close(self) -> None:
        self._server.stop(0).wait()


@pytest.fixture
def follower() -> Iterator[Follower]:
    with serve(MemoryStore(single_active=False)) as leader, closing(Follower(leader)) as running:
        yield running


def test_everything_goes_to_the_leader(follower: Follower) -> None:
    type_, name = unique("test.Happened"), unique("group")
    with closing(EsdbStore(f"esdb://127.0.0.1:{follower.port},127.0.0.1:{follower.port}?tls=false")) as store:
        store.create_group(name, where=only(type_))
        (record,) = put(store, unique("order"), some(1, type_))
        consumer, subscription = store.join(name, "one"), store.subscribe(where=only(type_))
        assert ids(take(consumer, 1)) == ids(subscription.next_batch(1, timeout=PATIENCE)) == [record.id]
        consumer.leave()
    assert len(follower.refused) >= 4  # the queries, the appends, the member and the subscription each have a connection


def test_who_names_one_node_is_told_to_name_more(follower: Follower) -> None:
    with pytest.raises(StoreUnavailable, match=r"not the leader.*esdb\+discover"):
        EsdbStore(f"esdb://127.0.0.1:{follower.port}?tls=false", patience=0.3)
