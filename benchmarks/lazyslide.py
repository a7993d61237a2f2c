"""Indexing beside LazySlide: the same slides and the same torch encoder through both.

    python -m benchmarks.lazyslide --peer PYTHON [--slides FILE...]

PYTHON is an interpreter that has LazySlide, which needs another torch than this project, with
torchvision; make it an environment of its own, outside of the checkout:

    python -m venv ~/lazyslide && ~/lazyslide/bin/pip install lazyslide==0.13.0
    python -m benchmarks.lazyslide --peer ~/lazyslide/bin/python

Both cut patches of 224 px at the slide's own resolution, each where it finds tissue. Theirs is
`find_tissues`, `tile_tissues` and `feature_extraction`, in memory; nothing is stored. Ours is a
whole `index` run, its library and search index on disk. The encoder goes to LazySlide as a
program of torch.export that takes the pixels as they come: the same weights, and the vectors
are compared before anything is timed. There are two of each, one that computes in float32 and
one that casts itself to bfloat16 as our encoder does: LazySlide's own `amp` cannot run such a
program (torch 2.14 refuses the other types within).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

# Threads that wait by spinning take the processor away from the others; before torch comes.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch
from benchmarks.indexing_pace import encoding_rate, whole_run
from torch import nn

if TYPE_CHECKING:
    from pathsearch.encoders.conv_encoder import ConvEncoder

    #: One encoder by what it computes in.
    Precisions = dict[str, ConvEncoder]

PX = 224
BATCH = 64
#: What the programs compute in.
PRECISIONS = {"float32": torch.float32, "bf16": torch.bfloat16}
#: How LazySlide is run: one program or the other, and processes that load tiles.
SETTINGS = [(precision, workers) for precision in PRECISIONS for workers in (0, 2)]
#: Least cosine between what an exported program gives and the encoder in the same precision.
SAME = 0.9999

#: Runs in the peer's interpreter; it does not see this project.
_PEER = """
import json, sys, time, warnings
warnings.filterwarnings("ignore")
import numpy, torch, lazyslide as zs
from wsidata import open_wsi
job = json.load(open(sys.argv[1]))
programs = {
    name: torch.export.load(path).module().to(memory_format=torch.channels_last)
    for name, path in job["programs"].items()
}
def encoder(name):
    return lambda images: programs[name](images)
def say(**what):
    print(json.dumps(what), flush=True)
say(version=zs.__version__, torch=torch.__version__)
batch = torch.from_numpy(numpy.load(job["pixels"]))
for name in programs:
    with torch.inference_mode():
        encoder(name)(batch)
        count, began = 0, time.perf_counter()
        while time.perf_counter() - began < 2:
            encoder(name)(batch)
            count += len(batch)
    say(bare=count / (time.perf_counter() - began), precision=name)
for name, workers in job["settings"]:
    tiles, began = 0, time.perf_counter()
    try:
        for path in job["slides"]:
            wsi = open_wsi(path, store=None)
            zs.pp.find_tissues(wsi)
            zs.pp.tile_tissues(wsi, job["px"], mpp=job["mpp"])
            found = zs.tl.feature_extraction(
                wsi, encoder(name), device="cpu", batch_size=job["batch"], num_workers=workers,
                pbar=False, model_name="program", return_features=True,
            )
            tiles += len(found)
        seconds = time.perf_counter() - began
        say(rate=tiles / seconds, precision=name, workers=workers, tiles=tiles)
    except Exception as error:
        say(failed=f"{type(error).__name__}: {error}"[:200], precision=name, workers=workers)
"""


class Program(nn.Module):
    """An encoder as one function of torch: uint8 (n, h, w, 3) to unit vectors (n, dim)."""

    def __init__(self, encoder: ConvEncoder, dtype: torch.dtype) -> None:
        from pathsearch.encoders.files import read_encoder
        from pathsearch.encoders.folded import FoldedBackbone

        super().__init__()
        with tempfile.TemporaryDirectory() as saved:
            encoder.save(saved)
            config, tensors = read_encoder(Path(saved))
        self.network = FoldedBackbone(encoder.backbone(), config.mean, config.std)
        self.network.to(dtype=dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.dtype = dtype
        self.architecture = config.architecture
        for name in ("mean", "scale", "projection"):
            self.register_buffer(name, torch.from_numpy(np.array(tensors[f"post.{name}"])))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """The vectors, as `ConvEncoder.encode` makes them."""
        from pathsearch.encoders.conv_autoencoder import pooled

        features = pooled(
            self.network(pixels.permute(0, 3, 1, 2).to(self.dtype)), self.architecture
        )
        out = ((features - self.mean) / self.scale) @ self.projection
        return out / out.norm(dim=1, keepdim=True)


def export(encoder: ConvEncoder, dtype: torch.dtype, path: Path, pixels: np.ndarray) -> float:
    """Write the program; the least cosine between its vectors and the encoder's."""
    program = Program(encoder, dtype).eval()
    size = torch.export.Dim("patches", min=1, max=4096)
    given = torch.from_numpy(pixels)
    exported = torch.export.export(program, (given,), dynamic_shapes={"pixels": {0: size}})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that weights share memory is no fault
        torch.export.save(exported, path)
    with torch.inference_mode():
        theirs = exported.module()(given).numpy()
    return float((theirs * encoder.encode(pixels)).sum(axis=1).min())


def networks() -> dict[str, Precisions]:
    """Encoders by name."""
    from pathsearch.config import EncoderArchitecture
    from pathsearch.encoders import load_encoder
    from pathsearch.encoders.conv_encoder import ConvEncoder, untrained
    from pathsearch.encoders.files import EncoderConfig

    wide = EncoderArchitecture(channels=(48, 96, 192, 384), depths=(1, 2, 4, 2))
    config = EncoderConfig(name="residual", architecture=wide, dim=128)
    found: dict[str, Precisions] = {"residual": {}, "builtin:small": {}}
    for precision in PRECISIONS:
        small = load_encoder("builtin:small", device="cpu", precision=precision)
        assert isinstance(small, ConvEncoder)
        found["builtin:small"][precision] = small
        found["residual"][precision] = untrained(config, device="cpu", precision=precision)
    return found


def peer_rows(python: str, folder: Path, slides: list[Path], mpp: float) -> list[dict[str, Any]]:
    """What the peer says, a dictionary a line."""
    job = {
        "programs": {name: str(folder / f"{name}.pt2") for name in PRECISIONS},
        "pixels": str(folder / "pixels.npy"),
        "slides": [str(path) for path in slides], "px": PX, "mpp": mpp, "batch": BATCH,
        "settings": SETTINGS,
    }  # fmt: skip
    (folder / "job.json").write_text(json.dumps(job))
    # As its user would start it: nothing of this project's, and threads as they are by default
    ours = ("PYTHONPATH", "OMP_WAIT_POLICY")
    environment = {name: value for name, value in os.environ.items() if name not in ours}
    done = subprocess.run(
        [python, "-c", _PEER, str(folder / "job.json")],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode:
        words = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        print(f"  LazySlide ended with status {done.returncode}: {words}")
    return lines


def print_network(
    name: str, encoders: Precisions, python: str, slides: list[Path], work: Path
) -> tuple[float, float]:
    """The rows of one encoder; patches a second of ours, and of the peer at its fastest."""
    from pathsearch.slides import open_slide

    with open_slide(slides[0]) as slide:
        mpp = slide.mpp
        _, _, w, h = slide.bounds
        corners = np.random.default_rng(0).uniform(0.25, 0.75, (BATCH, 2)) * (w, h)
        pixels = np.stack([slide.read(x, y, PX, PX, mpp) for x, y in corners])
    folder = work / name.replace(":", "-")
    folder.mkdir()
    np.save(folder / "pixels.npy", pixels)
    cosines = [
        export(encoders[precision], dtype, folder / f"{precision}.pt2", pixels)
        for precision, dtype in PRECISIONS.items()
    ]
    print(f"\n{name}: {len(slides)} slides at {mpp:.3f} µm/px")
    print(f"  least cosine of the programs' vectors to ours: {min(cosines):.6f}")
    if min(cosines) < SAME:
        raise SystemExit("The exported programs are not the encoder: nothing is compared.")
    theirs = print_peer(peer_rows(python, folder, slides, mpp))
    ours = print_ours(encoders, slides, mpp, pixels)
    for precision in PRECISIONS:
        if theirs.get(precision):
            print(f"  {ours / theirs[precision]:.1f} times LazySlide at its fastest in {precision}")
    return ours, max(theirs.values(), default=0.0)


def print_peer(rows: list[dict[str, Any]]) -> dict[str, float]:
    """The peer's lines; its best by what the encoder computes in."""
    best: dict[str, float] = {}
    for row in rows:
        how = row.get("precision", "")
        if "version" in row:
            print(f"  LazySlide {row['version']}, torch {row['torch']}")
        elif "bare" in row:
            print(f"  {'the encoder alone there, ' + how:<48}{row['bare']:>7.0f} patches/s")
        else:
            what = f"LazySlide, {how}, {row['workers']} loading processes"
            told = row.get("failed") or f"{row['rate']:>7.0f} patches/s  ({row['tiles']} tiles)"
            print(f"  {what:<48}{told}")
            best[how] = max(best.get(how, 0.0), row.get("rate", 0.0))
    return best


def print_ours(encoders: Precisions, slides: list[Path], mpp: float, pixels: np.ndarray) -> float:
    """Our lines; patches a second with what indexing chooses on this machine."""
    from pathsearch.config import IndexSettings, TileSpec
    from pathsearch.encoders.devices import cpu_has_bf16
    from pathsearch.indexing import find_sources

    settings = IndexSettings(specs=(TileSpec(mpp=round(mpp, 4)),))
    chosen = "bf16" if cpu_has_bf16() else "float32"
    rates = {}
    for precision, encoder in encoders.items():
        bare = encoding_rate(encoder, [pixels])
        print(f"  {'the encoder alone here, ' + precision:<48}{bare:>7.0f} patches/s")
        rate, patches = max(whole_run(find_sources(slides), encoder, settings) for _ in range(2))
        default = " (what it chooses here)" if precision == chosen else ""
        what = f"pathsearch index, {precision}{default}"
        print(f"  {what:<48}{rate:>7.0f} patches/s  ({patches} patches)")
        rates[precision] = rate
    return rates[chosen]


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer", default="", help="a Python that has LazySlide")
    parser.add_argument("--slides", type=Path, nargs="+")
    words = parser.parse_args()
    if not words.peer or shutil.which(words.peer) is None:
        print(f"No such Python: {words.peer}." if words.peer else "No --peer PYTHON was given.")
        print("LazySlide is not compared; see the head of this file for how to install it.")
        return 1 if words.peer else 0
    data = os.environ.get("PATHSEARCH_DATA", "")
    slides = words.slides or [Path(data, "slides", "her2st_C2.tiff")]
    if not all(path.is_file() for path in slides):
        print("Give --slides, or set PATHSEARCH_DATA: there is nothing to compare on.")
        return 0
    print(f"{os.cpu_count()} cores; patches of {PX} px; ours with its own defaults")
    found = {}
    with tempfile.TemporaryDirectory(prefix="pathsearch-bench-") as work:
        for name, encoders in networks().items():
            found[name] = print_network(name, encoders, words.peer, slides, Path(work))
    small, residual = found["builtin:small"][0], found["residual"][1]
    if residual:
        print(
            f"\nbuiltin:small here is {small / residual:.1f} times LazySlide's fastest 'residual'"
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
