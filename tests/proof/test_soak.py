"""A short soak: workers are killed for real, and the orders end as if nothing had happened."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("store", "orders", "pace"), [("sqlite", 150, 0.5), ("dev", 25, 2)])
def test_orders_survive_workers_that_are_killed_for_real(store: str, orders: int, pace: float) -> None:
    command = [sys.executable, "-m", "scripts.soak", "--minutes", "0", "--orders", str(orders), "--pace", str(pace), "--store", store]
    done = subprocess.run([*command, "-o", "json"], cwd=ROOT, capture_output=True, text=True, timeout=290, check=False)

    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["orders"] == orders
    assert figures["workers_killed"] >= 1
    assert figures["lost"] == figures["doubled"] == figures["otherwise"] == 0
