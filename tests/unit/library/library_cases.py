"""Made-up slides and vectors for the library's tests, reproducible from a seed."""

from __future__ import annotations

import numpy as np

from pathsearch.config import TileSpec
from pathsearch.library import EncoderRecord, Library, SegmentRecord, SlideRecord, Writer

DIM = 8
SPEC = TileSpec(size_px=224, mpp=0.5)
COARSE = TileSpec(size_px=224, mpp=2.0)
ENCODER = EncoderRecord("made-up", DIM, 224, (0.4, 2.5), "ab" * 32, source="builtin:made-up")


def unit_vectors(n: int, seed: int = 0, dim: int = DIM) -> np.ndarray:
    """float32, shape (n, dim), of length 1."""
    drawn = np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def grid(n: int, footprint: int = 448) -> np.ndarray:
    """int64, shape (n, 2): corners in reading order, 100 a row."""
    return np.stack([np.arange(n) % 100, np.arange(n) // 100], axis=1).astype(np.int64) * footprint


def slide(slide_id: str, fingerprint: str = "", **more: object) -> SlideRecord:
    return SlideRecord(
        slide_id=slide_id,
        root="archive",
        path=slide_id,
        width=100_000,
        height=100_000,
        mpp=0.25,
        fingerprint=fingerprint or f"content of {slide_id}",
        **more,  # type: ignore[arg-type]
    )


def put(
    writer: Writer, record: SlideRecord, n: int = 5, *, seed: int = 0, spec: TileSpec = SPEC
) -> SegmentRecord:
    """Commit `n` made-up patches of a slide."""
    segment = writer.open_segment(record, spec, 448)
    segment.append(grid(n), unit_vectors(n, seed), np.linspace(0.4, 1, n, dtype=np.float32))
    return segment.commit(record)


def state_of(library: Library) -> dict[tuple[str, str], tuple[object, ...]]:
    """What must be equal in two libraries that were made in different ways."""
    found: dict[tuple[str, str], tuple[object, ...]] = {}
    for segment in library.segments():
        folder = library.embeddings_path / segment.key
        files = {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }
        found[segment.slide_id, segment.spec] = (segment.key, segment.rows, segment.digest, files)
    return found
