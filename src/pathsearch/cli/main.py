"""The group of all commands, and how errors end a process."""

from __future__ import annotations

import importlib
import logging
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import click

from pathsearch import __version__
from pathsearch.errors import PathsearchError, UsageError

INTERRUPTED = 130


class LazyGroup(click.Group):
    """Imports a command's file only when it is asked for, so that --help is quick."""

    homes: ClassVar[dict[str, str]] = {
        "demo": "demo",
        "inspect": "inspect",
        "train": "train",
        "index": "index",
        "query": "query",
        "map": "map",
        "slides": "slides",
        "review": "review",
        "collection": "collection",
        "evaluate": "evaluate",
        "view": "view",
        "list": "library",
        "verify": "library",
        "reindex": "library",
        "import": "features",
        "export": "features",
        "remove": "life",
        "compact": "life",
        "relocate": "life",
        "doctor": "doctor",
        "completion": "completion",
    }

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """All names, in the order of the work."""
        return list(self.homes)

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002
        cmd_name: str,
    ) -> click.Command | None:
        """The command of that name, imported now."""
        home = self.homes.get(cmd_name)
        if home is None:
            return None
        module = importlib.import_module(f"pathsearch.cli.{home}")
        command: click.Command = getattr(module, f"{cmd_name}_command")
        return command


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="pathsearch")
def cli() -> None:
    """Similar-tissue search for digital pathology.

    Index an archive of slides once, then ask with any region: what else looks like this?
    """


def verbose_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add -v/--verbose: log lines, and the traceback of an error."""
    return click.option(
        "-v",
        "--verbose",
        is_flag=True,
        expose_value=False,
        callback=_set_verbose,
        help="Say more; show the traceback of an error.",
    )(command)


def regions_mode_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --regions-mode: what the user's own regions mean."""
    return click.option(
        "--regions-mode",
        type=click.Choice(["replace", "restrict"]),
        help="Regions are the tissue [default: replace], or only the tissue inside them counts.",
    )(command)


def _set_verbose(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    ctx.ensure_object(dict)["verbose"] = value or ctx.obj.get("verbose", False)
    if value:
        logging.basicConfig(
            level=logging.INFO, format="%(name)s: %(message)s", stream=sys.stderr, force=True
        )
        logging.getLogger("pathsearch").setLevel(logging.DEBUG)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and end the process with its exit status."""
    state: dict[str, Any] = {}
    # OpenMP threads that spin while they wait take the cores from those that decode slides
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # Without -v, what libraries log about odd files stays out of the way: our errors say it
    logging.getLogger().addHandler(logging.NullHandler())
    try:
        answer = cli.main(
            args=None if arguments is None else list(arguments),
            prog_name="pathsearch",
            standalone_mode=False,
            obj=state,
        )
        status = answer if isinstance(answer, int) else 0
        sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        status = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted.", err=True)
        status = INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has gone (`| head`): no message, and none at exit either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 0
    except PathsearchError as error:
        status = _report(error, state)
    except Exception as error:  # noqa: BLE001  the last line of defence: one line, not a wall
        status = _report(error, state)
    sys.exit(status)


def _report(error: Exception, state: dict[str, Any]) -> int:
    if state.get("verbose"):
        traceback.print_exception(error)
    if isinstance(error, PathsearchError):
        click.echo(f"pathsearch: {' '.join(str(error).split())}", err=True)
        return 2 if isinstance(error, UsageError) else 1
    text = " ".join(str(error).split()) or "no message"
    hint = "" if state.get("verbose") else " Run it again with -v to see where."
    click.echo(f"pathsearch: unexpected {type(error).__name__}: {text}.{hint}", err=True)
    return 1
