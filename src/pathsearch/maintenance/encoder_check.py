"""Whether an encoder is the one that made some vectors: asked of the pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pathsearch.errors import EncoderMismatchError
from pathsearch.indexing.reading import Opener
from pathsearch.maintenance.feature_files import read_some
from pathsearch.maintenance.feature_plans import Plan
from pathsearch.nouns import Encoder

#: Patches that are encoded again, from at most so many slides.
CHECK_PATCHES, CHECK_SLIDES = 50, 10
#: Least median cosine. Another resampling of the same pixels stays above it; see
#: docs/features.md for what was measured.
LEAST_COSINE = 0.95
#: And patches must be this much closer to their own vectors than to those of others: with
#: some encoders all vectors are near each other.
_CLOSER = 0.25

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Agreement:
    """How well re-encoded patches agree with the vectors that came in.

    Attributes
    ----------
    median, least : float
        Cosine of a patch's vector and the one that came in.
    unrelated : float
        Median cosine to the vectors of other patches.
    patches, slides : int
    """

    median: float
    least: float
    unrelated: float
    patches: int
    slides: int

    @property
    def holds(self) -> bool:
        """Whether it is the same encoder."""
        apart = 1 - self.unrelated
        return self.median >= LEAST_COSINE and 1 - self.median <= _CLOSER * apart

    def __str__(self) -> str:
        return (
            f"{self.patches} patches of {self.slides} slides, encoded again: cosine to the "
            f"imported vectors {self.median:.4f} in the median, {self.least:.4f} at least "
            f"(to those of other patches {self.unrelated:.4f})"
        )


def check_encoder(plans: Sequence[Plan], encoder: Encoder, opener: Opener) -> Agreement:
    """Encode some patches again and compare.

    Parameters
    ----------
    plans : sequence of Plan
        With their slides at hand.
    encoder : Encoder
    opener : Opener

    Raises
    ------
    EncoderMismatchError
        The vectors are of another length, the slides are not at hand, or the encoder gives
        other vectors.
    """
    for one in plans:
        refuse_other_length(one, encoder)
    here = [p for p in plans if p.task.source.root and p.task.source.path.exists() and len(p.rows)]
    if not here:
        raise EncoderMismatchError(
            f"{encoder.name}: whether it made these vectors can only be seen on the slides; give "
            "--slides FOLDER, or import with --encoder-name instead of --encoder."
        )
    fresh, stored, left = [], [], CHECK_PATCHES
    here.sort(key=lambda p: len(p.rows))  # what a small slide lacks, a larger one makes up for
    for done, part in enumerate(here):
        rows = _evenly(part.rows, -(-left // (len(here) - done)))
        left -= len(rows)
        pixels = _pixels(part, rows, opener)
        fresh.append(encoder.encode(pixels))
        stored.append(read_some(part.head, rows))
    found = agreement(np.concatenate(fresh), np.concatenate(stored), len(here))
    if not found.holds:
        raise EncoderMismatchError(
            f"{encoder.name} did not make these vectors: {found}. Give the encoder that did, or "
            "import with --encoder-name.",
            median=found.median,
        )
    return found


def agreement(fresh: Vectors, stored: Vectors, slides: int = 1) -> Agreement:
    """Compare vectors row by row, each (n, dim)."""
    a, b = (
        v / np.maximum(np.linalg.norm(v, axis=1, keepdims=True), 1e-12) for v in (fresh, stored)
    )
    cosines = a @ b.T
    own = np.diag(cosines)
    others = cosines[~np.eye(len(own), dtype=bool)]
    unrelated = float(np.median(others)) if len(others) else -1.0
    return Agreement(float(np.median(own)), float(own.min()), unrelated, len(own), slides)


def refuse_other_length(one: Plan, encoder: Encoder) -> None:
    """EncoderMismatchError where the vectors are not of the encoder's length."""
    if one.head.rows and one.head.dim != encoder.dim:
        raise EncoderMismatchError(
            f"{one.head.path}: its vectors have {one.head.dim} numbers, those of {encoder.name} "
            f"{encoder.dim}.",
            expected=encoder.dim,
            got=one.head.dim,
        )


def _evenly(rows: npt.NDArray[np.int64], wanted: int) -> npt.NDArray[np.int64]:
    places = np.linspace(0, len(rows) - 1, min(wanted, len(rows)))
    return rows[np.unique(np.rint(places).astype(np.int64))]


def _pixels(part: Plan, rows: npt.NDArray[np.int64], opener: Opener) -> npt.NDArray[np.uint8]:
    """The patches as they were cut, (n, size, size, 3)."""
    size, source = part.cut.size_px, part.task.source
    with opener(source.path, mpp=source.mpp) as slide:
        return np.stack(
            [slide.read(int(x), int(y), size, size, part.cut.mpp) for x, y in part.xy[rows]]
        )
