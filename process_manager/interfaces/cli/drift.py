"""`pm drift`."""

import time
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from process_manager.interfaces import bootstrap
from process_manager.interfaces.cli import output
from process_manager.interfaces.cli.errors import DIFFERS, NOT_FOUND, OK, CliError, say
from process_manager.interfaces.cli.options import app_option, command, existing_log, format_option, store_option
from process_manager.interfaces.cli.progress import Progress
from process_manager.interfaces.cli.times import read_time
from process_manager.interfaces.cli.words import counted
from process_manager.interfaces.loading import load_app

if TYPE_CHECKING:
    from process_manager.core.drift import Difference
    from process_manager.interfaces.compatibility.drift import Drift, NotCovered
    from process_manager.ports import EventStore


@command("drift", example="pm drift --app shop.candidate:app\npm drift --app shop.orders:app --store sqlite:///sample.db --each -o jsonl")
@app_option
@click.option("--process", default="", metavar="NAME", help="Only this process.")
@click.option("--since", callback=read_time, metavar="TIME", help="Judge only turns since then.")
@click.option("--each", is_flag=True, help="A row for each difference of each instance, instead of groups.")
@store_option
@format_option(*output.FORMATS)
def drift_command(app_name: str, process: str, since: datetime | None, each: bool, url: str, format_: str) -> int:
    """Judge recorded histories by other code, before it is deployed: which decisions and commands would differ?

    Every recorded turn is judged by itself, from the facts that stand before it. Nothing is written. Of each instance the first
    difference of each kind and subject counts; -o ids names the instances. What suspended an instance counts while nobody has
    resolved it. The exit code is 5 when something differs or could not be judged, else 0.
    """
    from process_manager.interfaces.compatibility.drift import EACH, Groups, NotCovered, not_covered_row, unknown

    bootstrap.collect_less()
    start, progress = time.monotonic(), Progress()
    with existing_log(url) as store:
        drifts = _drifts(store, app_name, process, since, progress)
        found = (difference for drift in drifts for difference in drift.differences())
        groups = None if each or format_ == "ids" else Groups(found)
        if groups is None:
            rows = _one_each(found) if format_ == "ids" else found
            output.write_rows((difference._asdict() for difference in rows), EACH, format_, "instance", hidden=("revision",))
        progress.clear()
        not_covered = [] if process else unknown(store, {drift.definition.name for drift in drifts})
    not_covered += [each for drift in drifts for each in drift.not_covered]
    if not any(drift.instances for drift in drifts):  # the wrong store or app would pass for ever
        not_covered += [NotCovered(drift.definition.name, "the process", "no instance of it is recorded here") for drift in drifts]
    if groups is not None:
        _write_groups([*groups.rows(), *map(not_covered_row, not_covered)], format_)
    return _sum_up(drifts, not_covered, time.monotonic() - start)


def _one_each(found: "Iterable[Difference]") -> "Iterator[Difference]":
    """One difference of each instance."""
    seen: set[str] = set()
    for each in found:
        if each.instance not in seen:
            seen.add(each.instance)
            yield each


def _write_groups(rows: "list[dict[str, Any]]", format_: str) -> None:
    """What is not covered is told to people on stderr, and stands in data as rows of a kind of its own."""
    from process_manager.interfaces.compatibility.drift import COLUMNS

    if format_ == "table":
        rows = [row for row in rows if row["kind"] != "not covered"]
    if format_ in {"table", "csv"}:
        rows = [row | {"examples": " ".join(row["examples"])} for row in rows]
    output.write_rows(rows, COLUMNS, format_, "subject")


def _drifts(store: "EventStore", app_name: str, process: str, since: datetime | None, progress: Progress) -> "list[Drift]":
    from process_manager.interfaces.compatibility.drift import Drift

    definitions = load_app(app_name).definitions
    if process and process not in definitions:
        raise CliError(f"there is no process {process!r}: the app has {', '.join(definitions) or 'none'}", NOT_FOUND)
    chosen = [each for name, each in definitions.items() if process in {"", name}]
    return [Drift(store, each, since, lambda drift: progress.show(_count([drift]))) for each in chosen]


def _sum_up(drifts: "list[Drift]", not_covered: "list[NotCovered]", seconds: float) -> int:
    """Say what was looked at; the exit code."""
    for each in not_covered:
        say(f"not covered: {each.process}, {each.subject}: {each.why}")
    instances = sum(drift.instances for drift in drifts)
    say(f"{_count(drifts)}; {seconds:.1f} s, {instances / max(seconds, 0.001):,.0f} instances/s")
    return DIFFERS if not_covered or any(drift.differing for drift in drifts) else OK


def _count(drifts: "list[Drift]") -> str:
    instances, turns, differing = (sum(getattr(drift, name) for drift in drifts) for name in ("instances", "turns", "differing"))
    differ = f"{counted(differing, 'instance')} {'differs' if differing == 1 else 'differ'}"
    return f"{counted(instances, 'instance')}, {counted(turns, 'turn')} judged, {differ}"
