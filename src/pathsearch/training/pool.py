"""The pool of patches that a training draws from: on disk, memory-mapped, of fixed size.

An archive does not fit in memory, so training works on a pool of `pool_patches` patches,
which is drawn anew from other slides and places every `pool_steps` steps. Everything
about a pool follows from (seed, round): an interrupted training finds the same one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pathsearch.config import TrainSettings
from pathsearch.errors import SlideError, TrainingError
from pathsearch.training.sources import Place, Source, places_of, read_places

#: Slides that one pool is drawn from; looking for tissue takes about a second a slide.
_FILES_A_ROUND = 2048
_VALIDATION = 2**31 - 1

Warn = Callable[[str], None]


@dataclass(frozen=True)
class Pool:
    """Patches, and how often each is drawn.

    Attributes
    ----------
    pixels : uint8 array, shape (n, patch_px, patch_px, 3)
        Memory-mapped.
    collection : int64 array, shape (n,)
        Which of the user's arguments each patch is from.
    """

    pixels: npt.NDArray[np.uint8]
    collection: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.pixels)

    def weights(self) -> npt.NDArray[np.float64]:
        """Chance of each patch to be drawn.

        A collection's share grows with the square root of its size: large ones do not
        drown small ones, and small ones are not repeated to death.
        """
        counts = np.bincount(self.collection)
        weights = 1.0 / np.sqrt(counts[self.collection])
        normed: npt.NDArray[np.float64] = weights / weights.sum()
        return normed


def open_pool(
    sources: Sequence[Source],
    settings: TrainSettings,
    folder: Path,
    number: int,
    warn: Warn,
) -> Pool:
    """The pool of one round; drawn if it is not on disk yet, and replaces the one before.

    Parameters
    ----------
    sources : sequence of Source
    settings : TrainSettings
    folder : Path
        Where pools are kept while training runs.
    number : int
        The round.
    warn : callable
        Told in one line of each source that cannot be used.

    Raises
    ------
    TrainingError
        No patches at all.
    """
    name = f"pool-{number}"
    if not (folder / f"{name}.json").is_file():
        for old in folder.glob("pool-*"):
            old.unlink()
        wanted = settings.pool_patches
        drawn = _draw(sources, settings, (settings.seed, number), wanted, warn)
        _write(drawn, sources, settings, folder / name, warn)
    return _read(folder / name)


def open_validation(
    sources: Sequence[Source], settings: TrainSettings, folder: Path, warn: Warn
) -> Pool:
    """Patches to validate with, the same through a whole training."""
    name = folder / "validation"
    if not name.with_suffix(".json").is_file():
        seed = (settings.seed, _VALIDATION)
        drawn = _draw(sources, settings, seed, settings.validation_patches, warn)
        _write(drawn, sources, settings, name, warn)
    return _read(name)


def _draw(
    sources: Sequence[Source],
    settings: TrainSettings,
    seed: tuple[int, int],
    wanted: int,
    warn: Warn,
) -> list[Place]:
    """Which patches: equal shares for collections, then for their files, where they last."""
    random = np.random.default_rng(seed)
    places: list[Place] = []
    chosen = random.permutation(len(sources))[:_FILES_A_ROUND]
    for number in sorted(chosen.tolist()):
        try:
            places += places_of(number, sources[number], settings)
        except SlideError as error:
            warn(str(error))
    places = [place for place in places if len(place.xy)]
    if not places:
        raise TrainingError("None of the slides and pictures gave a patch of tissue; see above.")
    collections = np.array([sources[place.source].collection for place in places])
    room = np.array([len(place.xy) for place in places])
    quota = np.zeros(len(places), dtype=np.int64)
    kinds = np.unique(collections)
    share = shares(np.array([room[collections == kind].sum() for kind in kinds]), wanted)
    for kind, part in zip(kinds, share, strict=True):
        mine = collections == kind
        quota[mine] = shares(room[mine], int(part))
    return [
        Place(
            place.source,
            place.scale,
            place.xy[np.sort(random.permutation(len(place.xy))[:count])],
        )
        for place, count in zip(places, quota.tolist(), strict=True)
        if count
    ]


def shares(room: npt.NDArray[np.int64], wanted: int) -> npt.NDArray[np.int64]:
    """Divide `wanted` evenly among boxes of limited `room`; what one lacks, others give.

    Parameters
    ----------
    room : int64 array, shape (n,)
    wanted : int

    Returns
    -------
    int64 array, shape (n,)
        Sums to ``min(wanted, room.sum())``.
    """
    given = np.zeros(len(room), dtype=np.int64)
    left = min(int(wanted), int(room.sum()))
    while left > 0:
        open_ = np.flatnonzero(given < room)
        each = max(left // len(open_), 1)
        for place in open_[: left if each == 1 else len(open_)]:
            more = min(each, int(room[place] - given[place]), left)
            given[place] += more
            left -= more
    return given


def _write(
    drawn: list[Place],
    sources: Sequence[Source],
    settings: TrainSettings,
    base: Path,
    warn: Warn,
) -> None:
    """Read the patches into one .npy file, and its description last."""
    size = settings.patch_px
    total = sum(len(place.xy) for place in drawn)
    base.parent.mkdir(parents=True, exist_ok=True)
    out = np.lib.format.open_memmap(
        base.with_suffix(".npy"), mode="w+", dtype=np.uint8, shape=(total, size, size, 3)
    )
    collection: list[int] = []
    for place in drawn:
        source = sources[place.source]
        try:
            pixels = read_places(source, place, settings)
        except SlideError as error:
            warn(str(error))
            continue
        out[len(collection) : len(collection) + len(pixels)] = pixels
        collection += [source.collection] * len(pixels)
    out.flush()
    if not collection:
        raise TrainingError("None of the patches could be read; see above.")
    base.with_suffix(".json").write_text(json.dumps({"collection": collection}))


def _read(base: Path) -> Pool:
    described = json.loads(base.with_suffix(".json").read_text())
    collection = np.array(described["collection"], dtype=np.int64)
    pixels = np.load(base.with_suffix(".npy"), mmap_mode="r", allow_pickle=False)
    return Pool(pixels[: len(collection)], collection)
