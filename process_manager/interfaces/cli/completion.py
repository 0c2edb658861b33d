"""`pm completion`."""

import click
from click.shell_completion import get_completion_class

from process_manager.interfaces.cli.options import command


@command("completion", example='eval "$(pm completion bash)"\npm completion fish > ~/.config/fish/completions/pm.fish')
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion_command(ctx: click.Context, shell: str) -> None:
    """Print the script with which SHELL completes pm's commands and options."""
    made = get_completion_class(shell)
    assert made is not None
    click.echo(made(ctx.find_root().command, {}, "pm", "_PM_COMPLETE").source())
