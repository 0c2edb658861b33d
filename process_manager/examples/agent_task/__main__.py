"""`python -m process_manager.examples.agent_task`: four tasks, and why the agent did what it did."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import click

from process_manager.core.story import story
from process_manager.examples.agent_task import app
from process_manager.examples.agent_task.messages import SpendingApproved, SpendingRefused, TaskGiven
from process_manager.interfaces import bootstrap
from process_manager.interfaces.publishing.event_lines import Addressed
from process_manager.interfaces.publishing.feeder import Feeder
from process_manager.interfaces.publishing.publisher import addressed

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
SIEGE = "when was the siege of Turin lifted"

TASKS = ("day", "siege", "refused", "forgotten")


def events() -> Iterator[tuple[datetime, Addressed]]:
    """What people do: they give tasks, approve one, refuse one, and forget one."""
    given = [TaskGiven(task_id="day", goal="plan a day in Turin", limit=Decimal(1))]
    given += [TaskGiven(task_id=each, goal=SIEGE, limit=Decimal(1)) for each in TASKS[1:]]
    for task in given:
        yield START, addressed(f"task-{task.task_id}", task, START)
    approved, refused = START + timedelta(hours=1), START + timedelta(hours=2)
    yield approved, addressed("approval-siege", SpendingApproved(task_id="siege", by="ada"), approved)
    yield refused, addressed("approval-refused", SpendingRefused(task_id="refused", by="alan"), refused)


@click.command(epilog="Example: python -m process_manager.examples.agent_task --store sqlite:///agent.db")
@click.option("--store", "url", metavar="URL", default="memory:", show_default=True, help="sqlite:///file.db keeps the events.")
def main(url: str) -> None:
    """Let the agent work on four tasks, and tell the story of each."""
    with closing(bootstrap.open_store(url)) as store, closing(bootstrap.build(app, url, store, clock="driven")) as worker:
        Feeder(store, worker).feed(events())
        for task in TASKS:
            click.echo(f"\nagent_task-{task}\n")
            for line in story(store.read_stream(f"agent_task-{task}")):
                click.echo(f"  {line}")
    if url != "memory:":
        click.echo(f"\nTry: pm replay agent_task siege --app process_manager.examples.agent_task:app --data --store {url}", err=True)


if __name__ == "__main__":
    main()
