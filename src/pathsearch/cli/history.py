"""What was done to a library: its runs, and the log of each."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from pathsearch.cli.output import print_json, print_table
from pathsearch.errors import UsageError

if TYPE_CHECKING:
    from pathsearch.library import Library


def print_history(library: Library, run: int | None, as_json: bool) -> None:
    """The runs as a table; or the lines of one.

    Raises
    ------
    UsageError
        There is no such run.
    """
    runs = library.runs()
    if run is None:
        if as_json:
            listed = [{**asdict(r), "counts": dict(r.counts)} for r in runs]
            print_json({"library": str(library.path), "runs": listed})
            return
        rows = [
            (
                str(r.number),
                r.started,
                r.ended or "not ended",
                r.command,
                ", ".join(f"{count} {name}" for name, count in r.counts.items() if count),
            )
            for r in runs
        ]
        print_table(("run", "started", "ended", "command", ""), rows, "r")
        return
    if run not in {r.number for r in runs}:
        raise UsageError(f"{library.path} has no run {run}; --runs lists them.")
    lines = library.run_log(run)
    if as_json:
        print_json({"library": str(library.path), "run": run, "log": [asdict(x) for x in lines]})
        return
    print_table(("at", "slide", ""), [(x.at, x.slide_id, x.message) for x in lines])
