"""The tables of a reviews file; ``docs/library-format.md`` explains every column."""

from __future__ import annotations

FORMAT_VERSION = 1

SCHEMA = """
CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE reviews (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    review TEXT NOT NULL,
    at TEXT NOT NULL,
    reviewer TEXT NOT NULL,
    title TEXT NOT NULL
);

CREATE TABLE rounds (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    round TEXT NOT NULL UNIQUE,
    review TEXT NOT NULL,
    at TEXT NOT NULL,
    reviewer TEXT NOT NULL,
    kind TEXT NOT NULL,
    query TEXT NOT NULL,
    encoder TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    segments TEXT NOT NULL,
    generation INTEGER NOT NULL,
    recall TEXT NOT NULL,
    searched INTEGER NOT NULL,
    notes TEXT NOT NULL,
    software TEXT NOT NULL,
    erased INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX rounds_review ON rounds (review);

CREATE TABLE matches (
    round TEXT NOT NULL REFERENCES rounds (round),
    rank INTEGER NOT NULL,
    control INTEGER NOT NULL CHECK (control IN (0, 1)),
    slide_id TEXT NOT NULL,
    case_id TEXT NOT NULL,
    spec TEXT NOT NULL,
    x INTEGER NOT NULL,
    y INTEGER NOT NULL,
    width INTEGER NOT NULL,
    height INTEGER NOT NULL,
    mpp REAL NOT NULL,
    score REAL NOT NULL,
    percentile REAL,
    metadata TEXT NOT NULL,
    PRIMARY KEY (round, control, rank)
) WITHOUT ROWID;
CREATE INDEX matches_slide ON matches (slide_id);

CREATE TABLE verdicts (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    verdict TEXT NOT NULL UNIQUE,
    review TEXT NOT NULL,
    at TEXT NOT NULL,
    reviewer TEXT NOT NULL,
    slide_id TEXT NOT NULL,
    spec TEXT NOT NULL,
    x INTEGER NOT NULL,
    y INTEGER NOT NULL,
    decision TEXT NOT NULL CHECK (decision IN ('accept', 'reject', 'unsure', 'undo')),
    label TEXT NOT NULL,
    note TEXT NOT NULL,
    blinded INTEGER NOT NULL CHECK (blinded IN (0, 1)),
    takes_back TEXT NOT NULL
);
CREATE INDEX verdicts_review ON verdicts (review);

CREATE TABLE collections (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    collection TEXT NOT NULL,
    at TEXT NOT NULL,
    reviewer TEXT NOT NULL,
    name TEXT NOT NULL,
    removed INTEGER NOT NULL CHECK (removed IN (0, 1))
);

CREATE TABLE places (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    place TEXT NOT NULL,
    collection TEXT NOT NULL,
    at TEXT NOT NULL,
    reviewer TEXT NOT NULL,
    slide_id TEXT NOT NULL,
    case_id TEXT NOT NULL,
    spec TEXT NOT NULL,
    x INTEGER NOT NULL,
    y INTEGER NOT NULL,
    width INTEGER NOT NULL,
    height INTEGER NOT NULL,
    mpp REAL NOT NULL,
    metadata TEXT NOT NULL,
    caption TEXT NOT NULL,
    label TEXT NOT NULL,
    position REAL NOT NULL,
    removed INTEGER NOT NULL CHECK (removed IN (0, 1))
);
CREATE INDEX places_collection ON places (collection);

CREATE TABLE exports (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    at TEXT NOT NULL,
    reviewer TEXT NOT NULL,
    what TEXT NOT NULL,
    target TEXT NOT NULL,
    review TEXT NOT NULL,
    items INTEGER NOT NULL,
    pseudonymised INTEGER NOT NULL CHECK (pseudonymised IN (0, 1))
);
"""
