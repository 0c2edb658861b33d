"""39 questions, answered as a real EventStoreDB answered them, message by message.

Against the development server in this process, or, where ESDB_URI names one (`esdb://127.0.0.1:2113?tls=false`), a real server.
"""

import os
from collections.abc import Iterator
from importlib import import_module
from urllib.parse import urlsplit

import pytest

from process_manager.adapters.memory import MemoryStore
from process_manager.interfaces.devserver import serve
from tests.interfaces.devserver.truth.asking import RECORDED, SCENARIOS, ask, lenient

for _module in ("appending", "deleting", "reading", "subscribing", "managing", "delivering", "nodes"):
    import_module(f"tests.interfaces.devserver.truth.scenarios.{_module}")


@pytest.fixture
def target() -> Iterator[str]:
    if uri := os.environ.get("ESDB_URI"):
        yield urlsplit(uri).netloc
        return
    with serve(MemoryStore()) as server:
        yield f"{server.host}:{server.port}"


@pytest.mark.parametrize("name", SCENARIOS)
def test_it_answers_as_the_real_server_did(target: str, name: str) -> None:
    answer = ask(target, name)

    assert lenient(RECORDED[name], answer) == RECORDED[name]


def test_every_recorded_question_is_asked() -> None:
    assert SCENARIOS.keys() == RECORDED.keys()
