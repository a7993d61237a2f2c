"""The tables of ``catalog.db``; ``docs/library-format.md`` explains every column."""

from __future__ import annotations

SCHEMA = """
CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE roots (
    name TEXT PRIMARY KEY,
    path TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE slides (
    slide_id TEXT PRIMARY KEY,
    root TEXT NOT NULL,
    path TEXT NOT NULL,
    case_id TEXT NOT NULL,
    width INTEGER NOT NULL,
    height INTEGER NOT NULL,
    mpp REAL,
    bounds TEXT,
    fingerprint TEXT NOT NULL,
    file_size INTEGER NOT NULL,
    file_mtime_ns INTEGER NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('indexed', 'empty', 'failed', 'removed')),
    error_code TEXT NOT NULL,
    error_message TEXT NOT NULL,
    error_spec TEXT NOT NULL,
    vendor TEXT NOT NULL,
    scanner TEXT NOT NULL,
    objective REAL,
    metadata TEXT NOT NULL
);
CREATE INDEX slides_case ON slides (case_id);

CREATE TABLE segments (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    slide_id TEXT NOT NULL REFERENCES slides (slide_id),
    spec TEXT NOT NULL,
    key TEXT NOT NULL,
    rows INTEGER NOT NULL,
    footprint INTEGER NOT NULL,
    mpp REAL NOT NULL,
    removed INTEGER NOT NULL CHECK (removed IN (0, 1)),
    bad_patches INTEGER NOT NULL,
    enlarged REAL NOT NULL,
    fingerprint TEXT NOT NULL,
    digest TEXT NOT NULL,
    created TEXT NOT NULL,
    facts TEXT NOT NULL
);
CREATE UNIQUE INDEX segments_live ON segments (slide_id, spec) WHERE removed = 0;
CREATE INDEX segments_key ON segments (key);

CREATE TABLE index_state (
    spec TEXT PRIMARY KEY,
    version INTEGER NOT NULL,
    folder TEXT NOT NULL,
    covered TEXT NOT NULL,
    created TEXT NOT NULL,
    facts TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE runs (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    started TEXT NOT NULL,
    ended TEXT NOT NULL,
    command TEXT NOT NULL,
    software TEXT NOT NULL,
    counts TEXT NOT NULL
);

CREATE TABLE log (
    run INTEGER NOT NULL REFERENCES runs (number),
    at TEXT NOT NULL,
    slide_id TEXT NOT NULL,
    message TEXT NOT NULL
);
CREATE INDEX log_run ON log (run);
CREATE INDEX log_slide ON log (slide_id);
"""

#: Columns of the two big tables, in the order of the records' fields.
SLIDE_COLUMNS = (
    "slide_id, root, path, case_id, width, height, mpp, bounds, fingerprint, file_size, "
    "file_mtime_ns, status, error_code, error_message, error_spec, vendor, scanner, "
    "objective, metadata"
)
SEGMENT_COLUMNS = (
    "number, slide_id, spec, key, rows, footprint, mpp, removed, bad_patches, enlarged, "
    "fingerprint, digest, created, facts"
)
