"""Consumers of one group that come and go while events come in."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Queue
from typing import Any

import grpc
import pytest

from process_manager.interfaces.devserver import DevServer
from process_manager.testing.contract.support import eventually
from tests.interfaces.devserver.truth.protos import persistent_pb2
from tests.interfaces.devserver.truth.session import Session, named


class Worker:
    """Reads a group on $all and acknowledges whatever it gets, until it is cut off."""

    def __init__(self, session: Session, group: str) -> None:
        self.seen: list[tuple[str, int, int]] = []  # correlation, number, retries
        self._requests: Queue[Any] = Queue()
        self._requests.put(persistent_pb2.ReadReq(options={**named(group, None), "buffer_size": 20, "uuid_option": {"string": {}}}))
        self._call = session.groups.Read(iter(self._requests.get, None))
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            for answer in self._call:
                if answer.WhichOneof("content") == "event":
                    event = answer.event.event
                    correlation = json.loads(event.custom_metadata)["$correlationId"]
                    self.seen.append((correlation, json.loads(event.data), answer.event.retry_count))
                    self._requests.put(persistent_pb2.ReadReq(ack={"ids": [event.id]}))
        except grpc.RpcError:
            return

    def cut_off(self) -> None:
        self._call.cancel()
        self._thread.join()
        self._requests.put(None)


@contextmanager
def asking(server: DevServer) -> Iterator[Session]:
    session = Session(server.url)
    yield session
    session.close()


def put(session: Session, start: int, count: int) -> None:
    """Events in 7 streams, of 20 correlation ids."""
    for number in range(start, start + count):
        custom = json.dumps({"$correlationId": f"c-{number % 20}"}).encode()
        session.append(f"orders-{number % 7}", "any", (f"e{number}", {"data": str(number).encode(), "custom": custom}))


def only_ours() -> dict[str, Any]:
    return {"event_type": {"regex": "^T$"}, "max": 32, "checkpointIntervalMultiplier": 1}


def info(session: Session, group: str) -> Any:
    return session.groups.GetInfo(persistent_pb2.GetInfoReq(options=named(group, None))).subscription_info


def test_with_a_steady_team_every_id_stays_with_one_consumer_and_in_order(server: DevServer) -> None:
    with asking(server) as session:
        session.create_group("team", None, where=only_ours(), consumer_strategy="PinnedByCorrelation")
        team = [Worker(session, "team") for _ in range(3)]
        eventually(lambda: len(info(session, "team").connections) == 3)
        put(session, 0, 200)
        eventually(lambda: sum(len(worker.seen) for worker in team) == 200)
        for worker in team:
            worker.cut_off()

    owners = [{correlation for correlation, _, _ in worker.seen} for worker in team]
    assert sum(map(len, owners)) == 20
    for worker in team:
        for wanted in {correlation for correlation, _, _ in worker.seen}:
            numbers = [number for correlation, number, _ in worker.seen if correlation == wanted]
            assert numbers == sorted(numbers)


@pytest.mark.parametrize("strategy", ["PinnedByCorrelation", "RoundRobin", "DispatchToSingle"])
def test_whoever_is_cut_off_nothing_is_lost_and_nothing_parked(server: DevServer, strategy: str) -> None:
    with asking(server) as session:
        session.create_group("team", None, where=only_ours(), consumer_strategy=strategy, max_retry_count=0)
        team = [Worker(session, "team") for _ in range(3)]
        everyone = list(team)
        for turn in range(4):
            put(session, turn * 50, 50)
            team.pop(0).cut_off()
            team.append(Worker(session, "team"))
            everyone.append(team[-1])
        eventually(lambda: len({number for worker in everyone for _, number, _ in worker.seen}) == 200)
        eventually(lambda: info(session, "team").outstanding_messages_count == 0)
        assert info(session, "team").parked_message_count == 0
        for worker in team:
            worker.cut_off()
