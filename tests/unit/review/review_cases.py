"""A small library of made-up vectors, and answers about it."""

from __future__ import annotations

import numpy as np

from pathsearch.config import TileSpec
from pathsearch.library import EncoderRecord, Library, SlideRecord
from pathsearch.nouns import PatchKey, Query, Vector
from pathsearch.testing.plain_encoder import PlainEncoder

DIM = 16
SPEC = TileSpec()
FOOT = 448
SLIDES = [("a1", "A"), ("a2", "A"), ("b1", "B"), ("n1", "")]


def unit(n, seed):
    rows = np.random.default_rng(seed).normal(size=(n, DIM)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def slide(name, case=""):
    return SlideRecord(
        slide_id=name,
        root="r",
        path=name,
        case_id=case,
        width=20 * FOOT,
        height=20 * FOOT,
        mpp=0.25,
        fingerprint=f"content of {name}",
        file_size=1,
        metadata={"organ": "lung" if name < "b" else "skin"},
    )


def put(library, writer, name, case, seed, n=40):
    coords = np.stack([np.arange(n) % 10 * FOOT, np.arange(n) // 10 * FOOT], axis=1)
    record = slide(name, case)
    segment = writer.open_segment(record, SPEC, FOOT)
    segment.append(coords, unit(n, seed), np.ones(n, np.float32))
    return segment.commit(record)


def make(path, slides=SLIDES, encoder=None):
    encoder = encoder or PlainEncoder(dim=DIM)
    record = EncoderRecord(
        encoder.name, encoder.dim, encoder.input_px, encoder.mpp_range, encoder.fingerprint
    )
    library = Library.create(path, specs=[SPEC], encoder=record)
    with library.writer() as writer:
        writer.ensure_root("r", path.parent / "slides")
        for seed, (name, case) in enumerate(slides):
            put(library, writer, name, case, seed)
    return library


def vector_query(seed=99, **words):
    return Query((Vector(tuple(unit(1, seed)[0].tolist())),), **words)


def key(number, slide_id="a1"):
    return PatchKey(slide_id, SPEC.name, number % 10 * FOOT, number // 10 * FOOT)
