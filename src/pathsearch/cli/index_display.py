"""What `pathsearch index` shows: progress while it runs, a table at its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pathsearch.cli.output import print_table, say
from pathsearch.indexing.pace import Pace, in_words
from pathsearch.indexing.report import Listener, Outcome, Report

if TYPE_CHECKING:
    from rich.progress import Progress

    from pathsearch.indexing.plan import Plan


class Display(Listener):
    """One line for all slides (rate, time left, failures), and one for the present one.

    Parameters
    ----------
    bar : rich.progress.Progress
    """

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._slides = bar.add_task("slides", total=None, extra="")
        self._now = bar.add_task("", total=None, extra="")
        self._failed = 0
        self._pace = Pace({})

    def start(self, slides_in_all: int, to_do: Mapping[str, int]) -> None:
        """Known is how many slides there are, and how large those are that must be read."""
        self._pace = Pace(to_do)
        self._bar.update(self._slides, total=slides_in_all)

    def slide(self, slide_id: str) -> None:
        """A slide was opened."""
        self._bar.reset(self._now, total=None, description=slide_id[-40:], extra="")

    def patches(self, slide_id: str, done: int, total: int) -> None:
        """Patches were encoded."""
        self._pace.patches(slide_id, done, total)
        self._bar.update(
            self._now, completed=done, total=total, description=slide_id[-40:], extra="patches"
        )
        self._bar.update(self._slides, extra=self._words())

    def outcome(self, outcome: Outcome) -> None:
        """A slide is done."""
        self._failed += outcome.kind == "failed"
        self._pace.ended(outcome.slide_id)
        self._bar.update(self._slides, advance=1, extra=self._words())

    def building(self, spec: str) -> None:
        """The search index of a spec is being built."""
        self._bar.reset(self._now, total=None, description=f"search index {spec}", extra="")

    def _words(self) -> str:
        left = self._pace.seconds_left
        words = [f"{self._pace.rate:.0f} patches/s"] if self._pace.rate >= 0.5 else []
        words += [f"about {in_words(left)} left"] if left is not None else []
        words += [f"{self._failed} failed"] if self._failed else []
        return ", ".join(words)


def listener_of(bar: Progress | None) -> Listener:
    """The display on a terminal; nothing elsewhere."""
    return Listener() if bar is None else Display(bar)


def print_report(report: Report, library: Path) -> None:
    """A table of the slides that were not unchanged, and a line of sums."""
    for note in report.notes:
        say(note)
    rows = [_row(outcome) for outcome in report.outcomes if outcome.kind != "unchanged"]
    if rows:
        print_table(("slide", "result", "patches", ""), rows, "llr")
    words = [f"{len(report.of('indexed'))} indexed", f"{len(report.of('unchanged'))} unchanged"]
    if report.of("empty"):
        words.append(f"{len(report.of('empty'))} without tissue")
    words.append(f"{len(report.of('failed'))} failed")
    rate = report.patches / report.seconds if report.seconds else 0.0
    say(
        f"{library}: {', '.join(words)}; {report.patches} patches in {report.seconds:.1f} s "
        f"({rate:.0f} patches/s)."
    )


def print_plan(plan: Plan, library: Path) -> None:
    """What a run would do, as a table, and the slides that it would fail on."""
    if plan.failed:
        print_table(("slide", "result", "patches", ""), [_row(o) for o in plan.failed], "llr")
    about = "" if plan.counted_on == plan.to_read else "about "
    on = f"counted on {plan.counted_on} of them" if about else "counted"
    rows = [
        ("slides found", str(plan.found), ""),
        ("unchanged", str(plan.unchanged), "need not be read again"),
        ("not readable", str(len(plan.failed)), ""),
        ("to index", str(plan.to_read), "opened"),
        ("patches", f"{about}{plan.patches}", on if plan.to_read else ""),
    ]
    if plan.patches_per_second:
        measured = f"measured here on {plan.measured_patches} patches"
        rows += [
            ("patches/s", f"{plan.patches_per_second:.0f}", measured),
            ("time", f"about {in_words(plan.seconds)}", "on this machine, at this rate"),
        ]
    rows += [
        (
            "disk",
            f"about {plan.bytes / 1e6:.1f} MB",
            "without the encoder's copy",
        ),
        ("free", f"{plan.free_bytes / 1e6:.0f} MB", "where the library is"),
    ]
    print_table(("", "", ""), rows, "lr")
    say(f"{library}: nothing was encoded or written.")
    if plan.bytes > plan.free_bytes:
        say("The disk is too small for it.")


def _row(outcome: Outcome) -> Sequence[str]:
    text = f"{outcome.code}: {outcome.message}" if outcome.kind == "failed" else outcome.note
    return (outcome.slide_id, outcome.kind, str(outcome.patches or ""), text)
