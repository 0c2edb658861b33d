"""The CLI reference: Markdown made of every `--help`, the same on every terminal."""

from collections.abc import Iterator

import click

from process_manager.interfaces.cli.commands import cli

WIDTH = 100


def commands(command: click.Command = cli, path: str = "pm") -> Iterator[tuple[str, click.Command]]:
    """Every command with its full name, groups before what is in them."""
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command, info_name=path)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from commands(found, f"{path} {name}")


def help_of(path: str, command: click.Command) -> str:
    """What `--help` prints."""
    context = click.Context(command, info_name=path, terminal_width=WIDTH, max_content_width=WIDTH, help_option_names=["-h", "--help"])
    return command.get_help(context)


def reference() -> str:
    """The whole reference."""
    return "\n\n".join(f"### `{path}`\n\n```text\n{help_of(path, command).rstrip()}\n```" for path, command in commands()) + "\n"


if __name__ == "__main__":
    click.echo(reference(), nl=False)
