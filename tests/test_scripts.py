"""The scripts that set up and run everything else."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from process_manager.adapters.memory import MemoryStore
from scripts.raw_limits import WINDOW, raw_appends

ROOT = Path(__file__).parent.parent
NAMES = ("audit", "bench", "bench-views", "check", "demo", "fines-reports", "lock", "soak", "test", "venv")
SCRIPTS = [ROOT / "scripts" / name for name in NAMES]
BASH = shutil.which("bash") or "bash"


@pytest.mark.parametrize("script", [*SCRIPTS, ROOT / ".ci" / "run"], ids=lambda path: path.name)
def test_script_is_executable_bash_without_syntax_errors(script: Path) -> None:
    """A fresh clone can run every script as it is."""
    result = subprocess.run([BASH, "-n", script], capture_output=True, text=True, check=False)

    assert result.stderr == ""
    assert os.access(script, os.X_OK)
    assert script.read_text().startswith("#!/usr/bin/env bash\n# ")


def test_a_machine_without_python_is_told_what_to_install(tmp_path: Path) -> None:
    """Names on the PATH that do not run count as absent; the error says what to install."""
    for name in ("python3.13", "python3.12", "python3.11", "python3"):
        shim = tmp_path / name
        shim.write_text("#!/bin/sh\nexit 127\n")
        shim.chmod(0o755)
    for tool in ("dirname", "pwd"):
        (tmp_path / tool).symlink_to(shutil.which(tool) or tool)

    result = subprocess.run(
        [BASH, "-c", f"source {ROOT / 'scripts' / 'lib.sh'}; find_python"],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert result.returncode == 1
    assert result.stderr.startswith("error: no Python 3.11 or newer")
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("package", ["process_manager", "projections"])
def test_package_says_that_it_is_typed(package: str) -> None:
    """Type checkers of users read our annotations."""
    assert (ROOT / package / "py.typed").is_file()


def test_the_bench_finds_the_raw_limit_of_a_server() -> None:
    """More appends than may be unanswered at once."""
    pytest.importorskip("esdbclient", reason="the esdb extra is not installed")
    from process_manager.interfaces.devserver import serve

    with serve(MemoryStore(single_active=False)) as server:
        assert raw_appends(server.url, WINDOW * 2 + 3) > 0
