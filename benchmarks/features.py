"""Features in and out, beside copying the same files with h5py alone: patches/s.

The files are made up, in TRIDENT's layout (chunks of one row); slides are not at hand, so
that only vectors move. Import does more than a copy: it checks every vector, makes it of
length 1, rounds it to float16, syncs it to the disk and builds the search index.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from pathsearch.export import export_h5, export_parquet
from pathsearch.library import Library
from pathsearch.maintenance import Given, ImportEncoder, find_tasks, import_features


def write(folder: Path, slides: int, patches: int, dim: int) -> None:
    """Files of features as TRIDENT writes them."""
    rng = np.random.default_rng(0)
    x, y = np.meshgrid(np.arange(-(-patches // 100)), np.arange(100), indexing="ij")
    corners = np.stack([x.ravel(), y.ravel()], axis=1)[:patches].astype(np.int64) * 512
    attributes = {
        "patch_size": 256, "patch_size_level0": 512, "level0_magnification": 40,
        "target_magnification": 20, "overlap": 0,
        "level0_width": 512 * 1000, "level0_height": 512 * 100,
    }  # fmt: skip
    folder.mkdir()
    for number in range(slides):
        vectors = rng.standard_normal((patches, dim), np.float32)
        with h5py.File(folder / f"s{number:05d}.h5", "w") as file:
            for name, values in (("features", vectors), ("coords", corners)):
                tail = values.shape[1:]
                file.create_dataset(name, data=values, maxshape=(None, *tail), chunks=(1, *tail))
            file["coords"].attrs.update(attributes)


def copy(source: Path, target: Path) -> None:
    """The files again, by h5py alone, in the layout of our export."""
    target.mkdir()
    for path in sorted(source.iterdir()):
        with h5py.File(path) as old, h5py.File(target / path.name, "w") as new:
            values = old["features"][:]
            rows = min(256, len(values))
            new.create_dataset("features", data=values, chunks=(rows, values.shape[1]))
            new.create_dataset("coords", data=old["coords"][:])
            new["coords"].attrs.update(dict(old["coords"].attrs))


def timed(what: Callable[[], object]) -> float:
    """Seconds that it takes."""
    began = time.perf_counter()
    what()
    return time.perf_counter() - began


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slides", type=int, default=20)
    parser.add_argument("--patches", type=int, default=2000, help="a slide")
    parser.add_argument("--dim", type=int, default=768)
    words = parser.parse_args()
    total = words.slides * words.patches
    with tempfile.TemporaryDirectory(prefix="pathsearch-bench-") as name:
        place = Path(name)
        write(place / "f", words.slides, words.patches, words.dim)
        tasks = find_tasks([place / "f"], mpp=0.25)

        def bring() -> None:
            who = ImportEncoder(name="made-up")
            done = import_features(place / "l", tasks, Given(), who)
            assert done.report.patches in (0, total), done.report.of("failed")

        rows = [("h5py copy", timed(lambda: copy(place / "f", place / "copy")))]
        rows.append(("import, with its search index", timed(bring)))
        rows.append(("import again, nothing new", timed(bring)))
        with Library.open(place / "l") as library:
            rows.append(("export --h5", timed(lambda: export_h5(library, place / "h5"))))
            rows.append(
                ("export --parquet", timed(lambda: export_parquet(library, place / "t.parquet")))
            )
    print(f"{words.slides} slides, {total} patches, {words.dim} numbers each, one thread each")
    print(f"{'':32}{'seconds':>9}{'patches/s':>12}{'of the copy':>13}")
    for what, seconds in rows:
        share = rows[0][1] / seconds
        print(f"{what:32}{seconds:9.2f}{total / seconds:12.0f}{share:13.2f}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory {peak:.0f} MB")


if __name__ == "__main__":
    main()
