"""A library of made-up vectors with copies, cases and ties, and a plain numpy oracle for it."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass

import numpy as np

from pathsearch.config import TileSpec
from pathsearch.library import EncoderRecord, Library, SlideRecord
from pathsearch.testing.plain_encoder import PlainEncoder

DIM = 32
FOOT = 448
SPEC = TileSpec()


def unit(rows):
    rows = np.asarray(rows, np.float32)
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def clustered(n, seed, clusters=40):
    """Vectors in clusters that all seeds share."""
    centres = np.random.default_rng(4321).normal(size=(clusters, DIM))
    rng = np.random.default_rng(seed)
    return unit(centres[rng.integers(clusters, size=n)] + 0.5 * rng.normal(size=(n, DIM)))


def make(path, slides, per_slide, *, twins=True):
    """Slides of `per_slide` patches at random places of a grid; two a case, some without.

    With `twins` every third slide is a copy of the one before, and each slide holds a few
    patches of equal vectors.
    """
    encoder = PlainEncoder(dim=DIM)
    record = EncoderRecord(encoder.name, DIM, 224, encoder.mpp_range, encoder.fingerprint)
    library = Library.create(path, specs=[SPEC], encoder=record, encoder_files=None)
    with library.writer() as writer:
        writer.ensure_root("r", path.parent)
        for number in range(slides):
            put(library, writer, number, per_slide, twins=twins)
    return library


def put(library, writer, number, per_slide, *, twins=True):
    copied = twins and number % 3 == 2
    seed = number - 1 if copied else number
    rng = np.random.default_rng(seed)
    side = int(np.ceil(np.sqrt(2 * per_slide)))
    cells = np.sort(rng.choice(side * side, per_slide, replace=False))
    vectors = clustered(per_slide, 100 + seed)
    if twins:
        vectors[3::11] = clustered(1, 7)[0]
    slide = SlideRecord(
        f"s{number:03d}", "r", f"s{number:03d}.svs",
        case_id="" if number % 5 == 4 else f"c{number // 2}",
        width=side * FOOT, height=side * FOOT, mpp=0.25, fingerprint=f"content {seed}",
        file_size=1, scanner="X" if number % 2 else "Y",
        metadata={"organ": ("lung", "skin", "liver")[number % 3], "age": 10 * number},
    )  # fmt: skip
    segment = writer.open_segment(slide, SPEC, FOOT)
    places = np.stack([cells % side, cells // side], axis=1) * FOOT
    segment.append(places, vectors, np.ones(per_slide, np.float32))
    segment.commit(slide)


@dataclass
class Rows:
    """Every live row of a library."""

    slides: list[str]
    xy: np.ndarray
    vectors: np.ndarray
    norms: np.ndarray
    records: dict[str, SlideRecord]

    @classmethod
    def of(cls, library):
        slides, parts = [], []
        for segment in library.segments():
            arrays = library.read_segment(segment)
            slides += [segment.slide_id] * segment.rows
            parts.append((arrays.coords, arrays.vectors.astype(np.float32), arrays.norms))
        xy, vectors, norms = (np.concatenate(p) for p in zip(*parts, strict=True))
        return cls(slides, xy, vectors, norms, {s.slide_id: s for s in library.slides()})

    def case(self, slide_id):
        return self.records[slide_id].case_id or ("alone", slide_id)

    def scores(self, vector):
        """Cosines; each row summed by itself, so that equal rows tie."""
        return np.clip((self.vectors * vector).sum(axis=1) / self.norms, -1, 1)


def allowed_rows(rows, query, own=None, own_places=(), test=lambda record: True):
    """Which rows may come: a bool a row, by the definition.

    `own` is the query's slide, `own_places` the patches that it was drawn on.
    """
    twins = {
        i for i, r in rows.records.items() if own and r.fingerprint == rows.records[own].fingerprint
    }
    cases = {rows.records[i].case_id for i in twins} - {""}
    least = (1 + query.guard) * FOOT
    keep = []
    for slide_id, (x, y) in zip(rows.slides, rows.xy.tolist(), strict=True):
        fits = test(rows.records[slide_id])
        if query.exclude == "overlap" and slide_id in twins:
            fits &= all(max(abs(x - a), abs(y - b)) >= least for a, b in own_places)
        if query.exclude in ("slide", "case"):
            fits &= slide_id not in twins
        if query.exclude == "case":
            fits &= rows.records[slide_id].case_id not in cases
        keep.append(fits)
    judged = {(k.slide_id, k.x, k.y) for k in query.shown}
    for at, (slide_id, (x, y)) in enumerate(zip(rows.slides, rows.xy.tolist(), strict=True)):
        keep[at] &= (slide_id, x, y) not in judged
    return np.array(keep, bool)


def oracle(rows, query, vector, keep):
    """The list by the definition: sorted by score and key, then thinned one by one."""
    scores = rows.scores(vector)
    order = sorted(
        np.flatnonzero(keep).tolist(),
        key=lambda at: (-scores[at], rows.slides[at], *rows.xy[at].tolist()),
    )
    per_slide, per_case, places = Counter(), Counter(), defaultdict(list)
    found = []
    for at in order:
        slide_id, here = rows.slides[at], rows.xy[at].astype(float)
        if query.per_slide and per_slide[slide_id] >= query.per_slide:
            continue
        if query.per_case and per_case[rows.case(slide_id)] >= query.per_case:
            continue
        gaps = [((here - other) ** 2).sum() for other in places[slide_id]]
        if query.spacing and gaps and min(gaps) < (query.spacing * FOOT) ** 2:
            continue
        per_slide[slide_id] += 1
        per_case[rows.case(slide_id)] += 1
        places[slide_id].append(here)
        found.append((slide_id, *rows.xy[at].tolist(), float(scores[at])))
        if len(found) == query.k:
            break
    return found


def keys(answer):
    return [(m.key.slide_id, m.key.x, m.key.y) for m in answer.matches]
