"""Damaged and mislabelled files through `inspect`, `index` and `query`: what each gets.

    python -m benchmarks.reading_hostile [--data DIR]

Of the files in `hostile/` of DIR (by default the folder that PATHSEARCH_DATA names), or, without
it, of made-up ones. Each command runs as a user would run it. Printed is a table in Markdown:
`ok` and what was found, or the exit status and the one line that it says; a traceback, silence
or more than one line is marked as a fault. Files whose stated resolution is wrong come a second
time with `--mpp`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MPP = "0.499"


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    status: int
    out: str
    err: str

    def line(self, path: Path) -> str:
        """What it says of a file, on one line, without the file's name."""
        lines = self.err.strip().splitlines()
        if "Traceback" in self.err or len(lines) != 1:
            return f"FAULT: exit {self.status}, {len(lines)} lines, {lines[-1:]}"
        return f"{self.status}: {short(lines[0], path)}"


def short(message: str, path: Path) -> str:
    """A message without the program's and the file's name."""
    words = message.removeprefix("pathsearch: ").replace(f"{path}: ", "").replace(str(path), "it")
    return words.replace("|", "/").rstrip(".")


def run(*words: object) -> Ran:
    """The command line, in a process of its own."""
    command = [sys.executable, "-c", "from pathsearch.cli import main; main()", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    return Ran(done.returncode, done.stdout, done.stderr)


def inspected(path: Path, mpp: list[str]) -> str:
    """The cell of `inspect`."""
    ran = run("inspect", path, "--json", *mpp)
    if ran.status:
        return ran.line(path)
    facts = json.loads(ran.out)
    text = f"ok: {facts['specs'][0]['patches']} patches, reader {facts['reader']}"
    share = facts["unreadable_share"]
    return text + (f", up to {100 * share:.0f}% unreadable" if share else "")


def indexed(files: list[Path], library: Path, mpp: list[str]) -> tuple[int, dict[str, str]]:
    """The exit status of one run over all files, and the cell of each."""
    ran = run("index", *files, "--library", library, "--json", *mpp)
    answer: dict[str, Any] = json.loads(ran.out)
    cells = {path.name: "ok" for path in files}
    for failed in answer["failed"]:
        path = next(path for path in files if path.name == failed["slide_id"])
        cells[path.name] = f"`{failed['code']}`"
    for path in files:
        notes = [note for note in answer["notes"] if note.startswith(path.name)]
        cells[path.name] += "".join(f", {note.split(': ', 1)[1].rstrip('.')}" for note in notes)
    return ran.status, cells


def asked(path: Path, library: Path) -> str:
    """The cell of `query`, by a place of the file."""
    ran = run("query", library, "--like", f"{path}#200,200", "-k", 3, "--json")
    if "outside the slide" in ran.err:  # a very small one
        ran = run("query", library, "--like", f"{path}#8,8", "-k", 3, "--json")
    if ran.status:
        return ran.line(path)
    matches = json.loads(ran.out)["matches"]
    return f"ok: {len(matches)} matches"


def print_table(files: list[Path], work: Path, mpp: list[str]) -> None:
    """One run of `index`, and a row for each file."""
    library = work / f"{len(mpp)}.pathsearch"
    status, cells = indexed(files, library, mpp)
    head = " ".join(["index", *mpp])
    print(f"\n| file | inspect {' '.join(mpp)} | {head} (exit {status}) | query by a place of it |")
    print("| --- | --- | --- | --- |")
    for path in files:
        row = [f"`{path.name}`", inspected(path, mpp), cells[path.name], asked(path, library)]
        print(f"| {' | '.join(row)} |", flush=True)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("PATHSEARCH_DATA") or None)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.data is None:
            from pathsearch.testing.hostile import make_hostile

            files = sorted(make_hostile(Path(folder) / "made-up").values())
        else:
            files = sorted((Path(options.data) / "hostile").iterdir())
        print_table(files, Path(folder), [])
        print_table([path for path in files if "mpp" in inspected(path, [])], Path(folder),
                    ["--mpp", MPP])  # fmt: skip


if __name__ == "__main__":
    main()
