"""The names of pm's commands, each imported when it is used, so that `pm --help` is quick."""

from difflib import get_close_matches
from importlib import import_module
from typing import Any

import click

_HERE = "process_manager.interfaces.cli"

_SECTIONS = {
    "Run processes": {
        "demo": ("demo", "Run orders through the shipped example, from placed to shipped or undone."),
        "publish": ("publish", "Publish events from JSON Lines or CloudEvents; twice is as good as once."),
        "run": ("run", "Run an app: its processes, handlers and deadlines."),
        "reconcile": ("reconcile", "Offer recorded events again and take what was missed."),
    },
    "See what happened": {
        "list": ("instances", "List the instances of processes."),
        "show": ("instances", "Tell the story of one instance."),
        "replay": ("replay", "Go through an instance's history step by step."),
        "explain": ("explain", "Say why an instance is where it is, and what may come."),
        "why": ("explain", "Say why a command was given."),
        "report": ("report", "Report on instances: outcomes, durations, decisions, what waits, and more."),
        "discover": ("discover", "Draw the flow that the log really shows."),
    },
    "Step in": {
        "retry": ("operate", "Take again what suspended an instance, or what could not be undone."),
        "skip": ("operate", "Go on without what suspended an instance, or what could not be undone."),
        "cancel": ("operate", "End an instance without undoing anything."),
        "suspend": ("operate", "Stop an instance; what comes for it is kept."),
        "resume": ("operate", "Let an instance go on that was stopped by suspend."),
        "compensate": ("operate", "Undo what an instance has done."),
        "deadlines": ("deadlines", "List, move and cancel pending deadlines."),
        "parked": ("parked", "List, show, replay and drop records that were set aside."),
    },
    "Change code": {
        "check": ("check", "Check an app, and whether instances under way can go on with it."),
        "diagram": ("check", "Draw a process as Mermaid or DOT."),
        "drift": ("drift", "Judge recorded histories by other code, before it is deployed."),
        "export": ("transfer", "Write instances' histories as JSON Lines, masked if need be."),
        "import": ("transfer", "Read exported histories into a new file, to look at."),
    },
    "Look after a store": {
        "projections": ("projections", "Build the views that reports and lists read, and keep them up to date."),
        "subscriptions": ("subscriptions", "List, show, create, change and delete consumer groups."),
        "store": ("store", "Back a store up, or serve it for development."),
        "completion": ("completion", "Print the completion script for a shell."),
    },
}
"""The commands by purpose: each one's module and what it does."""

_COMMANDS = {name: command for section in _SECTIONS.values() for name, command in section.items()}

_EPILOG = """\b
Examples:
  $ pm demo --orders 100
  $ pm publish events.jsonl --store sqlite:///shop.db
  $ pm run --app shop.orders:app --store sqlite:///shop.db
  $ pm list --status running

\b
Environment: PM_STORE and PM_APP stand for --store and --app, NO_COLOR for no colour.
Exit codes: 0 ok, 1 error, 2 usage, 3 refused, 4 not found, 5 differences, 130 interrupted."""


class LazyGroup(click.Group):
    """A group that knows its commands by name and imports the module of the one that is used."""

    def invoke(self, ctx: click.Context) -> Any:
        """End quietly when nobody reads any more (`pm list | head`); click would exit with 1."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as gone:
            raise click.exceptions.Exit(0) from gone

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        return list(_COMMANDS)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """Suggest a command for one that does not exist; click itself knows only those that are imported."""
        if args[0] not in _COMMANDS and (meant := get_close_matches(args[0], _COMMANDS, 1)):
            ctx.fail(f"No such command {args[0]!r}. Did you mean {meant[0]!r}?")
        return super().resolve_command(ctx, args)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  click's signature
        if cmd_name not in _COMMANDS:
            return None
        module = import_module(f"{_HERE}.{_COMMANDS[cmd_name][0]}")
        found = getattr(module, f"{cmd_name}_command")
        assert isinstance(found, click.Command)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  click's signature
        longest = max(map(len, _COMMANDS))
        for title, commands in _SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(f"{name:<{longest}}", text) for name, (_, text) in commands.items()])


def _print_version(ctx: click.Context, _: click.Parameter, *, value: bool) -> None:
    if value:
        from importlib.metadata import version

        click.echo(f"pm {version('process-manager')}")
        ctx.exit()


@click.command(
    "pm",
    cls=LazyGroup,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    no_args_is_help=True,
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, help="Say which version this is.",
    callback=lambda ctx, param, value: _print_version(ctx, param, value=value),
)  # fmt: skip
def cli() -> None:
    """Event-sourced process managers on an event store."""
