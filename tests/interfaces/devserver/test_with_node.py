"""The server as the official Node client sees it."""

import json
import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from process_manager.adapters.sqlite import SqliteStore
from process_manager.interfaces.devserver import serve

HERE = Path(__file__).parent / "node"
INSTALL = ("npm", "ci", "--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=0")


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the check and the client that it needs, in the versions of the lock file."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("Node is not installed")
    place = shutil.copytree(HERE, tmp_path_factory.mktemp("node") / "check")
    try:
        subprocess.run(INSTALL, cwd=place, check=True, capture_output=True, timeout=60)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        pytest.skip(f"npm cannot install the client: {error}")
    return place


@pytest.fixture
def uri(tmp_path: Path) -> Iterator[str]:
    if given := os.environ.get("ESDB_URI"):
        yield given
        return
    store = SqliteStore(tmp_path / "store.db")
    with serve(store) as server:
        yield server.url
    store.close()


def test_it_appends_reads_subscribes_and_consumes_groups(node: Path, uri: str) -> None:
    done = subprocess.run(
        ["node", "check.mjs", uri, uuid.uuid4().hex[:8]], cwd=node, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr
    seen: dict[str, Any] = json.loads(done.stdout)

    assert seen == {
        "nextExpectedRevision": 1,
        "wrongVersion": "WrongExpectedVersionError",
        "read": [[True, 0, "c-0"], [True, 1, "c-1"]],
        "missing": "StreamNotFoundError",
        "allBeginsWithSystem": True,
        "subscribed": [0, 1, 2],
        "filtered": [0, 1, 2],
        "delivered": [[0, "direct"], [1, "direct"], [2, "direct"], [1, "link"]],
        "onStream": [0, 1, 2],
        "info": "RoundRobin",
        "groups": [True],
        "deletedGroup": "PersistentSubscriptionDoesNotExistError",
        "keptByMaxCount": [2],
        "deleted": "StreamNotFoundError",
        "tombstoned": "StreamDeletedError",
    }
