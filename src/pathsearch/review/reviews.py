"""`Reviews`: keep questions, matches and verdicts of a library, and read them back."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import astuple
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, get_args

from pathsearch import __version__
from pathsearch.errors import ReviewError
from pathsearch.nouns import Match, PatchKey
from pathsearch.review import reading
from pathsearch.review.files import Files, own_stem
from pathsearch.review.records import (
    Decision,
    Export,
    Kind,
    Review,
    Round,
    SegmentRanges,
    Summary,
    Verdict,
)
from pathsearch.review.reviewer import checked_name, reviewer_name
from pathsearch.search.questions import query_to_json

if TYPE_CHECKING:
    from sqlite3 import Connection

    from pathsearch.library import Library
    from pathsearch.search import Answer


class Reviews:
    """The reviews of one library.

    Nothing is ever changed: a correction is a new row. Every call that writes has committed
    when it returns, so a crash loses nothing. Several threads, processes and machines may
    write and read at once.

    Parameters
    ----------
    library : Library
    reviewer : str, optional
        Who judges; without, the name of `reviewer_name`. Empty stays unnamed.
    """

    def __init__(self, library: Library, *, reviewer: str | None = None) -> None:
        self.library = library
        self.files = Files(library)
        self._reviewer = reviewer_name() if reviewer is None else checked_name(reviewer)
        self._known: set[str] = set()

    def close(self) -> None:
        """Give the files back; also what leaving a ``with`` block does."""
        self.files.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def reviewer(self) -> str:
        """Who judges; empty where unnamed."""
        return self._reviewer

    @reviewer.setter
    def reviewer(self, name: str) -> None:
        self._reviewer = checked_name(name)

    @property
    def identity(self) -> str:
        """How this reviewer's verdicts are signed when they are read."""
        return reading.identity(self._reviewer, own_stem())

    @property
    def folder(self) -> Path:
        """Where this user's rows go: the library's ``reviews``, or the user's data folder."""
        return self.files.folder

    @property
    def problems(self) -> tuple[str, ...]:
        """Files that could not be read when something was last read, one line each."""
        return self.files.problems

    # --------------------------------------------------------------- writing

    def record(
        self,
        answer: Answer,
        *,
        review: str = "",
        kind: Kind = "ask",
        controls: Sequence[Match] = (),
        title: str = "",
    ) -> Round:
        """Keep a question and all that it was answered with.

        Parameters
        ----------
        answer : Answer
        review : str
            The review that this is the next round of; without, a new one begins.
        kind : {'ask', 'refine', 'more', 'new', 'replay'}
        controls : sequence of Match
            Random patches that were mixed in for blinded judging.
        title : str
            Of a new review.

        Returns
        -------
        Round
            As it will be read back; `review` is in it.

        Raises
        ------
        ReviewNotFoundError
            There is no such review.
        ReviewError
            Nothing can be written here.
        """
        if kind not in get_args(Kind):
            raise ReviewError(f"a round is one of {', '.join(get_args(Kind))}.")
        begun = bool(review)
        review = self._full(review) if begun else uuid.uuid4().hex
        number = uuid.uuid4().hex
        segments = answer.segments or ranges_of(s.number for s in self.library.segments())
        row = (
            number,
            review,
            kind,
            json.dumps(query_to_json(answer.query), ensure_ascii=False),
            answer.encoder,
            self.library.encoder.fingerprint,
            json.dumps(segments),
            self.library.generation(),
            json.dumps(list(astuple(answer.recall))),
            answer.searched,
            json.dumps([*answer.notes, *map(str, answer.departures)], ensure_ascii=False),
            __version__,
        )
        with self.files.own().appending() as (connection, at):
            if not begun:
                _insert(connection, "reviews", (None, review, at, self._reviewer, title))
            values = (None, *row[:2], at, self._reviewer, *row[2:], 0)
            _insert(connection, "rounds", values)
            for control, matches in enumerate((answer.matches, controls)):
                for place, match in enumerate(matches, 1):
                    rank = place if control else match.rank
                    _insert(connection, "matches", _match_row(number, rank, control, match))
        self._known.add(review)
        return next(r for r in self.get(review).rounds if r.round == number)

    def judge(
        self,
        review: str,
        keys: PatchKey | Sequence[PatchKey],
        decision: Decision,
        *,
        label: str = "",
        note: str = "",
        blinded: bool = False,
    ) -> tuple[Verdict, ...]:
        """Say what a patch is, or several; it counts instead of what was said before.

        Parameters
        ----------
        review : str
        keys : PatchKey or sequence of PatchKey
        decision : {'accept', 'reject', 'unsure'}
        label, note : str
            Class and remark; they replace earlier ones.
        blinded : bool
            Judged without score, name and order in view.
        """
        if decision not in get_args(Decision):
            raise ReviewError(f"a verdict is one of {', '.join(get_args(Decision))}.")
        review = self._full(review)
        several = (keys,) if isinstance(keys, PatchKey) else tuple(keys)
        said = []
        with self.files.own().appending() as (connection, at):
            for key in several:
                verdict = uuid.uuid4().hex
                place = (key.slide_id, key.spec, key.x, key.y)
                values = (decision, label, note, int(blinded), "")
                row = (None, verdict, review, at, self._reviewer, *place, *values)
                _insert(connection, "verdicts", row)
                signed = self.identity
                said.append(
                    Verdict(verdict, review, key, decision, at, signed, label, note, blinded)
                )
        return tuple(said)

    def undo(self, review: str, key: PatchKey | None = None) -> Verdict | None:
        """Take back this reviewer's latest verdict; the one before it counts again.

        Parameters
        ----------
        review : str
        key : PatchKey, optional
            Only of this patch.

        Returns
        -------
        Verdict or None
            What was taken back; None where there is nothing.
        """
        review = self._full(review)
        me = self.identity
        file = self.files.own()
        with file.appending() as (connection, at):
            mine = [
                v
                for v in reading.read_verdicts(self.files, review)
                if v.reviewer == me and not v.undone and key in (None, v.key)
            ]
            if not mine:
                return None
            last = mine[-1]
            place = (last.key.slide_id, last.key.spec, last.key.x, last.key.y)
            values = ("undo", "", "", int(last.blinded), last.verdict)
            row = (None, uuid.uuid4().hex, review, at, self._reviewer, *place, *values)
            _insert(connection, "verdicts", row)
        return last

    def rename(self, review: str, title: str) -> None:
        """Give a review another title."""
        review = self._full(review)
        with self.files.own().appending() as (connection, at):
            _insert(connection, "reviews", (None, review, at, self._reviewer, title))

    def log_export(
        self,
        what: str,
        target: Path | str,
        *,
        review: str = "",
        items: int = 0,
        pseudonymised: bool = False,
    ) -> None:
        """Leave a line about something that leaves the library.

        Parameters
        ----------
        what : str
            Its kind, e.g. ``html``.
        target : Path or str
        review : str
            The review that it was made from; empty for a search that is not kept.
        items : int
            Matches or places in it.
        pseudonymised : bool
        """
        with self.files.own().appending() as (connection, at):
            row = (None, at, self._reviewer, what, str(target), review, items, int(pseudonymised))
            _insert(connection, "exports", row)

    # --------------------------------------------------------------- reading

    def list(self) -> list[Summary]:
        """One line a review, the one that changed last first."""
        return reading.read_summaries(self.files)

    def get(self, review: str = "") -> Review:
        """A review with all its rounds and verdicts.

        Parameters
        ----------
        review : str
            Its id or an unambiguous beginning; empty or ``last`` for the one that changed
            last.

        Raises
        ------
        ReviewNotFoundError
            There is none.
        """
        return reading.read_review(self.files, self._full(review))

    def exports(self) -> tuple[Export, ...]:
        """What left the library, oldest first."""
        sql = "SELECT at, reviewer, what, target, review, items, pseudonymised FROM exports"
        rows = sorted(reading.gathered(self.files, sql), key=lambda row: row[1])
        return tuple(
            Export(at, reading.identity(who, stem), what, target, review, items, bool(masked))
            for stem, at, who, what, target, review, items, masked in rows
        )

    def stamp(self) -> tuple[tuple[str, int], ...]:
        """Changes whenever any process has written; cheap to ask for."""
        return tuple((str(file.path), file.generation()) for _, file in self.files.all())

    def _full(self, review: str) -> str:
        if review in self._known:
            return review
        found = reading.full_id(self.files, review)
        self._known.add(found)
        return found


def ranges_of(numbers: Iterable[int]) -> SegmentRanges:
    """Numbers as inclusive ranges, ascending."""
    found: list[tuple[int, int]] = []
    for number in sorted(set(numbers)):
        if found and found[-1][1] == number - 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return tuple(found)


def _insert(connection: Connection, table: str, values: Sequence[Any]) -> None:
    marks = ", ".join("?" * len(values))
    connection.execute(f"INSERT INTO {table} VALUES ({marks})", values)  # noqa: S608  our tables


def _match_row(number: str, rank: int, control: int, match: Match) -> tuple[Any, ...]:
    box = match.footprint
    return (
        number,
        rank,
        control,
        match.key.slide_id,
        match.case_id,
        match.key.spec,
        box.x,
        box.y,
        box.width,
        box.height,
        match.mpp,
        match.score,
        match.percentile,
        json.dumps(dict(match.metadata), ensure_ascii=False),
    )
