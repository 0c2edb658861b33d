"""What rows and lines look like."""

from process_manager.interfaces.cli.output import printable


def test_what_stands_on_several_lines_is_shown_on_one() -> None:
    assert (
        printable("1 validation error for Pay\namount\r\n  too small\x1b[2J")
        == "1 validation error for Pay amount   too small\N{REPLACEMENT CHARACTER}[2J"
    )
