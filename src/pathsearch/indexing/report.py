"""What a run tells while it goes on, and what it says at its end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["indexed", "empty", "unchanged", "failed"]
KINDS: tuple[Kind, ...] = ("indexed", "empty", "unchanged", "failed")


@dataclass(frozen=True)
class Outcome:
    """What came of one slide.

    Attributes
    ----------
    slide_id : str
    kind : {'indexed', 'empty', 'unchanged', 'failed'}
    patches : int
        Written now; of a failed slide, under the magnifications that did not fail.
    code, message : str
        Of the error, where it failed.
    note : str
        What the user should know although it went well.
    """

    slide_id: str
    kind: Kind
    patches: int = 0
    code: str = ""
    message: str = ""
    note: str = ""


@dataclass(frozen=True)
class Report:
    """What came of a run.

    Attributes
    ----------
    outcomes : tuple of Outcome
        In the order of the slide ids.
    seconds : float
        Wall clock, indexing and index building; without loading the encoder.
    interrupted : bool
        Ctrl-C; what was committed before is kept.
    notes : tuple of str
    """

    outcomes: tuple[Outcome, ...]
    seconds: float
    interrupted: bool = False
    notes: tuple[str, ...] = ()

    def of(self, kind: Kind) -> list[Outcome]:
        """The outcomes of one kind."""
        return [o for o in self.outcomes if o.kind == kind]

    @property
    def patches(self) -> int:
        """Patches written by this run."""
        return sum(o.patches for o in self.outcomes)

    @property
    def counts(self) -> dict[str, int]:
        """How many slides of each kind, and patches written: kept with the run's log."""
        return {**{str(kind): len(self.of(kind)) for kind in KINDS}, "patches": self.patches}

    def to_json(self) -> dict[str, Any]:
        """The line that ``index --json`` ends with."""
        failed = [
            {"slide_id": o.slide_id, "code": o.code, "message": o.message}
            for o in self.of("failed")
        ]
        return {
            "indexed": len(self.of("indexed")),
            "empty": len(self.of("empty")),
            "unchanged": len(self.of("unchanged")),
            "failed": failed,
            "patches": self.patches,
            "seconds": round(self.seconds, 3),
            "patches_per_second": round(self.patches / self.seconds, 1) if self.seconds else 0.0,
            "interrupted": self.interrupted,
            "notes": [*self.notes, *(f"{o.slide_id}: {o.note}" for o in self.outcomes if o.note)],
        }


class Listener:
    """Told how a run goes; does nothing. Override what is of interest.

    Several slides may be under way at once. All calls come from one thread.
    """

    def start(self, slides_in_all: int, to_do: Mapping[str, int]) -> None:
        """The run begins; `to_do` has the bytes of each slide that has to be read, by id."""

    def slide(self, slide_id: str) -> None:
        """A slide was opened."""

    def patches(self, slide_id: str, done: int, total: int) -> None:
        """Patches of a slide were encoded, under the magnification that is being cut."""

    def outcome(self, outcome: Outcome) -> None:
        """A slide is done."""

    def building(self, spec: str) -> None:
        """The search index of a spec is being built."""
