"""What a name on the command line stands for, and what is said where it stands for nothing."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.interfaces.conftest import Pm

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("loading_shop/app.py:app", "names a file: write its module, loading_shop.app:app"),
        ("shop.app", "write module:attribute, such as shop:app"),
        ("shop", "write module:attribute, such as shop.orders:app"),
    ],
)
def test_the_name_of_an_app_that_is_none(pm: Pm, name: str, told: str) -> None:
    answer = pm("check", "--app", name)
    assert (answer.code, told in answer.err) == (1, True), answer.err


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("loading_views:orderss", "loading_views has no 'orderss'; it has orders"),
        ("loading_none:orders", "loading_none has no 'orders': give it one, as in projections = [Orders()]"),
        ("views.projections", "write module:attribute, such as views:projections"),
        ("views", "write module:attribute, such as views:projections"),
    ],
)
def test_the_name_of_projections_that_are_none(pm: Pm, place: Path, name: str, told: str) -> None:
    Path("loading_views.py").write_text("from projections.shipped import Instances\norders = [Instances()]")
    Path("loading_none.py").write_text("")
    answer = pm("projections", "list", "--projections", name)
    assert (answer.code, told in answer.err) == (1, True), answer.err
    assert "App" not in answer.err


@pytest.mark.parametrize(
    ("first", "command"),
    [  # as the script `pm` finds modules, and with the user's directory before everything else
        ("", "projections list --projections projections:projections"),
        (".", "projections list --projections views:projections"),
        (".", "report overview --store shop.db"),
    ],
)
def test_a_module_of_the_users_that_is_called_like_our_package(place: Path, first: str, command: str) -> None:
    (place / "projections.py").write_text("from projections import Projection\nprojections = []\n")
    (place / "views.py").write_text("")
    script = "import sys; sys.path.pop(0); from process_manager.interfaces.cli.main import main; main()"
    path = os.pathsep.join(filter(None, [first, str(Path(__file__).parents[2])]))
    done = subprocess.run(
        [sys.executable, "-c", script, *command.split()], cwd=place, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip

    assert done.returncode == 1
    assert f"{place / 'projections.py'} hides the package projections of this library" in done.stderr
    assert "rename it, to views.py for instance" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(("typed", "meant"), [("lst", "list"), ("replya", "replay")])
def test_a_mistyped_command_is_answered_with_the_one_that_is_meant(pm: Pm, typed: str, meant: str) -> None:
    answer = pm(typed)
    assert (answer.code, f"No such command {typed!r}. Did you mean {meant!r}?" in answer.err) == (2, True)
    assert "Did you mean" not in pm("xyzzy").err


def test_what_is_wrong_with_a_definition_is_told_whatever_wraps_it(pm: Pm, place: Path) -> None:
    Path("loading_twice.py").write_text(
        "from process_manager.examples.order_fulfilment.process import OrderFulfilment\n"
        "class Again:\n"
        "    charge = OrderFulfilment.charge_card\n"
    )
    answer = pm("check", "--app", "loading_twice:app")
    assert (answer.code, "Again.charge: is the same Step as charge_card: make a Step() of its own" in answer.err) == (1, True), answer.err
