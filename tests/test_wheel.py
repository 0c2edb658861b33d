"""What a user installs: the wheel, away from the checkout."""

import os
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with what the wheel of this checkout holds."""
    place = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(place)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = place.glob("*.whl")
    with ZipFile(wheel) as archive:
        archive.extractall(place / "installed")
    return place / "installed"


def test_the_wheel_holds_the_two_packages_whole(installed: Path) -> None:
    for package in ("process_manager", "projections"):
        assert files(installed / package) == files(ROOT / package)


def test_pm_runs_from_the_wheel_alone(installed: Path, tmp_path: Path) -> None:
    code = "import process_manager, sys; from process_manager.interfaces.cli.main import main; print(process_manager.__file__); main()"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, "demo", "--orders", "20"],
        cwd=tmp_path,
        env={**unmeasured(), "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    where, told = done.stdout.partition("\n")[::2]
    assert Path(where).is_relative_to(installed)
    assert done.returncode == 0, done.stderr
    assert told.split()[:2] == ["orders", "20"]


def unmeasured() -> dict[str, str]:
    """The environment without what lets coverage measure started processes: the wheel's code is a second copy of ours."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}


def files(directory: Path) -> set[str]:
    found = (path for path in directory.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {str(path.relative_to(directory)) for path in found}
