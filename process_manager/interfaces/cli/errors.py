"""Exit codes, and errors as sentences on stderr instead of tracebacks."""

import os
import sys
from collections.abc import Sequence

import click

from process_manager import errors

OK, ERROR, USAGE, REFUSED, NOT_FOUND, DIFFERS, INTERRUPTED = 0, 1, 2, 3, 4, 5, 130


class CliError(click.ClickException):
    """An error that the command line itself finds."""

    def __init__(self, message: str, exit_code: int = ERROR) -> None:
        super().__init__(message)
        self.code = exit_code


_CODES: tuple[tuple[type[Exception], int], ...] = (
    (errors.BadAddress, USAGE),
    (errors.StreamNotFound, NOT_FOUND),
    (errors.GroupNotFound, NOT_FOUND),
    (errors.WrongExpectedVersion, REFUSED),
    (errors.GroupExists, REFUSED),
    (errors.StartNotNamed, REFUSED),
    (errors.CommandOwned, REFUSED),
    (errors.LeaseLost, REFUSED),
    (errors.StoreReadOnly, REFUSED),
    (errors.StoreTooNew, REFUSED),
)


def run(command: click.Command, args: Sequence[str] | None = None, prog_name: str | None = None) -> int:
    """Run a command and say how it ended, as an exit code."""
    try:
        answer = command.main(args, prog_name=prog_name, standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        _show(error)
        return error.code if isinstance(error, CliError) else error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except errors.ProcessManagerError as error:
        say("\n".join([f"error: {error}", *(f"  also: {note}" for note in getattr(error, "__notes__", ()))]))
        return next((code for kind, code in _CODES if isinstance(error, kind)), ERROR)
    except ImportError as error:
        from process_manager.interfaces.loading import shadowed

        if not (problem := shadowed(error)):
            raise
        say(f"error: {problem}")
        return ERROR
    except OSError as error:
        say(f"error: {error.filename or 'the system'}: {error.strerror or error}")
        return ERROR
    return answer if isinstance(answer, int) else OK


def _show(error: click.ClickException) -> None:
    if isinstance(error, click.UsageError):
        error.show()
    else:
        say(f"error: {error.format_message()}")


def say(text: str) -> None:
    """A line for people, on stderr."""
    click.echo(text, err=True)
