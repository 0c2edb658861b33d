"""Nodes of a cluster that are not the leader: one that gossip still takes for it, one that is dead, ones that know of none."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Timer
from typing import Any

import pytest

pytest.importorskip("esdbclient", reason="the esdb extra is not installed")

import grpc
from esdbclient.exceptions import ServiceUnavailable
from esdbclient.gossip import GossipService
from esdbclient.protos.Grpc import gossip_pb2, shared_pb2

from process_manager.adapters.esdb.address import read_server
from process_manager.adapters.esdb.client import connect
from process_manager.adapters.esdb.store import EsdbStore
from process_manager.adapters.memory import MemoryStore
from process_manager.errors import StoreUnavailable
from process_manager.interfaces.devserver import DevServer, serve
from process_manager.testing.contract.support import PATIENCE, ids, only, put, some, take, unique
from tests.adapters.server_processes import free_port

LEADER, UNKNOWN = gossip_pb2.MemberInfo.VNodeState.Leader, gossip_pb2.MemberInfo.VNodeState.Unknown


def member(port: int, state: Any = LEADER, *, is_alive: bool = True) -> Any:
    end = gossip_pb2.EndPoint(address="127.0.0.1", port=port)
    return gossip_pb2.MemberInfo(state=state, is_alive=is_alive, http_end_point=end)


class Follower(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpc has no types
    """Answers gossip, and every other call with the address of the leader."""

    def __init__(self, leader: DevServer) -> None:
        self._leader = leader
        self.refused: list[str] = []
        self._server = grpc.server(ThreadPoolExecutor(16))
        self._server.add_generic_rpc_handlers((self,))
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()
        self.members = [member(self.port)]

    def service(self, details: Any) -> Any:
        if details.method.endswith("Gossip/Read"):
            return grpc.unary_unary_rpc_method_handler(
                self._gossip,
                request_deserializer=shared_pb2.Empty.FromString,
                response_serializer=gossip_pb2.ClusterInfo.SerializeToString,
            )
        return grpc.stream_stream_rpc_method_handler(self._refuse)

    def _gossip(self, request: Any, context: Any) -> Any:
        return gossip_pb2.ClusterInfo(members=self.members)

    def _refuse(self, requests: Any, context: Any) -> Iterator[bytes]:
        self.refused.append("")
        leader = (("leader-endpoint-host", self._leader.host), ("leader-endpoint-port", str(self._leader.port)))
        context.set_trailing_metadata((("exception", "not-leader"), *leader))
        context.abort(grpc.StatusCode.NOT_FOUND, "Leader info available")
        yield b""

    def close(self) -> None:
        self._server.stop(0).wait()


@pytest.fixture
def node() -> Iterator[DevServer]:
    with serve(MemoryStore(single_active=False)) as leader:
        yield leader


@pytest.fixture
def follower(node: DevServer) -> Iterator[Follower]:
    with closing(Follower(node)) as running:
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


def test_a_node_that_leads_no_more_does_not_say_that_there_are_no_groups(follower: Follower) -> None:
    name = unique("group")
    with closing(EsdbStore(f"esdb://127.0.0.1:{follower.port},127.0.0.1:{follower.port}?tls=false")) as store:
        store.create_group(name, where=only(unique("test.Happened")))
        store._reading._client.reconnect(f"127.0.0.1:{follower.port}")
        assert store.group_names() == [name]


def test_who_names_one_node_is_told_to_name_more(follower: Follower) -> None:
    with pytest.raises(StoreUnavailable, match=r"not the leader.*esdb\+discover"):
        EsdbStore(f"esdb://127.0.0.1:{follower.port}?tls=false", patience=0.3)


def test_a_leader_that_has_died_is_not_taken_for_one(node: DevServer, follower: Follower) -> None:
    """Gossip names it beside its successor until it is told by everybody, and keeps it for half an hour."""
    follower.members = [member(free_port(), is_alive=False), member(node.port), member(follower.port, UNKNOWN)]
    with closing(EsdbStore(f"esdb://127.0.0.1:{follower.port},127.0.0.1:{follower.port}?tls=false", patience=1.0)) as store:
        assert len(put(store, unique("order"), some(1))) == 1
    assert follower.refused == []


def test_a_node_that_is_cut_off_is_not_the_only_one_asked(node: DevServer, follower: Follower) -> None:
    """It stands first in the URL, answers, and knows of no leader."""
    with closing(Follower(node)) as other:
        follower.members = [member(follower.port, UNKNOWN), member(node.port, UNKNOWN)]
        other.members = [member(other.port, UNKNOWN), member(node.port)]
        with closing(EsdbStore(f"esdb://127.0.0.1:{follower.port},127.0.0.1:{other.port}?tls=false", patience=0.0)) as store:
            assert len(put(store, unique("order"), some(1))) == 1


def test_nodes_that_are_all_away_are_asked_once_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each may be silent for as long as gossip may take."""
    asked: list[str] = []

    def silent(self: GossipService, **options: Any) -> Any:
        asked.append("")
        raise ServiceUnavailable("no answer")

    monkeypatch.setattr(GossipService, "read", silent)
    with pytest.raises(StoreUnavailable):
        connect(read_server("esdb://127.0.0.1:1,127.0.0.1:2,127.0.0.1:3?tls=false"), "pm")
    assert len(asked) == 3


def test_an_election_is_waited_for(node: DevServer, follower: Follower) -> None:
    """By who opens a store meanwhile, too."""
    follower.members = [member(follower.port, UNKNOWN), member(node.port, UNKNOWN)]
    elected = Timer(0.5, lambda: setattr(follower, "members", [member(follower.port, UNKNOWN), member(node.port)]))
    elected.start()
    with closing(EsdbStore(f"esdb://127.0.0.1:{follower.port},127.0.0.1:{follower.port}?tls=false")) as store:
        assert len(put(store, unique("order"), some(1))) == 1
    elected.join()
