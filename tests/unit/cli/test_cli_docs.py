"""The page on the command line names every command and every option, and no others."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from pathsearch.cli.main import LazyGroup, cli

PAGE = (Path(__file__).parents[3] / "docs" / "command-line.md").read_text(encoding="utf-8")
COMMON = {"--json", "--verbose", "--help"}


def parts(name):
    """The command, and the commands below it where it is a group."""
    command = cli.get_command(click.Context(cli), name)
    return [command, *getattr(command, "commands", {}).values()]


def block(name):
    """The synopsis of a command: its first line and the indented ones after it."""
    found = re.search(rf"^    pathsearch {name}\b.*(?:\n     +.*)*", PAGE, re.MULTILINE)
    assert found, f"docs/command-line.md lacks {name}"
    return found.group()


@pytest.mark.parametrize("name", sorted(LazyGroup.homes))
def test_every_option_is_named(name):
    options = {
        opt
        for command in parts(name)
        for p in command.params
        if isinstance(p, click.Option)
        for opt in (*p.opts, *p.secondary_opts)
        if opt[1] == "-"
    }
    named = set(re.findall(r"--[a-z][a-z0-9-]*", block(name))) | COMMON
    assert options <= named
    assert named - COMMON <= options


@pytest.mark.parametrize("name", sorted(LazyGroup.homes))
def test_every_option_explains_itself(name):
    obvious = {"seed", "max_steps", "max_seconds", "kind", "train_seconds", "verbose"}
    for command in parts(name):
        assert command.help
        for param in command.params:
            if isinstance(param, click.Option) and param.name not in obvious:
                assert param.help, f"{command.name} --{param.name}"
