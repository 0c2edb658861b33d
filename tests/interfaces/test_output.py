"""What rows and lines look like, and what becomes of them where nobody reads."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from process_manager.interfaces.cli.output import WIDE, printable, write_rows


def test_what_stands_on_several_lines_is_shown_on_one() -> None:
    assert (
        printable("1 validation error for Pay\namount\r\n  too small\x1b[2J")
        == "1 validation error for Pay amount   too small\N{REPLACEMENT CHARACTER}[2J"
    )


@pytest.mark.parametrize("arguments", [("list", "-o", "jsonl"), ("list", "-o", "json"), ("list", "--limit", "1"), ("export",)])
def test_a_reader_that_goes_away_is_no_error(recorded: Path, arguments: tuple[str, ...]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "process_manager.interfaces.cli.main", *arguments, "--store", f"sqlite:///{recorded}"]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False, timeout=100)
    os.close(writing)
    assert done.returncode == 0
    assert "Error" not in done.stderr


def test_a_long_value_does_not_push_the_columns_of_other_rows_out_of_sight(capsys: pytest.CaptureFixture[str]) -> None:
    write_rows([{"id": "a" * 300, "status": "running"}, {"id": "b", "status": "ended"}], ("id", "status"), "table", "id")
    heading, long, short = capsys.readouterr().out.splitlines()

    assert long == "a" * 300 + "  running"
    assert heading.index("STATUS") == short.index("ended") == WIDE + 2
