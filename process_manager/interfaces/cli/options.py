"""Options that several commands share."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from process_manager.errors import NotAStore
from process_manager.interfaces import bootstrap
from process_manager.interfaces.address import read_address
from process_manager.interfaces.cli.errors import NOT_FOUND, REFUSED, CliError
from process_manager.interfaces.cli.words import there
from process_manager.interfaces.loading import load_app

if TYPE_CHECKING:
    from process_manager.core.definition import Definition
    from process_manager.ports import EventStore

F = TypeVar("F", bound=Callable[..., Any])

ROLES = ("processes", "handlers", "deadlines")

DEFAULT_STORE = "sqlite:///process-manager.db"

LARGEST = 2**62
"""A number that every store and database holds."""


class Number(click.IntRange):
    """A whole number; what is beyond all that can be counted is taken for the largest."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        return min(int(super().convert(value, param, ctx)), LARGEST)


def check_url(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """A callback for an option that holds the address of a store, if any."""
    if value is None:
        return None
    try:
        read_address(value)
    except NotAStore as error:
        variable = ctx.get_parameter_source(param.name or "") is ParameterSource.ENVIRONMENT
        raise click.BadParameter(str(error), ctx, param, None if variable else f"'{param.opts[0]}'") from error
    return value


def store_option(function: F) -> F:
    """`--store URL`."""
    return click.option(
        "--store", "url", callback=check_url, metavar="URL", envvar="PM_STORE", default=DEFAULT_STORE, show_default=True, show_envvar=True,
        help="Where the events are: sqlite:///shop.db or shop.db, esdb://host:2113?tls=false, or memory: for a trial.",
    )(function)  # fmt: skip


def app_option(function: F) -> F:
    """`--app MODULE:ATTRIBUTE`."""
    return click.option(
        "--app", "app_name", metavar="MODULE:ATTR", envvar="PM_APP", required=True, show_envvar=True,
        help="The app with your processes and handlers, such as shop.orders:app.",
    )(function)  # fmt: skip


def _roles(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[str, ...] | None:
    """Names of roles, with commas between them."""
    if value is None:
        return None
    chosen = tuple(part.strip() for part in value.split(",") if part.strip())
    wrong = [part for part in chosen if part not in ROLES]
    if wrong or not chosen:
        raise click.BadParameter(f"{', '.join(wrong) or 'nothing'} is no role: choose from {', '.join(ROLES)}", ctx, param)
    return chosen


def roles_option(function: F) -> F:
    """`--only ROLES`."""
    return click.option("--only", callback=_roles, metavar="ROLES", help=f"Run only some roles: {','.join(ROLES)}.")(function)


def check_start(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """A callback for an option that holds a place in the log."""
    if value is None or value in {"start", "now"} or value.isdecimal():
        return value
    raise click.BadParameter(f"{value!r} is neither start nor now nor a position", ctx, param)


def start_option(function: F) -> F:
    """`--from start|now|POSITION`."""
    return click.option(
        "--from", "start", callback=check_start, metavar="start|now|POSITION",
        help="Where the app's first consumer groups start in the log. Needed where others append to it too and it holds records for the "
        "app already; counts only while there are no groups.",
    )(function)  # fmt: skip


def if_any_app_option(function: F) -> F:
    """`--app MODULE:ATTRIBUTE` for commands that can do without."""
    return click.option(
        "--app", "app_name", metavar="MODULE:ATTR", envvar="PM_APP", default="", show_envvar=True,
        help="The app with the process, for what its records alone do not tell.",
    )(function)  # fmt: skip


def instance_argument(function: F) -> F:
    """The name of an instance in one word or two; the command takes the `stream`."""
    return click.argument("stream", metavar="INSTANCE...", nargs=-1, required=True, callback=_stream)(function)


def _stream(_: click.Context, __: click.Parameter, words: tuple[str, ...]) -> str:
    return stream_of(words)


def stream_of(words: Sequence[str]) -> str:
    """The stream of an instance that is named in one word or two."""
    if len(words) > 2 or "-" not in "-".join(words) or (len(words) == 2 and "-" in words[0]):
        raise click.UsageError("name one instance, as PROCESS-KEY or as PROCESS KEY")
    return "-".join(words)


def no_instance(stream: str) -> CliError:
    """The error for a stream that is not there."""
    return CliError(f"there is no instance {stream}: pm list -o ids shows those that are there", NOT_FOUND)


def known_instance(store: "EventStore", stream: str) -> None:
    """An error where a stream is not there, or is none of an instance."""
    from process_manager.errors import StreamNotFound
    from process_manager.interfaces.reading.histories import is_instance

    try:
        if not is_instance(store, stream):
            raise CliError(
                f"{stream} is no instance's stream: pm show {stream} -o json shows its records; pm list shows instances", NOT_FOUND
            )
    except StreamNotFound as error:
        raise no_instance(stream) from error


def known_process(store: "EventStore", process: str) -> None:
    """Nothing was found for this process: an error where the log holds no instance of it, with those that it holds."""
    from process_manager.interfaces.reading.histories import instances

    names = sorted({stream.partition("-")[0] for stream in instances(store)})
    if process and process not in names:
        raise CliError(f"there is no process {process!r} in this store: {there(names)}", NOT_FOUND)


def format_option(*formats: str) -> Callable[[F], F]:
    """`-o FORMAT`; the first one is the default."""

    def decorate(function: F) -> F:
        return click.option(
            "-o", "--output", "format_", type=click.Choice(formats), default=formats[0], show_default=True, help="How to write the data."
        )(function)

    return decorate


def command(name: str, *, example: str, of: click.Group | None = None) -> Callable[[F], click.Command]:
    """A command, or one of a group's, whose help ends with an example."""
    return (click.command if of is None else of.command)(name, **_help(example))


def group(name: str, *, example: str) -> Callable[[F], click.Group]:
    """A group of commands whose help ends with an example."""
    return click.group(name, **_help(example))


def _help(example: str) -> dict[str, Any]:
    lines = "\n".join(f"  $ {line}" for line in example.splitlines())
    return {
        "epilog": f"\b\nExamples:\n{lines}",
        "context_settings": {"help_option_names": ["-h", "--help"], "max_content_width": 100},
    }


def existing_store(url: str) -> "EventStore":
    """The store at an address that must hold one already, and may be written to. Raises StoreReadOnly for imported histories."""
    _must_exist(url)
    store = bootstrap.open_store(url, create=False)
    try:
        bootstrap.refuse_imported(store, url)
    except BaseException:
        store.close()
        raise
    return store


@contextmanager
def existing_log(url: str) -> "Iterator[EventStore]":
    """As `existing_store`, for commands that only read, imported histories too: opened read-only, closed when the block ends."""
    _must_exist(url)
    store = bootstrap.open_log(url)
    try:
        yield store
    finally:
        store.close()


def _must_exist(url: str) -> None:
    path = read_address(url).path
    if path is not None and not path.exists():
        raise CliError(f"there is no store {path}: name another one with --store, or write to it with pm publish", NOT_FOUND)


def confirm(question: str, *, yes: bool) -> None:
    """Ask, unless yes was said already."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise CliError(f"{question} There is no terminal to ask at: say --yes", REFUSED)
    if not click.confirm(question, err=True):
        raise click.Abort


def optional_definition(app_name: str, process: str) -> "Definition | None":
    """The definition of a process, where an app is named; None without one."""
    if not app_name:
        return None
    definitions = load_app(app_name).definitions
    if process not in definitions:
        raise CliError(f"there is no process {process!r}: {app_name} has {', '.join(definitions) or 'none'}", NOT_FOUND)
    return definitions[process]
