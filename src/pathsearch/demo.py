"""The whole main job in one call: train, index, ask, and a picture of the matches."""

from __future__ import annotations

import hashlib
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pathsearch.config import IndexSettings, TileSpec, TrainSettings
from pathsearch.errors import UsageError
from pathsearch.nouns import Array, Query, Region, Slide

if TYPE_CHECKING:
    from pathsearch.library import Library
    from pathsearch.search import Answer

#: OpenSlide's test data, CC0. The only connection that pathsearch makes by itself.
SLIDE_URL = "https://openslide.cs.cmu.edu/download/openslide-testdata/Aperio/CMU-1-Small-Region.svs"
SLIDE_SHA256 = "ed92d5a9f2e86df67640d6f92ce3e231419ce127131697fbbce42ad5e002c8a7"
_TIMEOUT_S = 20
_CHUNK = 1 << 16

Say = Callable[[str], None]


@dataclass(frozen=True)
class DemoResult:
    """What the demo made.

    Attributes
    ----------
    answer : Answer
    picture, library, encoder : Path
    """

    answer: Answer
    picture: Path
    library: Path
    encoder: Path


def run_demo(
    out: Path,
    slides: Sequence[Path | str] = (),
    *,
    train_seconds: float = 60.0,
    url: str = SLIDE_URL,
    say: Say = print,
) -> DemoResult:
    """Train an encoder briefly, index, ask with a region, and draw the matches.

    Parameters
    ----------
    out : Path
        A folder; encoder, library and picture of an earlier demo in it are replaced.
    slides : sequence of Path
        Without any, OpenSlide's CMU-1-Small-Region.svs is fetched; offline, slides are made.
    train_seconds : float
        Bound on the training.
    url : str
        Where the slide is fetched from; its content is checked against a known sha256.
    say : callable
        Takes each line of talk.
    """
    from pathsearch.encoders import load_encoder
    from pathsearch.indexing import find_sources, index_slides
    from pathsearch.indexing.run import open_or_create
    from pathsearch.search import Searcher
    from pathsearch.training import train

    out.mkdir(parents=True, exist_ok=True)
    paths: list[Path | str] = list(slides) or list(demo_slides(out / "slides", url, say))
    encoder_dir, library_dir = out / "encoder", out / "demo.pathsearch"
    for folder in (encoder_dir, library_dir):
        clear(folder)
    say(f"1/4 Fitting the built-in encoder to {len(paths)} slide(s), up to {train_seconds:.0f} s …")
    train(paths, encoder_dir, demo_settings(train_seconds))
    say("2/4 Indexing …")
    encoder = load_encoder(encoder_dir)
    settings = IndexSettings(specs=(TileSpec(stride_px=112, min_tissue=0.7),))
    with open_or_create(library_dir, settings, encoder, str(encoder_dir)) as library:
        report = index_slides(library, find_sources(paths, library=library), encoder, settings)
        for failed in report.of("failed"):
            say(f"    {failed.slide_id}: {failed.message}")
        if not report.patches:
            raise UsageError("none of the slides could be indexed; see the lines above.")
        say(f"    {report.patches} patches of {len(report.of('indexed'))} slide(s).")
        region = striking_region(library)
        x, y, side = _corner_and_side(region)
        say(f"3/4 Asking: what looks like {region.slide}#{x:.0f},{y:.0f},{side:.0f},{side:.0f}?")
        answer = Searcher(library, encoder).search(Query((region,), k=10))
        picture = out / "matches.png"
        _draw(library, answer, picture)
    say(f"4/4 The query and its matches: {picture}")
    return DemoResult(answer, picture, library_dir, encoder_dir)


def demo_settings(seconds: float) -> TrainSettings:
    """A short training: it goes on from the built-in encoder, so that a minute is enough."""
    from pathsearch.encoders import DEFAULT, load_encoder
    from pathsearch.encoders.conv_encoder import ConvEncoder

    builtin = load_encoder(DEFAULT, device="cpu")
    assert isinstance(builtin, ConvEncoder)
    return TrainSettings(
        name="demo",
        initial=DEFAULT,
        architecture=builtin.config.architecture,
        learning_rate=5e-4,
        warmup_steps=5,
        batch_size=64,
        pool_patches=2048,
        validation_patches=64,
        max_seconds=seconds,
    )


def demo_slides(folder: Path, url: str, say: Say) -> list[Path]:
    """The slide of the demo: what is there already, else fetched, else made up."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / "CMU-1-Small-Region.svs"
    if target.exists() and _sha256(target) == SLIDE_SHA256:
        return [target]
    say(f"Fetching {url} (1.9 MB, CC0, once) …")
    try:
        fetch(url, target, SLIDE_SHA256)
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        say(f"It could not be had ({reason}): making slides instead.")
        return made_slides(folder)
    return [target]


def fetch(url: str, target: Path, sha256: str) -> None:
    """Download a file; ValueError where its content is not the expected one."""
    partial = target.with_name(target.name + ".part")
    if not url.startswith(("https://", "http://127.0.0.1", "http://localhost")):
        raise ValueError(f"{url} is not https")
    digest = hashlib.sha256()
    with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as answer, partial.open("wb") as file:  # noqa: S310  checked above
        while piece := answer.read(_CHUNK):
            digest.update(piece)
            file.write(piece)
    if digest.hexdigest() != sha256:
        partial.unlink()
        raise ValueError("what came is not the expected file")
    partial.replace(target)


def made_slides(folder: Path) -> list[Path]:
    """Three slides with drawn tissue, each stained a little differently."""
    from pathsearch.testing import make_slide

    paths = [folder / f"made-{number}.tiff" for number in (1, 2, 3)]
    for number, path in enumerate(paths):
        if not path.exists():
            make_slide(path, size=(4096, 4096), seed=number + 1)
    return paths


def clear(folder: Path) -> None:
    """Remove what an earlier demo left; nothing else has these names inside `out`."""
    import shutil

    if folder.exists():
        shutil.rmtree(folder)


def striking_region(library: Library) -> Region:
    """A square of two by two patches, of the tissue with the strongest texture.

    The first slide is looked at: the place whose dark (nuclear) pixels vary most is one that
    a pathologist could point at, which flat stroma is not.
    """
    from pathsearch.slides import open_slide

    segment = max(library.segments(), key=lambda s: s.rows)
    record = library.slide(segment.slide_id)
    arrays = library.read_segment(segment)
    xy, tissue = arrays.coords, arrays.tissue
    side = 2 * segment.footprint
    with open_slide(library.locate(record), mpp=record.mpp) as slide:
        full = np.flatnonzero(tissue >= np.quantile(tissue, 0.7))
        inside = full[(xy[full] + side <= np.asarray(slide.size)).all(axis=1)]
        candidates = inside if len(inside) else full
        step = max(1, len(candidates) // 60)
        best = max(candidates[::step], key=lambda row: _texture(slide, xy[row], side))
    x, y = xy[best].tolist()
    return Region.rectangle(segment.slide_id, x, y, side, side)


def _texture(slide: Slide, corner: Array, side: int) -> float:
    pixels = slide.read(float(corner[0]), float(corner[1]), 64, 64, side * slide.mpp / 64)
    density = -np.log((pixels.astype(np.float32) + 1) / 256).mean(axis=2)
    # Bare glass beside tissue has the strongest contrast of all, and is no tissue
    solid = float((density > 0.12).mean())
    return float(density.std()) * solid**6


def _corner_and_side(region: Region) -> tuple[float, float, float]:
    (x, y), (right, _) = region.polygons[0][0][:2]
    return x, y, right - x


def _draw(library: Library, answer: Answer, path: Path) -> None:
    from pathsearch.export.contact_sheet import contact_sheet

    title = "Which tissue looks like this?"
    contact_sheet(library, answer.query.like, answer.matches, title=title).save(path, "PNG")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
