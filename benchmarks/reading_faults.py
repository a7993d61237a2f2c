"""Random bytes of real slides overwritten: what becomes of them.

    python -m benchmarks.reading_faults [--data DIR] [--trials 400] [--seconds 600]

Half of the trials damage the first 2 KiB and the last 8 KiB, where formats keep their tables;
the others any place. Each trial opens the slide and reads a grid of patches, in a child process
with a deadline. Counted are the ways in which it ended, and patches that came back as readable
although they are dark where the intact slide is not.
"""

from __future__ import annotations

import argparse
import collections
import json
import logging
import os
import queue
import random
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from pathsearch.errors import SlideError
from pathsearch.slides import find_slides, open_slide, stream_patches

PATCH, MPP, STRIDE = 224, 0.5, 4
CHUNK = 25
DEADLINE = 120.0
#: A patch has gone dark if this share of its pixels is nearly black and was not before.
DARK_SHARE = 0.3


def damaged(data: bytes, seed: int) -> bytes:
    """Some bytes overwritten at random; the same for the same seed."""
    rng = random.Random(seed)  # noqa: S311  not for secrets
    out = bytearray(data)
    for _ in range(rng.choice((1, 4, 32))):
        if seed % 2:
            place = rng.randrange(len(out))
        else:
            place = rng.choice((rng.randrange(2048), len(out) - 1 - rng.randrange(8192)))
        out[place] = rng.randrange(256)
    return bytes(out)


def read_grid(path: Path) -> tuple[tuple[int, int], np.ndarray, np.ndarray]:
    """Size of a slide, whether each patch of a sparse grid is readable, its share of dark."""
    with open_slide(path, mpp=MPP) as slide:
        width, height = slide.size
        step = PATCH * STRIDE
        xy = [(x, y) for y in range(0, height, step) for x in range(0, width, step)][:400]
        ok, dark = [], []
        for batch in stream_patches(slide, np.array(xy, np.int64), PATCH, MPP):
            ok.append(batch.ok)
            dark.append((batch.pixels.max(-1) < 10).mean((1, 2)))
        return slide.size, np.concatenate(ok), np.concatenate(dark)


def child(path: Path, seeds: range, folder: Path) -> None:
    """Run some trials and print one line of JSON for each."""
    logging.disable(logging.CRITICAL)
    size, _, before = read_grid(path)
    data = path.read_bytes()
    target = folder / path.name
    for seed in seeds:
        target.write_bytes(damaged(data, seed))
        start = time.perf_counter()
        bad = gone_dark = 0
        try:
            new_size, ok, dark = read_grid(target)
            end = "read" if new_size == size else "read, another size"
            bad = int((~ok).sum())
            if new_size == size:
                gone_dark = int((ok & (dark - before > DARK_SHARE)).sum())
        except SlideError as error:
            end = error.code
        spent = time.perf_counter() - start
        row = {"seed": seed, "end": end, "bad": bad, "dark": gone_dark, "seconds": spent}
        sys.stdout.write(json.dumps(row) + "\n")
        sys.stdout.flush()


def trials(path: Path, count: int, until: float) -> list[dict[str, object]]:
    """All trials of one slide; a child that dies or hangs costs one trial."""
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as folder:
        while len(rows) < count and time.monotonic() < until:
            first, last = len(rows), min(len(rows) + CHUNK, count)
            command = [sys.executable, "-m", "benchmarks.reading_faults", "--child", str(path)]
            found, end = _lines([*command, str(first), str(last), folder])
            rows += found
            if len(found) < last - first:
                rows.append({"seed": first + len(found), "end": end, "bad": 0, "dark": 0,
                             "seconds": 0.0})  # fmt: skip
    return rows


def _lines(command: list[str]) -> tuple[list[dict[str, object]], str]:
    """The rows that a child prints, and how it ended; killed if none comes for a while."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    inbox: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def listen() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            inbox.put(line)
        inbox.put(b"")

    thread = threading.Thread(target=listen)
    thread.start()
    rows: list[dict[str, object]] = []
    hangs = False
    try:
        while line := inbox.get(timeout=DEADLINE):
            rows.append(json.loads(line))
    except queue.Empty:
        hangs = True
        process.kill()
    code = process.wait()
    thread.join()
    assert process.stdout is not None
    process.stdout.close()
    return rows, "hang" if hangs else f"process ended with {code}"


def main() -> None:
    """Print a table, one row a slide."""
    if "--child" in sys.argv:
        path, first, last, folder = sys.argv[sys.argv.index("--child") + 1 :]
        child(Path(path), range(int(first), int(last)), Path(folder))
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("PATHSEARCH_DATA") or None)
    parser.add_argument("--only", default="", help="slides whose name contains this")
    parser.add_argument("--trials", type=int, default=400, help="per slide")
    parser.add_argument("--seconds", type=float, default=600, help="for all slides together")
    options = parser.parse_args()
    if options.data is None:
        parser.error("name a folder of slides with --data or PATHSEARCH_DATA")
    slides = [found for found in find_slides([Path(options.data) / "slides"])
              if len(found.files) == 1 and options.only in found.path.name]  # fmt: skip
    for i, found in enumerate(slides):
        start = time.monotonic()
        share = (options.seconds - sum(SPENT)) / (len(slides) - i)
        rows = trials(found.path, options.trials, start + share)
        SPENT.append(time.monotonic() - start)
        ends = collections.Counter(str(row["end"]) for row in rows)
        slow = max(rows, key=lambda row: float(str(row["seconds"])))
        longest = f"{float(str(slow['seconds'])):.1f} s (seed {slow['seed']})"
        print(f"{found.path.name}: {len(rows)} trials, the longest {longest}", flush=True)
        print("  " + ", ".join(f"{end} {count}" for end, count in ends.most_common()))
        for key in ("bad", "dark"):
            hit = [row for row in rows if row[key]]
            total = sum(int(str(row[key])) for row in hit)
            name = "unreadable" if key == "bad" else "dark but passed as readable"
            print(f"  patches {name}: {total} in {len(hit)} trials")


#: Seconds that the slides so far took.
SPENT: list[float] = []


if __name__ == "__main__":
    main()
