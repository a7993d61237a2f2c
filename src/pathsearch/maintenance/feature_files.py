"""Files of features as TRIDENT and CLAM write them, and what they say of themselves.

Both write HDF5 with the datasets ``features`` (n, dim) and ``coords`` (n, 2), level-0
pixels of the top-left corners. They differ in the attributes of ``coords``:

- TRIDENT (`mahmoodlab/TRIDENT`, ``trident/IO.py``: `coords_to_h5`, `save_h5`): ``patch_size``
  at the target magnification, ``patch_size_level0``, ``level0_magnification``,
  ``target_magnification``, ``overlap``, ``level0_width``, ``level0_height``, ``name``; and
  ``encoder`` on ``features``.
- CLAM (`mahmoodlab/CLAM`, ``wsi_core/WholeSlideImage.py``: `process_contour`): ``patch_size``
  in pixels of ``patch_level``, ``downsample`` of that level, ``level_dim``. They are in the
  files of coordinates only; the features (``extract_features_fp.py``) carry none, and its
  ``.pt`` files hold the features alone.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pathsearch.errors import ExtraMissingError, FeaturesError

#: Endings of files of features; torch's hold no coordinates.
HDF5_SUFFIXES, TORCH_SUFFIXES = (".h5", ".hdf5"), (".pt",)
#: Rows that are read at once; memory does not grow with the slide.
_BLOCK = 4096
#: Attributes that are places on another machine; they are not kept.
_PRIVATE = ("savetodir", "save_path")

Attribute = str | int | float | list[Any]


@dataclass(frozen=True)
class FeatureHead:
    """What a file of features holds and says, without its vectors.

    Attributes
    ----------
    path : Path
    coords_path : Path or None
        A file of coordinates beside it, where one was found.
    rows, dim : int
    dtype : str
        Of the vectors in the file.
    attributes : mapping
        Of the coordinates.
    encoder : str
        As the file names it; often empty.
    """

    path: Path
    coords_path: Path | None
    rows: int
    dim: int
    dtype: str
    attributes: Mapping[str, Attribute]
    encoder: str = ""


def read_head(path: Path, coords_path: Path | None = None) -> FeatureHead:
    """Look into a file of features.

    Parameters
    ----------
    path : Path
        HDF5 of TRIDENT or CLAM, or CLAM's ``.pt``.
    coords_path : Path, optional
        The file of coordinates that belongs to it; its attributes go first.

    Raises
    ------
    FeaturesError
        It cannot be read, or does not hold one vector a patch.
    ExtraMissingError
        ``h5py`` is not installed.
    """
    if path.suffix.lower() in TORCH_SUFFIXES:
        tensor = _load_torch(path)
        shape, dtype, own, encoder = tuple(tensor.shape), str(tensor.dtype), {}, ""
    else:
        with _open(path) as file:
            vectors = _dataset(file, "features", path)
            shape, dtype = vectors.shape, str(vectors.dtype)
            own = _attributes(file["coords"]) if "coords" in file else {}
            encoder = str(_attributes(vectors).get("encoder", ""))
            has_coords = "coords" in file
        if not has_coords and coords_path is None:
            raise FeaturesError(
                f"{path}: holds no coordinates; say with --coords FOLDER where their files are.",
                path=str(path),
            )
    if path.suffix.lower() in TORCH_SUFFIXES and coords_path is None:
        raise FeaturesError(
            f"{path}: a .pt file holds no coordinates; say with --coords FOLDER where the .h5 "
            "files of the patches are.",
            path=str(path),
        )
    rows, dim = _checked_shape(path, shape)
    if coords_path is not None:
        with _open(coords_path) as file:
            own = own | _attributes(_dataset(file, "coords", coords_path))
    return FeatureHead(
        path, coords_path, rows, dim, dtype, own, "" if encoder == "None" else encoder
    )


def read_coords(head: FeatureHead) -> npt.NDArray[np.int64]:
    """Level-0 x, y of the patches' top-left corners, int64 (n, 2), in the file's order.

    Raises
    ------
    FeaturesError
        There is not one pair for each vector, or two files contradict each other.
    """
    found: list[tuple[Path, npt.NDArray[np.int64]]] = []
    for path in (head.path, head.coords_path):
        if path is None or path.suffix.lower() in TORCH_SUFFIXES:
            continue
        with _open(path) as file:
            if "coords" in file:
                found.append((path, _corners(path, file["coords"][()])))
    for path, xy in found:
        if len(xy) != head.rows:
            raise FeaturesError(
                f"{head.path}: holds {head.rows} vectors, but {path.name} has {len(xy)} "
                "coordinates; they are not of one run.",
                path=str(head.path),
            )
    if len(found) > 1 and not np.array_equal(found[0][1], found[1][1]):
        raise FeaturesError(
            f"{head.path}: its coordinates are not those of {found[1][0]}; give the folder of "
            "the run that the features are of.",
            path=str(head.path),
        )
    return found[0][1]


def read_vectors(head: FeatureHead) -> Iterator[tuple[int, npt.NDArray[np.float32]]]:
    """The vectors as they are in the file, block by block: first row, float32 (m, dim)."""
    if head.path.suffix.lower() in TORCH_SUFFIXES:
        whole = _load_torch(head.path).float().numpy().reshape(-1, head.dim)
        for start in range(0, head.rows, _BLOCK):
            yield start, whole[start : start + _BLOCK]
        return
    with _open(head.path) as file:
        stored = file["features"]
        for start in range(0, head.rows, _BLOCK):
            stop = min(start + _BLOCK, head.rows)
            part = stored[0, start:stop] if stored.ndim == 3 else stored[start:stop]
            yield start, np.asarray(part, np.float32)


def read_some(head: FeatureHead, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """The vectors of a few rows, ascending; float32 (m, dim)."""
    parts = [block[rows[(rows >= first) & (rows < first + len(block))] - first]
             for first, block in read_vectors(head)]  # fmt: skip
    return np.concatenate(parts)


def number(head: FeatureHead, name: str) -> float | None:
    """A positive number among the attributes; None where it is not stated.

    Of a pair, as CLAM writes for x and y, the one value that both have.
    """
    value = head.attributes.get(name)
    if value is None or value in ("None", ""):
        return None
    both = value if isinstance(value, list) else [value]
    try:
        numbers = [float(v) for v in both]
    except (TypeError, ValueError):
        numbers = []
    if not numbers or not all(math.isfinite(v) and v > 0 for v in numbers):
        raise FeaturesError(
            f"{head.path}: its attribute {name} is {value!r}, not a positive number.",
            path=str(head.path),
        )
    if max(numbers) > 1.01 * min(numbers):
        raise FeaturesError(
            f"{head.path}: its attribute {name} differs in x and y ({numbers}); such patches "
            "are not square and cannot be searched.",
            path=str(head.path),
        )
    return sum(numbers) / len(numbers)


def _checked_shape(path: Path, shape: tuple[int, ...]) -> tuple[int, int]:
    if len(shape) == 3 and shape[0] == 1:
        shape = shape[1:]
    if shape and shape[0] == 0:
        return 0, int(shape[1]) if len(shape) == 2 else 0
    if len(shape) != 2 or shape[1] < 2:
        what = "one vector for the whole slide" if len(shape) == 1 else f"an array {shape}"
        raise FeaturesError(
            f"{path}: holds {what}, not one vector a patch (n, dim).", path=str(path)
        )
    return int(shape[0]), int(shape[1])


def _corners(path: Path, values: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    xy = np.asarray(values)
    if xy.ndim == 3 and xy.shape[0] == 1:
        xy = xy[0]
    if xy.size == 0:
        return np.empty((0, 2), np.int64)
    if xy.ndim != 2 or xy.shape[1] != 2 or not np.isfinite(xy).all():
        raise FeaturesError(
            f"{path}: its coords are {xy.shape}, not pairs x, y (n, 2).", path=str(path)
        )
    corners: npt.NDArray[np.int64] = np.rint(xy).astype(np.int64)
    return corners


def _dataset(file: Any, name: str, path: Path) -> Any:
    import h5py

    if not isinstance(file.get(name), h5py.Dataset):
        held = ", ".join(sorted(file)) or "nothing"
        raise FeaturesError(
            f"{path}: has no dataset '{name}' (it holds {held}); TRIDENT and CLAM write "
            "'features' and 'coords'.",
            path=str(path),
        )
    return file[name]


def _attributes(dataset: Any) -> dict[str, Attribute]:
    found: dict[str, Attribute] = {}
    for name, value in dataset.attrs.items():
        if name in _PRIVATE:
            continue
        plain = value.tolist() if hasattr(value, "tolist") else value
        found[name] = plain.decode("utf-8", "replace") if isinstance(plain, bytes) else plain
    return found


@contextlib.contextmanager
def _open(path: Path) -> Iterator[Any]:
    """An HDF5 file, without HDF5's lock: shares and read-only folders have none to give."""
    h5py = need_h5py(path)
    try:
        with h5py.File(path, "r", locking=False) as file:
            yield file
    except (OSError, RuntimeError, KeyError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split()).strip("'\"")
        missing = not path.exists()
        raise FeaturesError(
            f"{path}: " + ("no such file." if missing else f"cannot be read ({reason})."),
            path=str(path),
        ) from error


def need_h5py(path: Path) -> Any:
    """The module, or ExtraMissingError."""
    try:
        import h5py
    except ImportError:
        raise ExtraMissingError(
            f"{path}: HDF5 files need an extra: pip install 'napari-pathsearch[features]'.",
            extra="features",
        ) from None
    return h5py


def _load_torch(path: Path) -> Any:
    import torch

    try:
        # Never unpickled: only tensors are accepted
        tensor = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:
        reason = " ".join(str(error).split())[:120]
        raise FeaturesError(
            f"{path}: cannot be read as a tensor ({reason}).", path=str(path)
        ) from error
    if not isinstance(tensor, torch.Tensor):
        raise FeaturesError(
            f"{path}: holds {type(tensor).__name__}, not a tensor (n, dim).", path=str(path)
        )
    return tensor.detach()
