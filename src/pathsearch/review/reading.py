"""Rows of several files to the records that they tell together."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from pathsearch.errors import ReviewNotFoundError
from pathsearch.nouns import Footprint, Match, PatchKey, Query
from pathsearch.review.files import Files, ReviewFile
from pathsearch.review.records import Review, Round, Shown, Summary, Verdict
from pathsearch.search.answer import Recall
from pathsearch.search.questions import query_from_json

_ROUND = (
    "round, review, kind, at, reviewer, query, encoder, fingerprint, segments, generation, "
    "recall, searched, notes, software, erased"
)
_MATCH = (
    "round, rank, control, slide_id, case_id, spec, x, y, width, height, mpp, score, percentile, "
    "metadata"
)
_VERDICT = (
    "verdict, review, slide_id, spec, x, y, decision, at, reviewer, label, note, blinded, "
    "takes_back"
)


def identity(name: str, stem: str) -> str:
    """How a reviewer is called: by name, else by the beginning of the file's name."""
    return name or f"unnamed-{stem[:4]}"


def gathered(files: Files, sql: str, arguments: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """Rows of all files, with the file's stem before them, in no order."""
    return [(stem, *row) for stem, file in files.all() for row in file.rows(sql, arguments)]


def read_review(files: Files, review: str) -> Review:
    """One review, whole; `review` is the full id."""
    rounds: list[tuple[str, Round]] = []
    for stem, file in files.all():
        rounds += [(r.at, r) for r in _rounds(file, stem, review)]
    rounds.sort(key=lambda item: (item[0], item[1].round))
    numbered = tuple(_numbered(r, n) for n, (_, r) in enumerate(rounds, 1))
    heads = gathered(files, "SELECT at, reviewer, title FROM reviews WHERE review = ?", (review,))
    heads.sort(key=lambda row: row[1])
    stem, created, reviewer, _ = heads[0]
    return Review(
        review=review,
        title=heads[-1][3],
        created=created,
        reviewer=identity(reviewer, stem),
        rounds=numbered,
        verdicts=read_verdicts(files, review),
    )


def _numbered(found: Round, number: int) -> Round:
    from dataclasses import replace

    return replace(found, number=number)


def _rounds(file: ReviewFile, stem: str, review: str) -> list[Round]:
    matches: dict[str, list[Shown]] = defaultdict(list)
    sql = (
        f"SELECT {_MATCH} FROM matches WHERE round IN "  # noqa: S608  columns of our own
        "(SELECT round FROM rounds WHERE review = ?) ORDER BY round, control, rank"
    )
    for row in file.rows(sql, (review,)):
        matches[row[0]].append(_shown(row))
    sql = f"SELECT {_ROUND} FROM rounds WHERE review = ?"  # noqa: S608
    return [_round(row, stem, matches[row[0]]) for row in file.rows(sql, (review,))]


def _shown(row: tuple[Any, ...]) -> Shown:
    _, rank, control, slide_id, case_id, spec, x, y, width, height, mpp, score, percentile, meta = (
        row
    )
    match = Match(
        rank=rank,
        key=PatchKey(slide_id, spec, x, y),
        footprint=Footprint(x, y, width, height),
        mpp=mpp,
        score=score,
        percentile=percentile,
        case_id=case_id,
        metadata=json.loads(meta),
    )
    return Shown(match, bool(control))


def _round(row: tuple[Any, ...], stem: str, matches: Sequence[Shown]) -> Round:
    erased = bool(row[14])
    return Round(
        round=row[0],
        review=row[1],
        number=0,
        kind=row[2],
        at=row[3],
        reviewer=identity(row[4], stem),
        query=_query(json.loads(row[5]), erased),
        encoder=row[6],
        fingerprint=row[7],
        segments=tuple((first, last) for first, last in json.loads(row[8])),
        generation=row[9],
        recall=Recall(*json.loads(row[10])),
        searched=row[11],
        notes=tuple(json.loads(row[12])),
        software=row[13],
        erased=erased,
        matches=tuple(matches),
    )


def _query(raw: dict[str, Any], erased: bool) -> Query:
    if erased and not raw.get("like") and not raw.get("accepted"):
        # Its examples were purged: what is left says how it was asked, not what
        return Query(spec=raw["spec"], k=raw["k"], exclude=raw["exclude"])
    return query_from_json(raw, source="a stored review")


def read_verdicts(files: Files, review: str) -> tuple[Verdict, ...]:
    """All verdicts of a review, oldest first; those that were taken back are marked."""
    sql = f"SELECT {_VERDICT}, number FROM verdicts WHERE review = ?"  # noqa: S608
    return _verdicts(gathered(files, sql, (review,)))


def _verdicts(rows: Iterable[tuple[Any, ...]]) -> tuple[Verdict, ...]:
    ordered = sorted(rows, key=lambda row: (row[8], row[0], row[-1]))
    back = {row[13] for row in ordered if row[7] == "undo"}
    return tuple(
        Verdict(
            verdict=row[1],
            review=row[2],
            key=PatchKey(*row[3:7]),
            decision=row[7],
            at=row[8],
            reviewer=identity(row[9], row[0]),
            label=row[10],
            note=row[11],
            blinded=bool(row[12]),
            undone=row[1] in back,
        )
        for row in ordered
        if row[7] != "undo"
    )


def read_summaries(files: Files) -> list[Summary]:
    """One line a review, the one that changed last first."""
    heads: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
    for row in gathered(files, "SELECT review, at, reviewer, title FROM reviews"):
        heads[row[1]].append(row)
    verdicts: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
    sql = f"SELECT {_VERDICT}, number FROM verdicts"  # noqa: S608
    for row in gathered(files, sql):
        verdicts[row[2]].append(row)
    rounds: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
    sql = (
        "SELECT review, at, reviewer, (SELECT count(*) FROM matches m WHERE m.round = r.round "
        "AND m.control = 0) FROM rounds r"
    )
    for row in gathered(files, sql):
        rounds[row[1]].append(row)
    controls: dict[str, set[PatchKey]] = defaultdict(set)
    for _, review, *place in gathered(files, _CONTROLS):
        controls[review].add(PatchKey(*place))
    found = [
        _summary(rows, rounds[review], verdicts[review], controls[review])
        for review, rows in heads.items()
    ]
    return sorted(found, key=lambda summary: (summary.changed, summary.review), reverse=True)


#: Patches that a review showed as random controls and never as matches.
_CONTROLS = """
SELECT DISTINCT r.review, m.slide_id, m.spec, m.x, m.y
FROM matches m JOIN rounds r ON r.round = m.round
WHERE m.control = 1 AND NOT EXISTS (
    SELECT 1 FROM matches o JOIN rounds p ON p.round = o.round
    WHERE o.slide_id = m.slide_id AND o.control = 0 AND p.review = r.review
    AND o.spec = m.spec AND o.x = m.x AND o.y = m.y
)
"""


def _summary(
    heads: list[tuple[Any, ...]],
    rounds: list[tuple[Any, ...]],
    verdict_rows: list[tuple[Any, ...]],
    controls: set[PatchKey],
) -> Summary:
    heads.sort(key=lambda row: row[2])
    verdicts = [v for v in _verdicts(verdict_rows) if not v.undone]
    current = {v.key: v.decision for v in verdicts if v.key not in controls}
    counts = [sum(d == which for d in current.values()) for which in ("accept", "reject", "unsure")]
    times = [row[2] for row in (*heads, *rounds)] + [row[8] for row in verdict_rows]
    people = [identity(row[3], row[0]) for row in (*heads, *rounds)]
    people += [v.reviewer for v in verdicts]
    return Summary(
        review=heads[0][1],
        title=heads[-1][4],
        created=heads[0][2],
        changed=max(times),
        reviewers=tuple(dict.fromkeys(people)),
        rounds=len(rounds),
        matches=sum(row[4] for row in rounds),
        accepted=counts[0],
        rejected=counts[1],
        unsure=counts[2],
    )


def full_id(files: Files, word: str) -> str:
    """The id of a review from a beginning of it; empty or ``last`` for the newest.

    Raises
    ------
    ReviewNotFoundError
        There is none, or more than one begins so.
    """
    rows = gathered(files, "SELECT review, max(at) FROM reviews GROUP BY review")
    ids = {row[1] for row in rows}
    if word in ids:
        return word
    if word in ("", "last"):
        summaries = read_summaries(files)
        if summaries:
            return summaries[0].review
        raise ReviewNotFoundError("there are no reviews yet; 'pathsearch query --save' keeps one.")
    close = sorted(i for i in ids if i.startswith(word.lower()))
    if len(close) == 1:
        return str(close[0])
    if close:
        starts = ", ".join(i[:12] for i in close[:4])
        raise ReviewNotFoundError(f"'{word}' could be {starts}: give more of it.", review=word)
    raise ReviewNotFoundError(
        f"'{word}': no such review; 'pathsearch review LIB list' shows them.", review=word
    )
