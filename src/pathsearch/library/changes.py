"""The changes that a `Writer` makes, each within a transaction that is already open."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pathsearch.errors import LibraryError, SlideIdClashError, SlideUnreadableError
from pathsearch.library.catalog import now, segment_of, slide_of, slide_row
from pathsearch.library.records import SegmentRecord, SlideRecord, SlideStatus
from pathsearch.library.schema import SEGMENT_COLUMNS, SLIDE_COLUMNS

_SLIDE_UPSERT = (
    f"INSERT INTO slides ({SLIDE_COLUMNS}) VALUES ({', '.join('?' * 19)}) "  # noqa: S608
    "ON CONFLICT (slide_id) DO UPDATE SET "
    + ", ".join(f"{c} = excluded.{c}" for c in SLIDE_COLUMNS.split(", ")[1:])
)
_SEGMENT_INSERT = f"INSERT INTO segments ({SEGMENT_COLUMNS}) VALUES ({', '.join('?' * 14)})"  # noqa: S608


def commit_within(
    connection: sqlite3.Connection, slide: SlideRecord, draft: SegmentRecord
) -> SegmentRecord:
    """The slide's row, the segment's row, and the retirement of the older segment."""
    live = live_segments(connection, slide.slide_id)
    same = next((s for s in live if (s.key, s.digest) == (draft.key, draft.digest)), None)
    others = [s for s in live if s.spec != draft.spec]
    upsert_slide(connection, _settled(connection, slide, draft, others))
    if same is not None:
        return same
    connection.execute(
        "UPDATE segments SET removed = 1 WHERE slide_id = ? AND spec = ? AND removed = 0",
        (draft.slide_id, draft.spec),
    )
    # Arrays that were replaced under the same key take their old rows along.
    connection.execute(
        "DELETE FROM segments WHERE key = ? AND digest <> ?", (draft.key, draft.digest)
    )
    return insert_segment(connection, draft)


def _settled(
    connection: sqlite3.Connection,
    slide: SlideRecord,
    draft: SegmentRecord,
    others: list[SegmentRecord],
) -> SlideRecord:
    """The slide's row after a commit; another spec's failure stays noted."""
    row = connection.execute(
        "SELECT error_code, error_message, error_spec FROM slides "
        "WHERE slide_id = ? AND status <> 'removed' AND error_spec NOT IN ('', ?)",
        (slide.slide_id, draft.spec),
    ).fetchone()
    code, message, spec = row or ("", "", "")
    return replace(
        slide,
        status=_status([*others, draft]),
        error_code=code,
        error_message=message,
        error_spec=spec,
    )


def put_failure_within(
    connection: sqlite3.Connection, slide: SlideRecord, failure: tuple[str, str, str]
) -> None:
    """Record a failure (code, line, spec) beside what is known of the slide."""
    code, message, spec = failure
    others = live_segments(connection, slide.slide_id, but=spec) if spec else []
    failed = replace(
        _with_known(connection, slide),
        status=_status(others) if others else "failed",
        error_code=code,
        error_message=message,
        error_spec=spec,
    )
    upsert_slide(connection, failed)


def upsert_slide(connection: sqlite3.Connection, slide: SlideRecord) -> None:
    """Add or change one slide's row within a transaction."""
    if storable(slide) != slide:
        raise SlideUnreadableError(
            f"{storable(slide).slide_id}: its file name is not valid Unicode; rename the file.",
            slide_id=storable(slide).slide_id,
        )
    row = connection.execute(
        f"SELECT {SLIDE_COLUMNS} FROM slides "  # noqa: S608
        "WHERE slide_id = ? AND status <> 'removed'",
        (slide.slide_id,),
    ).fetchone()
    if row is not None:
        _check_same_slide(slide_of(row), slide)
    connection.execute(_SLIDE_UPSERT, slide_row(slide))


def _with_known(connection: sqlite3.Connection, slide: SlideRecord) -> SlideRecord:
    """A slide that could not be opened, with what is known of it from when it could be.

    Its older segments are still found, and need the size that their coordinates are in.
    """
    row = connection.execute(
        f"SELECT {SLIDE_COLUMNS} FROM slides "  # noqa: S608
        "WHERE slide_id = ? AND status <> 'removed'",
        (slide.slide_id,),
    ).fetchone()
    if row is None or slide.width:
        return slide
    old = slide_of(row)
    return replace(
        slide,
        width=old.width,
        height=old.height,
        mpp=old.mpp if slide.mpp is None else slide.mpp,
        bounds=old.bounds,
        fingerprint=slide.fingerprint or old.fingerprint,
        vendor=slide.vendor or old.vendor,
        scanner=slide.scanner or old.scanner,
        objective=old.objective if slide.objective is None else slide.objective,
    )


def storable(slide: SlideRecord) -> SlideRecord:
    """The record with what is no Unicode (a file name's stray bytes, on POSIX) marked."""

    def clean(text: str) -> str:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")

    return replace(slide, slide_id=clean(slide.slide_id), path=clean(slide.path))


def _check_same_slide(old: SlideRecord, new: SlideRecord) -> None:
    # Of a slide without a root only features were known, never a file
    moved = bool(old.root) and (old.root, old.path) != (new.root, new.path)
    known = bool(old.fingerprint and new.fingerprint)
    if moved and known and old.fingerprint != new.fingerprint:
        raise SlideIdClashError(
            f"{new.slide_id}: this id belongs to another slide ({old.root}:{old.path}, not "
            f"{new.root}:{new.path}); use --root-name, or a manifest with a slide_id of its own, "
            "or remove the old slide first.",
            slide_id=new.slide_id,
        )


def insert_segment(connection: sqlite3.Connection, draft: SegmentRecord) -> SegmentRecord:
    """Give a draft its number and its row."""
    created = draft.created if draft.created and draft.number else now()
    row: tuple[Any, ...] = (
        None,
        draft.slide_id,
        draft.spec,
        draft.key,
        draft.rows,
        draft.footprint,
        draft.mpp,
        int(draft.removed),
        draft.bad_patches,
        draft.enlarged,
        draft.fingerprint,
        draft.digest,
        created,
        json.dumps(dict(draft.facts), ensure_ascii=False),
    )
    number = connection.execute(_SEGMENT_INSERT, row).lastrowid
    assert number is not None
    if number >= 1 << 31:
        raise LibraryError("the library has used up its segment numbers; start a new library.")
    return replace(draft, number=number, created=created)


def live_segments(
    connection: sqlite3.Connection, slide_id: str, *, but: str | None = None
) -> list[SegmentRecord]:
    """A slide's segments that are in use."""
    rows = connection.execute(
        f"SELECT {SEGMENT_COLUMNS} FROM segments "  # noqa: S608
        "WHERE slide_id = ? AND removed = 0",
        (slide_id,),
    ).fetchall()
    return [s for s in map(segment_of, rows) if s.spec != but]


def _status(live: Sequence[SegmentRecord]) -> SlideStatus:
    return "indexed" if any(s.rows for s in live) else "empty"
