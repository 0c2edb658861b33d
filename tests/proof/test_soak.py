"""A short soak: workers are killed for real, and the orders end as if nothing had happened."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("store", ["sqlite", "dev"])
def test_orders_survive_workers_that_are_killed_for_real(store: str) -> None:
    command = [sys.executable, "-m", "scripts.soak", "--minutes", "0", "--orders", "150", "--pace", "0.5", "-o", "json", "--store", store]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)

    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["orders"] == 150
    assert figures["workers_killed"] >= 2
    assert figures["lost"] == figures["doubled"] == figures["otherwise"] == 0
