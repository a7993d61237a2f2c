"""`pathsearch list | verify | reindex`: look after a library."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pathsearch.cli.history import print_history
from pathsearch.cli.main import verbose_option
from pathsearch.cli.output import json_option, print_json, print_table, say

if TYPE_CHECKING:
    from pathsearch.library import Library, SlideRecord
    from pathsearch.library.records import IndexState

_LIBRARY = click.argument("library", type=click.Path(path_type=Path), metavar="LIB")


@click.command("list")
@_LIBRARY
@click.option("--failed", is_flag=True, help="Only slides that could not be indexed, and why.")
@click.option("--runs", is_flag=True, help="The runs that wrote to the library, instead.")
@click.option("--log", "log", type=int, metavar="RUN", help="The log of one run, instead.")
@json_option
@verbose_option
def list_command(library: Path, failed: bool, runs: bool, log: int | None, as_json: bool) -> int:
    """List the slides of LIB."""
    from pathsearch.library import Library

    with Library.open(library) as opened:
        if runs or log is not None:
            print_history(opened, log, as_json)
            return 0
        # Also those of which one of several magnifications failed
        records = opened.slides("failed" if failed else None)
        patches = _patches(opened)
        if as_json:
            print_json(_as_json(opened, records, patches))
        else:
            _print(opened, records, patches)
    return 0


def _patches(library: Library) -> dict[str, dict[str, int]]:
    counts: dict[str, dict[str, int]] = {}
    for segment in library.segments():
        counts.setdefault(segment.slide_id, {})[segment.spec] = segment.rows
    return counts


def _as_json(
    library: Library, records: list[SlideRecord], patches: dict[str, dict[str, int]]
) -> dict[str, Any]:
    return {
        "library": str(library.path),
        "read_only": library.read_only,
        "encoder": library.encoder.name,
        "indexes": [
            {"spec": state.spec, "created": state.created, **state.facts}
            for state in _states(library)
        ],
        "specs": [spec.model_dump(mode="json") for spec in library.specs.values()],
        "slides": [
            {**asdict(r), "metadata": dict(r.metadata), "patches": patches.get(r.slide_id, {})}
            for r in records
        ],
    }


def _print(
    library: Library, records: list[SlideRecord], patches: dict[str, dict[str, int]]
) -> None:
    rows = []
    for r in records:
        held = sum(patches.get(r.slide_id, {}).values())
        size = f"{r.width} x {r.height}" if r.width else ""
        mpp = f"{r.mpp:g}" if r.mpp and r.width else ""
        why = f"{r.error_code}: {r.error_message}" if r.error_code else ""
        rows.append((r.slide_id, r.case_id, r.status, str(held or ""), size, mpp, why))
    if rows:
        print_table(("slide", "case", "status", "patches", "size", "mpp", ""), rows, "lllrrr")
    total = sum(sum(counts.values()) for counts in patches.values())
    specs = ", ".join(library.specs)
    say(
        f"{library.path}: {len(records)} slides, {total} patches at {specs}, encoder "
        f"{library.encoder.name}{', read-only' if library.read_only else ''}."
    )
    for state in _states(library):
        say(f"Index of {state.spec}: {_index_words(state.facts)}.")


def _states(library: Library) -> list[IndexState]:
    found = [library.index_state(spec) for spec in library.specs]
    return [state for state in found if state is not None]


def _index_words(facts: Mapping[str, str | int | float]) -> str:
    """An index in a user's words."""
    kind = str(facts.get("kind", ""))
    by = "" if facts.get("chosen", "auto") == "auto" else ", as chosen"
    if kind == "exact":
        return f"{facts['size']} patches, each is compared (exact{by or ', chosen by size'})"
    found = f"finds about {100 * float(facts.get('recall_at10', 0)):.1f}% of the 10 closest"
    return f"{facts.get('size')} patches, {kind}{by or ' (chosen by size)'}, {found} (measured)"


@click.command("verify")
@_LIBRARY
@click.option(
    "--deep",
    is_flag=True,
    help="Also compare the sha256 of every index file, and encode a sample of patches again.",
)
@click.option("--repair", "mend", is_flag=True, help="Take out what is damaged, sweep left-overs.")
@json_option
@verbose_option
def verify_command(library: Path, deep: bool, mend: bool, as_json: bool) -> int:
    """Compare every row of LIB with what is on disk.

    Exit status 1 where something is wrong. Left-overs of a killed run are notes, not faults.
    """
    from pathsearch.library import Library, Problem

    actions: tuple[str, ...] = ()
    if mend:
        from pathsearch.maintenance import repair

        done = repair(library, deep=deep)
        actions, problems = done.actions, list(done.left)
    else:
        from pathsearch.review.upkeep import check_reviews

        with Library.open(library) as opened:
            problems = opened.verify(deep=deep)
            problems += [
                Problem("error", "reviews-damaged", line) for line in check_reviews(opened)
            ]
    if deep:
        from pathsearch.maintenance import reencode_sample

        with Library.open(library) as opened:
            again = reencode_sample(opened)
        problems += again.problems
        say(f"{library}: {again}.")
    faults = [problem for problem in problems if problem.severity == "error"]
    if as_json:
        print_json(
            {
                "library": str(library),
                "ok": not faults,
                "repaired": list(actions),
                "problems": [asdict(problem) for problem in problems],
            }
        )
    else:
        for problem in problems:
            click.echo(f"{problem.severity}: {problem.message}")
        for action in actions:
            say(f"repaired: {action}")
        say(f"{library}: " + (f"{len(faults)} faults." if faults else "all is well."))
    return 1 if faults else 0


@click.command("reindex")
@_LIBRARY
@click.option("--spec", "only", help="Only this magnification.")
@click.option(
    "--kind",
    type=click.Choice(["auto", "exact", "ivf", "ivf-rabitq"]),
    help="exact compares with every patch; ivf visits the nearest lists; ivf-rabitq does so "
    "with a bit a dimension, for what does not fit into memory. auto chooses by size. Kept for "
    "later builds  [default: what was chosen last, else auto]",
)
@json_option
@verbose_option
def reindex_command(library: Path, only: str | None, kind: Any, as_json: bool) -> int:
    """Build the search index of LIB again from its stored vectors."""
    from pathsearch.errors import UsageError
    from pathsearch.library import Library
    from pathsearch.search import rebuild_index

    built = []
    with Library.open(library) as opened:
        if only is not None and only not in opened.specs:
            raise UsageError(f"{library} has no spec '{only}': {', '.join(opened.specs)}.")
        with opened.writer() as writer:
            for spec in [only] if only else opened.specs:
                manifest = rebuild_index(opened, writer, spec, kind=kind)
                built.append(
                    {
                        "spec": spec,
                        "kind": manifest.kind,
                        "patches": manifest.size,
                        "recall_at10": manifest.recall_at10,
                        "recall_at50": manifest.recall_at50,
                    }
                )
    if as_json:
        print_json({"library": str(library), "indexes": built})
    for line in built:
        say(
            f"{line['spec']}: {line['kind']}, {line['patches']} patches, "
            f"recall {line['recall_at10']:.3f}."
        )
    return 0
