"""One folder of derived files: all vectors of a spec in ordinal order, and what finds them.

    vectors.f16    float16 (n, dim), raw, row after row
    norms.f32      float32 (n,), raw
    coords.i32     int32 (n, 2), raw: level-0 x, y of each row
    segments.npy   int64 (m, 3): segment number, first ordinal, one past the last
    lists.faiss    the inverted lists, where the kind is not `exact`
    background.npz scores of library patches asked as queries (see search.percentile)
    manifest.json  kind, sizes, recall, and the sha256 of every file above

The row id of an ordinal is ``segment << 32 | ordinal - first``. Everything here can be
rebuilt from the library. Nothing is pickled.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pathsearch.errors import IndexFileError
from pathsearch.index.exact import ExactIndex
from pathsearch.index.ivf import IvfIndex
from pathsearch.nouns import Array, Index

FORMAT = 1
_RAW = ("vectors.f16", "norms.f32", "coords.i32", "segments.npy")
_HASHED_BYTES = 2**28
MANIFEST = "manifest.json"


@dataclass(frozen=True)
class IndexManifest:
    """What a folder holds; written as manifest.json, last.

    Attributes
    ----------
    kind : {'exact', 'ivf', 'ivf-rabitq'}
    spec : str
    encoder : str
        Fingerprint of the encoder that made the vectors.
    size, dim : int
    nprobe : int
        Lists visited by a query (not of `exact`).
    recall_at10, recall_at50 : float
        Measured when built, on `recall_queries` library patches, the own slide of each
        excluded; 1.0 for `exact`. At 50 it is None in folders of earlier versions.
    recall_queries : int
    files : dict
        File name to sha256.
    """

    kind: str
    spec: str
    encoder: str
    size: int
    dim: int
    nprobe: int = 0
    recall_at10: float = 1.0
    recall_queries: int = 0
    recall_at50: float | None = None
    files: dict[str, str] = field(default_factory=dict)
    format: int = FORMAT


@dataclass(frozen=True)
class OpenIndex:
    """An opened folder.

    Attributes
    ----------
    manifest : IndexManifest
    index : Index
    exact : ExactIndex
        The same rows, compared one by one.
    coords : int32 array, shape (n, 2)
    segments : int64 array, shape (m, 3)
    """

    manifest: IndexManifest
    index: Index
    exact: ExactIndex
    coords: npt.NDArray[np.int32]
    segments: npt.NDArray[np.int64]


class VectorFiles:
    """Write the vectors of many segments, one after the other, in flat memory.

    Parameters
    ----------
    folder : Path
        An empty folder.
    dim : int
    """

    def __init__(self, folder: Path, dim: int) -> None:
        self.folder = folder
        self.dim = dim
        self._segments: list[tuple[int, int, int]] = []
        self._size = 0

    def write(self, pieces: Iterable[tuple[int, Array, Array, Array]]) -> int:
        """Append (segment number, vectors, norms, coords) pieces; returns the rows written."""
        with (
            (self.folder / "vectors.f16").open("wb") as vectors_file,
            (self.folder / "norms.f32").open("wb") as norms_file,
            (self.folder / "coords.i32").open("wb") as coords_file,
        ):
            for number, vectors, norms, coords in pieces:
                rows = len(vectors)
                vectors_file.write(np.ascontiguousarray(vectors, "<f2").tobytes())
                norms_file.write(np.ascontiguousarray(norms, "<f4").tobytes())
                coords_file.write(np.ascontiguousarray(coords, "<i4").tobytes())
                self._segments.append((number, self._size, self._size + rows))
                self._size += rows
        table = np.array(self._segments, np.int64).reshape(-1, 3)
        np.save(self.folder / "segments.npy", table, allow_pickle=False)
        return self._size


def map_vectors(folder: Path, size: int, dim: int) -> ExactIndex:
    """The stored vectors, memory-mapped.

    Raises
    ------
    IndexFileError
        A file is missing or has another size than the manifest says.
    """
    vectors = _mapped(folder / "vectors.f16", "<f2", (size, dim))
    norms = _mapped(folder / "norms.f32", "<f4", (size,))
    return ExactIndex(vectors, norms)


def finish(folder: Path, manifest: IndexManifest) -> None:
    """Write the manifest with the sha256 of every file beside it."""
    files = {p.name: sha256(p) for p in sorted(folder.iterdir()) if p.name != MANIFEST}
    text = json.dumps({**asdict(manifest), "files": files}, indent=1)
    (folder / MANIFEST).write_text(text, encoding="utf-8")


def open_folder(folder: Path) -> OpenIndex:
    """Open what `finish` completed.

    Every file is checked against its sha256 first, since FAISS trusts what it reads and a
    place that is not a patch's misleads; vectors beyond 256 MiB by their size only, since
    hashing them would take longer than the search (`verify --deep` does).

    Raises
    ------
    IndexFileError
        Something is missing, damaged or of another format.
    """
    manifest = read_manifest(folder)
    _check_files(folder, manifest)
    exact = map_vectors(folder, manifest.size, manifest.dim)
    coords = _mapped(folder / "coords.i32", "<i4", (manifest.size, 2))
    try:
        segments = np.load(folder / "segments.npy", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise _damaged(folder / "segments.npy", error) from None
    index: Index = exact
    if manifest.kind != "exact":
        index = IvfIndex.load(folder / "lists.faiss", exact.vectors, exact.norms, manifest.nprobe)
    return OpenIndex(manifest, index, exact, coords, segments)


def read_manifest(folder: Path) -> IndexManifest:
    """The manifest of a folder; IndexFileError where it is missing or of another format."""
    path = folder / MANIFEST
    try:
        raw: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        manifest = IndexManifest(**raw)
    except (OSError, ValueError, TypeError) as error:
        raise _damaged(path, error) from None
    if manifest.format != FORMAT:
        raise IndexFileError(
            f"{folder}: index format {manifest.format}, this version reads {FORMAT}.",
            path=str(path),
        )
    return manifest


def check_file(folder: Path, name: str, manifest: IndexManifest) -> None:
    """Compare a file with the manifest's sha256; IndexFileError where they differ."""
    path = folder / name
    try:
        digest = sha256(path)
    except OSError as error:
        raise _damaged(path, error) from None
    if digest != manifest.files.get(name):
        raise IndexFileError(f"{path} is not the file that was written.", path=str(path))


def _check_files(folder: Path, manifest: IndexManifest) -> None:
    names = [*_RAW, *(["lists.faiss"] if manifest.kind != "exact" else [])]
    names += [name for name in ("background.npz",) if name in manifest.files]
    vectors = folder / "vectors.f16"
    if vectors.exists() and vectors.stat().st_size > _HASHED_BYTES:
        names.remove(vectors.name)
    with ThreadPoolExecutor(2) as threads:  # hashing leaves the interpreter free
        list(threads.map(lambda name: check_file(folder, name, manifest), names))


def sha256(path: Path) -> str:
    """Hex digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _mapped(path: Path, dtype: str, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    try:
        actual = path.stat().st_size
    except OSError as error:
        raise _damaged(path, error) from None
    expected = int(np.prod(shape)) * np.dtype(dtype).itemsize
    if actual != expected:
        raise IndexFileError(f"{path} has {actual} bytes, expected {expected}.", path=str(path))
    if expected == 0:
        return np.empty(shape, dtype)
    return np.memmap(path, dtype=dtype, mode="r", shape=shape)


def _damaged(path: Path, error: Exception) -> IndexFileError:
    reason = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
    return IndexFileError(f"{path} cannot be read ({reason}).", path=str(path))
