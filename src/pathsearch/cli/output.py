"""Printing: JSON and tables to stdout, progress to a terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.progress import Progress

json_option = click.option("--json", "as_json", is_flag=True, help="Answer in JSON on stdout.")


def print_json(value: Any) -> None:
    """One line of JSON."""
    click.echo(json.dumps(value, ensure_ascii=False, allow_nan=False))


def say(text: str) -> None:
    """A line of talk, to stderr."""
    click.echo(text, err=True)


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]], right: str = "") -> None:
    """Columns wide enough for their longest cell; plain text that pipes well.

    Parameters
    ----------
    head : sequence of str
    rows : sequence of sequence of str
    right : str
        One letter a column: ``r`` aligns it to the right.
    """
    widths = [max(len(line[c]) for line in (head, *rows)) for c in range(len(head))]
    sides = [(right[c] if c < len(right) else "l") for c in range(len(head))]
    for number, line in enumerate((head, *rows)):
        cells = [
            cell.rjust(w) if side == "r" else cell.ljust(w)
            for cell, w, side in zip(line, widths, sides, strict=True)
        ]
        text = "  ".join(cells).rstrip()
        click.echo(click.style(text, bold=True) if number == 0 and sys.stdout.isatty() else text)


@contextmanager
def progress_bar() -> Iterator[Progress | None]:
    """A live display on stderr; None where stderr is no terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[extra]}"),
        console=Console(stderr=True),
        transient=True,
    ) as progress:
        yield progress
