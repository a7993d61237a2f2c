"""`verify --deep`: some stored vectors are made again from the slides and compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from pathsearch.errors import EncoderError, SlideError
from pathsearch.library import Library, Problem, SegmentRecord
from pathsearch.maintenance.encoder_check import LEAST_COSINE
from pathsearch.maintenance.importing import STAMP
from pathsearch.nouns import Batch, Encoder
from pathsearch.slides import open_slide, stream_patches

#: Patches that are encoded again, from at most so many slides.
PATCHES, SLIDES = 64, 16
#: Least cosine of a patch that this program encoded: other machines and precisions stay above
#: 0.9999, another reader of the same file far above this.
_OWN_COSINE = 0.995


@dataclass(frozen=True)
class Reencoding:
    """What came of encoding a sample again.

    Attributes
    ----------
    patches, slides : int
        Compared.
    least : float
        Least cosine to a stored vector; 1 where nothing was compared.
    problems : tuple of Problem
        Errors for vectors that do not belong to their patches; notes for what could not be
        compared.
    """

    patches: int = 0
    slides: int = 0
    least: float = 1.0
    problems: tuple[Problem, ...] = ()

    def __str__(self) -> str:
        if not self.patches:
            return "no patch could be encoded again"
        return (
            f"{self.patches} patches of {self.slides} slides were encoded again: cosine to the "
            f"stored vectors at least {self.least:.5f}"
        )


def reencode_sample(
    library: Library, *, patches: int = PATCHES, slides: int = SLIDES, seed: int = 0
) -> Reencoding:
    """Encode a sample of patches again and compare with the stored vectors.

    Parameters
    ----------
    library : Library
    patches, slides : int
        At most so many patches, spread over at most so many slides.
    seed : int
        Which; the same seed takes the same sample.

    Returns
    -------
    Reencoding
    """
    chosen = _chosen(library, slides, seed)
    if not chosen:
        return Reencoding()
    try:
        encoder = _encoder(library)
    except EncoderError as error:
        return Reencoding(problems=(Problem("note", "not-encoded-again", str(error)),))
    done, count, least = 0, 0, 1.0
    problems: list[Problem] = []
    for number, segment in enumerate(chosen):
        wanted = -(-(patches - count) // (len(chosen) - number))
        try:
            cosines = _compare(library, segment, encoder, wanted, seed)
        except SlideError as error:
            problems.append(_problem("note", "not-encoded-again", str(error), segment))
            continue
        if not len(cosines):
            text = "no patch of the sample can be read now"
            problems.append(_problem("note", "not-encoded-again", text, segment))
            continue
        done, count, least = done + 1, count + len(cosines), min(least, float(cosines.min()))
        limit = LEAST_COSINE if STAMP in segment.facts else _OWN_COSINE
        if cosines.min() < limit:
            problems.append(_differs(segment, cosines, limit))
    return Reencoding(count, done, least, tuple(problems))


def _encoder(library: Library) -> Encoder:
    from pathsearch.encoders import load_encoder
    from pathsearch.errors import EncoderMismatchError

    encoder = load_encoder(library.encoder_source(), device="auto")
    if encoder.fingerprint != library.encoder.fingerprint:
        raise EncoderMismatchError(
            f"{encoder.name} is not the encoder of this library ({library.encoder.name}) any "
            "more; put the one with the recorded fingerprint back.",
            expected=library.encoder.fingerprint,
            got=encoder.fingerprint,
        )
    return encoder


def _chosen(library: Library, slides: int, seed: int) -> list[SegmentRecord]:
    """Segments to look at: at random, but the same ones for the same seed."""
    live = [s for s in library.segments() if s.rows and not s.removed]
    order = np.random.default_rng(seed).permutation(len(live))[:slides]
    return [live[i] for i in sorted(order)]


def _compare(
    library: Library, segment: SegmentRecord, encoder: Encoder, wanted: int, seed: int
) -> npt.NDArray[np.float32]:
    """Cosines of some stored vectors to those of the same patches, encoded now."""
    spec = library.specs[segment.spec]
    record = library.slide(segment.slide_id)
    random = np.random.default_rng([seed, segment.number])
    rows = np.sort(random.permutation(segment.rows)[:wanted]).astype(np.int64)
    arrays = library.read_rows(segment, rows)
    found: list[npt.NDArray[np.float32]] = []
    with open_slide(library.locate(record), mpp=segment.mpp, color=spec.color) as slide:
        if segment.fingerprint and slide.fingerprint != segment.fingerprint:
            raise SlideError(
                f"{segment.slide_id}: the file has changed since it was indexed; index it again.",
                path=str(slide.path),
            )
        for batch in stream_patches(slide, arrays.coords, spec.size_px, spec.mpp):
            stored = arrays.vectors[batch.first : batch.first + len(batch.ok)]
            found.append(_cosines(batch, stored, encoder))
    return np.concatenate(found) if found else np.empty(0, np.float32)


def _cosines(
    batch: Batch, stored: npt.NDArray[np.float16], encoder: Encoder
) -> npt.NDArray[np.float32]:
    if not batch.ok.any():
        return np.empty(0, np.float32)
    fresh = encoder.encode(batch.pixels[batch.ok])
    kept = stored[batch.ok].astype(np.float32)
    kept /= np.linalg.norm(kept, axis=1, keepdims=True).clip(1e-12)
    cosines: npt.NDArray[np.float32] = np.einsum("ij,ij->i", fresh, kept).astype(np.float32)
    return cosines


def _differs(segment: SegmentRecord, cosines: npt.NDArray[np.float32], limit: float) -> Problem:
    bad = int((cosines < limit).sum())
    text = (
        f"{bad} of {len(cosines)} patches, encoded again, are not what is stored (cosine "
        f"{float(cosines.min()):.3f}); remove the slide and index it again."
    )
    return _problem("error", "vectors-differ", text, segment)


def _problem(
    severity: Literal["error", "note"], code: str, text: str, segment: SegmentRecord
) -> Problem:
    said = text if text.startswith(segment.slide_id) else f"{segment.slide_id}: {text}"
    return Problem(severity, code, said, slide_id=segment.slide_id, segment=segment.number)
