"""`pm discover`."""

from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING

import click

from process_manager.interfaces.cli import output
from process_manager.interfaces.cli.errors import say
from process_manager.interfaces.cli.options import command, existing_log, format_option, store_option
from process_manager.interfaces.cli.times import read_end, read_time
from process_manager.interfaces.cli.words import counted

if TYPE_CHECKING:
    from process_manager.core.flow import Flow

COLUMNS = ("before", "after", "count", "median", "p90")


@command("discover", example="pm discover --type-prefix shop. > flow.mmd\npm discover --category fine --min-count 100 -o dot | dot -Tsvg")
@click.option("--category", default="", metavar="NAME", help="Only messages of these streams: what stands before the first -.")
@click.option("--type-prefix", default="", metavar="TEXT", help="Only types that begin so.")
@click.option("--since", callback=read_time, metavar="TIME", help="Only messages timed at this day or time, or later.")
@click.option("--until", callback=read_end, metavar="TIME", help="Only messages timed until the end of this day, or up to this time.")
@click.option("--min-count", type=click.IntRange(1), default=1, show_default=True, metavar="N", help="Only what followed so often.")
@store_option
@format_option("mermaid", "dot", "csv", "json")
def discover_command(
    category: str, type_prefix: str, since: datetime | None, until: datetime | None, min_count: int, url: str, format_: str
) -> None:  # fmt: skip
    """Draw the flow that the log really shows: which message came directly after which, how often, how long after.

    It goes by correlation and causation alone, so it needs no app and shows events that no process manager coordinates as well.
    Times are medians; csv and json have them in seconds, with the 90th percentile.
    """
    from process_manager.core.flow import dot, mermaid
    from process_manager.interfaces.reading.discovery import Chosen, discover

    with existing_log(url) as store:
        flow = discover(store, Chosen(category, type_prefix, since, until)).frequent(min_count)
    if format_ == "json":
        output.write_json(_as_json(flow))
    elif format_ == "csv":
        output.write_rows((asdict(each) for each in flow.follows), COLUMNS, format_, "before")
    else:
        click.echo((mermaid if format_ == "mermaid" else dot)(flow), nl=False)
    messages = counted(sum(node.count for node in flow.nodes), "message")
    say(f"{counted(flow.cases, 'case')}, {messages} of {counted(len(flow.nodes), 'type')}")


def _as_json(flow: "Flow") -> dict[str, object]:
    return {"cases": flow.cases, "types": [asdict(node) for node in flow.nodes], "follows": [asdict(each) for each in flow.follows]}
