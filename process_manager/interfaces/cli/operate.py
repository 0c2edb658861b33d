"""`pm retry`, `skip`, `cancel`, `suspend`, `resume` and `compensate`: what an operator does to instances by hand."""

import re
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any, TypeVar

import click

from process_manager.interfaces.cli.errors import ERROR, NOT_FOUND, OK, REFUSED, CliError, say
from process_manager.interfaces.cli.instances import STATUSES
from process_manager.interfaces.cli.options import command, confirm, existing_store, known_process, store_option, stream_of
from process_manager.interfaces.cli.words import counted

if TYPE_CHECKING:
    from process_manager.core.signals import Action, OperatorAction
    from process_manager.ports import EventStore

F = TypeVar("F", bound=Callable[..., Any])

SHOWN = 20
"""How many instances that are left out are named."""


def _request(ctx: click.Context, param: click.Parameter, value: str | None) -> str:
    """The id of a request; one that nobody has used, where none is given."""
    if value is None:
        from uuid import uuid4

        return str(uuid4())
    if not re.fullmatch(r"[\w.:-]{1,100}", value, re.ASCII):
        raise click.BadParameter("up to 100 letters, digits and . : _ -", ctx, param)
    return value


def _actor(ctx: click.Context, param: click.Parameter, value: str | None) -> str:
    import getpass

    try:
        return _line(ctx, param, value if value is not None else getpass.getuser())
    except (OSError, KeyError) as error:
        raise click.BadParameter("nobody knows who you are: say it", ctx, param) from error


def _line(ctx: click.Context, param: click.Parameter, value: str) -> str:
    if not value.strip() or not value.isprintable():
        raise click.BadParameter("write one line of text", ctx, param)
    return value.strip()


def signing_options(function: F) -> F:
    """`--reason` and `--actor`: who does it, and why."""
    function = click.option("--actor", callback=_actor, metavar="NAME", help="Who does it.  [default: the system's user]")(function)
    return click.option("--reason", required=True, callback=_line, metavar="TEXT", help="Why; it is recorded.")(function)


def acting_options(function: F) -> F:
    """`--reason`, `--actor`, `--request` and `--wait`, for actions on instances."""
    for option in reversed(
        (
            signing_options,
            click.option("--request", callback=_request, metavar="ID",
                         help="A name for this request: given again, it is not done again.  [default: a new one]"),
            click.option("--wait", "seconds", type=click.FloatRange(0), default=0.0, metavar="SECONDS",
                         help="Wait up to so long for a worker to do it, and say what came of it."),
        )
    ):  # fmt: skip
        function = option(function)
    return function


def _command(action: "Action", doc: str, status: str) -> click.Command:
    """The command of an action on instances; `status` is that of the instances in its examples."""

    @command(
        action,
        example=f'pm {action} order_fulfilment 1001 --reason "..."\n'
        f'pm list --status {status} -o ids | pm {action} - --reason "..."\n'
        f'pm {action} --process order_fulfilment --status {status} --reason "..." --dry-run',
    )
    @click.argument("instance", nargs=-1)
    @click.option("--process", default="", metavar="NAME", help="All instances of this process to which it applies.")
    @click.option("--status", type=click.Choice(STATUSES), metavar="STATUS", help="All instances of this status to which it applies.")
    @acting_options
    @click.option("--dry-run", is_flag=True, help="Only write the ids of those to which it would be done.")
    @click.option("--yes", is_flag=True, help="Do not ask before it is done to all that --process and --status name.")
    @store_option
    def run(
        instance: tuple[str, ...], process: str, status: str | None, reason: str, actor: str, request: str, seconds: float, url: str, *,
        dry_run: bool, yes: bool,
    ) -> int:  # fmt: skip
        from process_manager.core.signals import OperatorAction

        if bool(instance) == bool(process or status):
            raise click.UsageError("name an instance, or - for ids on standard input, or choose by --process and --status")
        with closing(existing_store(url)) as store:
            chosen = _named(instance) if instance else _matching(store, process, status or "")
            asked = [OperatorAction(each, request, action, actor, reason) for each in chosen]
            return _act(store, asked, seconds, by_name=bool(instance), dry_run=dry_run, yes=yes)

    run.help = f"{doc}\n\n{_MORE}"
    return run


def _act(store: "EventStore", asked: "list[OperatorAction]", seconds: float, *, by_name: bool, dry_run: bool, yes: bool) -> int:
    """Carry out the actions that apply, after a confirmation. Returns the exit code. If instances are named, all of them have to apply."""
    possible, left_out = _possible(store, asked)
    if by_name and len(asked) == 1 and left_out:
        raise CliError(*left_out[0])
    _say_left_out([text for text, _ in left_out] if by_name else [])
    if len(asked) != 1:
        say(f"it applies to {len(possible):,} of {counted(len(asked), 'instance')}")
    if dry_run:
        click.echo("".join(f"{each.instance}\n" for each in possible), nl=False)
        return OK
    if possible and not by_name:
        confirm(f"{possible[0].action} {counted(len(possible), 'instance')}?", yes=yes)
    return max(carry_out(store, possible, seconds), ERROR if by_name and left_out else OK)


def _named(instance: Sequence[str]) -> list[str]:
    """The instances of a command line: PROCESS KEY, PROCESS-KEY, or - for ids on standard input."""
    if tuple(instance) == ("-",):
        lines = sys.stdin.buffer.read().decode(errors="replace").splitlines()
        return list(dict.fromkeys(line.strip() for line in lines if line.strip()))
    return [stream_of(instance)]


def _matching(store: "EventStore", process: str, status: str) -> list[str]:
    from process_manager.interfaces.reading.instance_scan import scan

    found = [row["instance"] for row in scan(store, process, status)]
    if not found:
        known_process(store, process)
    return found


def _possible(store: "EventStore", asked: "list[OperatorAction]") -> "tuple[list[OperatorAction], list[tuple[str, int]]]":
    """The actions that apply, and for each of the others why it does not, with its exit code."""
    from process_manager.interfaces.operating.actions import NOT_THERE, obstacle

    possible, left_out = [], []
    for each in asked:
        why = obstacle(store, each)
        if why:
            left_out.append((f"{each.instance}: {why}", NOT_FOUND if why == NOT_THERE else REFUSED))
        else:
            possible.append(each)
    return possible, left_out


def _say_left_out(left_out: list[str]) -> None:
    for line in left_out[:SHOWN]:
        say(f"left out: {line}")
    if len(left_out) > SHOWN:
        say(f"left out: {len(left_out) - SHOWN:,} more")


def carry_out(store: "EventStore", actions: "Sequence[OperatorAction]", seconds: float) -> int:
    """Put actions into the log and say so; with `seconds`, what came of them. The exit code."""
    from process_manager.interfaces.operating.actions import ask, outcomes

    asked = list(ask(store, actions))
    again = sum(each.again for each in asked)
    if asked:
        say(f"asked for {len(asked):,}" + (f", {again:,} of them before" if again else "") + f", request {asked[0].action.request}")
    if not asked or not seconds:
        return OK
    left = len(asked)
    for stream, outcome in outcomes(store, asked, seconds):
        click.echo(f"{stream}: {outcome}")
        left -= 1
    if left:
        say(f"no worker has taken {left:,} of them yet: is one running?")
    return ERROR if left else OK


_MORE = """Name the instance as PROCESS KEY or PROCESS-KEY, give ids on standard input with -, or choose by --process and --status.
A worker does it as soon as it gets to it, and records who did it and why. Needs no app. Where it does not apply to some of the ids
given, it is done to the others, and the exit code is 1; --process and --status choose only those to which it applies."""

retry_command = _command(
    "retry",
    "Take again the input that suspended an instance, with the code that runs now, and then what has waited behind it; or try again an "
    "undo that has failed.",
    "suspended",
)
skip_command = _command(
    "skip",
    "Leave out the input that suspended an instance and go on with what has waited behind it; or go on without an undo that has failed.",
    "compensation_failed",
)
cancel_command = _command("cancel", "End an instance as it is: nothing is undone, and no command is given any more.", "suspended")
suspend_command = _command("suspend", "Stop an instance: what comes for it is kept until pm resume.", "running")
resume_command = _command("resume", "Let an instance go on that was stopped by pm suspend.", "suspended")
compensate_command = _command("compensate", "Undo what an instance has done, as when its process says so.", "running")
