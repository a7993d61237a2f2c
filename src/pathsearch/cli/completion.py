"""`pathsearch completion`: Tab completes commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from pathsearch.cli.main import cli


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion_command(shell: str) -> int:
    """Print the completion script of SHELL.

    bash: eval "$(pathsearch completion bash)" in ~/.bashrc. zsh: the same in ~/.zshrc.
    fish: pathsearch completion fish > ~/.config/fish/completions/pathsearch.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(cli, {}, "pathsearch", "_PATHSEARCH_COMPLETE").source())
    return 0
