"""`SegmentWriter`: the patches of one slide, in pieces, all or nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pathsearch.errors import EncoderInvalidError, EncoderMismatchError
from pathsearch.library.arrays import GroupWriter, norms_of
from pathsearch.library.durable import (
    move,
    remove_tree,
    sync_folder,
    sync_tree,
    token,
    writing_to,
)
from pathsearch.library.records import SegmentArrays, SegmentRecord, SlideRecord

if TYPE_CHECKING:
    from pathsearch.library.writer import Writer

#: How far a vector's length may be from 1, before it is rounded to float16.
UNIT_TOLERANCE = 1e-3
#: Names of groups that are being written start with this.
TEMPORARY = "tmp-"


class SegmentWriter:
    """Takes the patches of one slide; from `Writer.open_segment`.

    The arrays are written beside their place, in the memory of one chunk, then synced
    and moved, and only then does the catalog learn of them. Without `commit` nothing
    ever existed.
    """

    def __init__(self, writer: Writer, draft: SegmentRecord) -> None:
        self._writer = writer
        self._draft = draft
        self._dim = writer.library.encoder.dim
        store = writer.library.embeddings_path
        self._place = store / draft.key
        self._building: Path = store / f"{TEMPORARY}{draft.key}-{token()}"
        self._group = GroupWriter(self._building, self._dim, _attributes(writer, draft))
        self._rows = 0
        self._ended = False

    @property
    def rows(self) -> int:
        """Number of rows so far."""
        return self._rows

    def append(
        self,
        coords: npt.NDArray[np.int64],
        vectors: npt.NDArray[np.float32],
        tissue: npt.NDArray[np.float32],
        scales: npt.NDArray[np.float32] | None = None,
    ) -> None:
        """Add patches.

        Parameters
        ----------
        coords : int64 array, shape (n, 2)
            Level-0 x, y of the top-left corners.
        vectors : float32 array, shape (n, dim)
            L2-normalised.
        tissue : float32 array, shape (n,)
            Share of each patch that is tissue, 0..1.
        scales : float32 array, shape (n,), optional
            Length that each vector had, where they were made elsewhere; with every piece
            of a segment or with none.

        Raises
        ------
        EncoderMismatchError
            The vectors are not of the library's length.
        EncoderInvalidError
            A vector is not finite or not of length 1.
        LibraryWriteError
            The disk is full; the segment is given up.
        """
        if self._ended:
            raise ValueError("this segment is closed")
        coords, tissue = np.asarray(coords), np.asarray(tissue)
        vectors = np.asarray(vectors)
        if coords.shape != (len(vectors), 2) or tissue.shape != (len(vectors),):
            raise ValueError(
                f"coords {coords.shape}, vectors {vectors.shape}, tissue {tissue.shape} differ"
            )
        rounded = check_vectors(vectors, self._dim)
        piece = SegmentArrays(
            coords.astype(np.int64),
            rounded,
            norms_of(rounded),
            tissue.astype(np.float32),
            None if scales is None else np.asarray(scales, dtype=np.float32).reshape(len(vectors)),
        )
        try:
            with writing_to(self._place.parent):
                self._group.append(piece)
        except BaseException:
            self.abort()
            raise
        self._rows += len(piece)

    def commit(self, slide: SlideRecord, *, bad_patches: int = 0) -> SegmentRecord:
        """Make the segment exist, in place of the slide's older one of this spec.

        Parameters
        ----------
        slide : SlideRecord
            Its row is written in the same transaction, with status and error set.
        bad_patches : int
            Patches of the grid that could not be read, and are not among the rows.

        Returns
        -------
        SegmentRecord
            Numbered. Where the library has this very segment, that one, unchanged.
        """
        if self._ended:
            raise ValueError("this segment is closed")
        if slide.slide_id != self._draft.slide_id:
            raise ValueError(f"the segment is of {self._draft.slide_id}, not {slide.slide_id}")
        try:
            draft = replace(self._draft, rows=self._rows, bad_patches=int(bad_patches))
            if self._rows:
                with writing_to(self._place.parent):
                    draft = replace(draft, digest=self._group.finish())
                    draft = self._settle(draft)
            return self._writer.commit_segment(slide, draft)
        finally:
            self.abort()

    def abort(self) -> None:
        """Give the segment up; what was written of it is removed. Harmless when ended."""
        self._ended = True
        if self._building.exists():
            remove_tree(self._building)

    def _settle(self, draft: SegmentRecord) -> SegmentRecord:
        """Sync the arrays and move them to their place, unless they are there already."""
        if self._place.exists():
            known = self._writer.intact_segment(draft.key)
            if known is not None and (not known.removed or known.digest == draft.digest):
                return replace(known, number=0, removed=False)
            # Of a run that was killed before its row was written, damaged, or of rows that
            # are out of use and differ (another machine's rounding).
            remove_tree(self._place)
        sync_tree(self._building)
        move(self._building, self._place)
        sync_folder(self._place.parent)
        return draft


def check_vectors(vectors: npt.NDArray[np.float32], dim: int) -> npt.NDArray[np.float16]:
    """Vectors as float16, after making sure that they are finite, of length `dim`, and unit."""
    if vectors.ndim != 2 or vectors.shape[1] != dim:
        raise EncoderMismatchError(
            f"the encoder gave vectors of shape {vectors.shape}, the library's have {dim} numbers; "
            "use the library's own encoder.",
            shape=vectors.shape,
            dim=dim,
        )
    wide = vectors.astype(np.float64)
    squares = np.einsum("ij,ij->i", wide, wide)
    wrong = ~(np.abs(np.sqrt(squares) - 1.0) <= UNIT_TOLERANCE)
    if wrong.any():
        finite = np.isfinite(squares[wrong]).all()
        what = "is not of length 1" if finite else "holds NaN or infinity"
        raise EncoderInvalidError(
            f"{int(wrong.sum())} of {len(vectors)} vectors cannot be used: the first {what}; the "
            "encoder is broken, or its precision does not suit this device.",
            count=int(wrong.sum()),
        )
    return vectors.astype(np.float16)


def _attributes(writer: Writer, draft: SegmentRecord) -> dict[str, str | int | float]:
    """What makes a group understandable without the catalog; nothing that varies by run."""
    return {
        **({"regions": draft.regions} if draft.regions else {}),
        "pathsearch": 1,
        "slide_id": draft.slide_id,
        "fingerprint": draft.fingerprint,
        "spec": draft.spec,
        "mpp": draft.mpp,
        "footprint": draft.footprint,
        "enlarged": draft.enlarged,
        "encoder": writer.library.encoder.fingerprint,
    }
