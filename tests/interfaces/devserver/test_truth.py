"""39 questions, answered as a real EventStoreDB answered them, message by message.

Against the development server in this process, or, where ESDB_URI names one, a real server or the leader of a real cluster.
"""

import os
from collections.abc import Iterator
from importlib import import_module

import pytest

from process_manager.adapters.memory import MemoryStore
from process_manager.interfaces.devserver import serve
from tests.adapters.esdb_server import is_cluster
from tests.interfaces.devserver.truth.asking import RECORDED, SCENARIOS, ask, lenient

for _module in ("appending", "deleting", "reading", "subscribing", "managing", "delivering", "nodes"):
    import_module(f"tests.interfaces.devserver.truth.scenarios.{_module}")


@pytest.fixture
def uri() -> Iterator[str]:
    if named := os.environ.get("ESDB_URI"):
        yield named
        return
    with serve(MemoryStore()) as server:
        yield server.url


@pytest.mark.parametrize("name", SCENARIOS)
def test_it_answers_as_the_real_server_did(uri: str, name: str) -> None:
    if name == "gossip_of_one_node" and is_cluster(uri):
        pytest.skip("a cluster has more nodes than one")
    answer = ask(uri, name)

    assert lenient(RECORDED[name], answer) == RECORDED[name]


def test_every_recorded_question_is_asked() -> None:
    assert SCENARIOS.keys() == RECORDED.keys()
