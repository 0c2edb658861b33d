"""What the source may not do, and what the files and the command line give away."""

from __future__ import annotations

import ast
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from process_manager.adapters.sqlite import SqliteStore
from process_manager.interfaces import bootstrap
from projections.views import Views

ROOT = Path(__file__).parents[2]
SOURCE = [*ROOT.glob("process_manager/**/*.py"), *ROOT.glob("projections/**/*.py"), *ROOT.glob("scripts/**/*.py")]

FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__"}
FORBIDDEN_MODULES = {"pickle", "cPickle", "dill", "marshal", "shelve", "jsonpickle", "yaml", "xml"}
IMPORTS_BY_NAME = {
    "process_manager/interfaces/loading.py": "for what the user names with --app and --projections",
    "process_manager/interfaces/cli/commands.py": "commands, from a table in the source",
    "process_manager/__init__.py": "public names, from a table in the source",
}


def offences(text: str, path: str = "") -> Iterator[str]:
    """Calls that turn data into code, and modules that do so when they read."""
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Call(func=ast.Name(id=name)) if name in FORBIDDEN_CALLS:
                yield f"{path}:{node.lineno} calls {name}"
            case ast.Call(func=ast.Name(id="import_module") | ast.Attribute(attr="import_module")) if path not in IMPORTS_BY_NAME:
                yield f"{path}:{node.lineno} imports by name"
            case ast.Call(keywords=keywords) if any(
                each.arg == "shell" and not (isinstance(each.value, ast.Constant) and each.value.value is False) for each in keywords
            ):
                yield f"{path}:{node.lineno} starts a shell"
            case ast.Import(names=names):
                yield from (f"{path}:{node.lineno} imports {each.name}" for each in names if each.name.split(".")[0] in FORBIDDEN_MODULES)
            case ast.ImportFrom(module=str(module)) if module.split(".")[0] in FORBIDDEN_MODULES:
                yield f"{path}:{node.lineno} imports from {module}"
            case _:
                pass


@pytest.mark.parametrize(
    "text",
    [
        "eval(x)", "exec(x)", "compile(x, '', 'exec')", "__import__(x)", "import pickle", "from pickle import loads", "import xml.etree",
        "from importlib import import_module\nimport_module(x)", "import importlib\nimportlib.import_module(x)", "run(x, shell=True)",
    ],
)  # fmt: skip
def test_the_check_finds_what_it_looks_for(text: str) -> None:
    assert len(list(offences(text))) == 1


def test_no_data_becomes_code() -> None:
    """No pickle, no eval; the one import of a name that is data is that of an app."""
    assert len(SOURCE) > 100
    found = [each for path in SOURCE for each in offences(path.read_text(), path.relative_to(ROOT).as_posix())]

    assert found == []


@pytest.mark.skipif(sys.platform == "win32", reason="permissions are POSIX's")
@pytest.mark.parametrize(("umask", "mode"), [(0o000, 0o600), (0o022, 0o600), (0o277, 0o400)])
def test_a_store_is_its_owners_alone(tmp_path: Path, umask: int, mode: int) -> None:
    """Neither the file nor what stands beside it is for others to read, whatever the umask allows them."""
    code = (
        "import os, sys; os.umask(int(sys.argv[2])); from process_manager.adapters.sqlite.database import Database; "
        "Database._connect = lambda self: sys.exit(0); Database(sys.argv[1])"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "events.db"), str(umask)], cwd=ROOT, check=True)

    assert stat.S_IMODE((tmp_path / "events.db").stat().st_mode) == mode


@pytest.mark.skipif(sys.platform == "win32", reason="permissions are POSIX's")
def test_what_stands_beside_a_store_is_its_owners_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        store = SqliteStore(tmp_path / "events.db")
        index = bootstrap.open_index(f"sqlite:///{tmp_path / 'events.db'}")
        views = Views(f"sqlite:///{tmp_path / 'views.db'}")
        with views.begin():
            pass
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
        views.engine.dispose()
        index.close()
        store.close()
    finally:
        os.umask(before)

    assert {"events.db", "events.db.deadlines", "views.db"} <= modes.keys()
    assert {name: mode for name, mode in modes.items() if mode & 0o077} == {}


def test_only_the_named_app_is_imported(tmp_path: Path) -> None:
    """Neither its neighbours nor what an environment names for Python's own start."""
    for name in ("wanted", "neighbour", "conftest", "setup"):
        (tmp_path / f"{name}.py").write_text(
            f"open({str(tmp_path / name)!r} + '.imported', 'w').close()\nfrom process_manager import App\napp = App('a')\n"
        )
    command = [sys.executable, "-m", "process_manager.interfaces.cli.main", "check", "--app", "wanted:app"]
    done = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=100, check=False
    )

    assert done.returncode == 0, done.stderr
    assert [path.name for path in tmp_path.glob("*.imported")] == ["wanted.imported"]


@pytest.mark.parametrize("command", ["list", "show x-1", "publish -", "run --app a:b --until-idle"])
def test_a_stores_password_is_never_shown(command: str, tmp_path: Path) -> None:
    url = "esdb://admin:sesame-open@127.0.0.1:1?tls=false"
    done = subprocess.run(
        [sys.executable, "-m", "process_manager.interfaces.cli.main", *command.split(), "--store", url],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, input="", capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip

    assert done.returncode != 0
    assert "sesame-open" not in done.stdout + done.stderr
